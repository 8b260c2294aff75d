"""The adapter contract, run for each adapter against the fake that ships with the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from charging_core.clock import ManualClock
from parking.adapters.registry import adapter_kind
from parking.fake.camera import FakeCamera
from parking.fake.isecure import FakeIsecure
from parking.port import GateAction, GateCommand, GateKeeper, GateState, Outcome, ParkingAdapter
from partners.fake.faults import Fault
from tests.parking.adapter_contract import GateContract, GrantContract, PassageContract, Pushed
from tests.parking.scripted_http import Reply, ScriptedServer, Seen

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
APP_SECRET, PASSWORD = "Hb7Tq2Zk9Wm4Xc1V", "Gate#2024"


class _Fixture:
    """Builds adapters of one kind on its fake and closes them at the end."""

    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]]
    busy: ClassVar[Fault]

    def __init__(self, fake: FakeIsecure | FakeCamera, clock: ManualClock) -> None:
        self.fake = fake
        self.clock = clock
        self._adapters = ExitStack()

    def build(self, **changes: Any) -> ParkingAdapter:
        values = {"base_url": self.fake.url, **self.settings, **changes}
        adapter = adapter_kind(self.name).create("conn-1", values, self.clock)
        self._adapters.callback(adapter.close)
        return adapter

    def close(self) -> None:
        self._adapters.close()

    def requests(self) -> int:
        return len(self.fake.received())

    def misbehave(self, kind: str, times: int | None = 1, value: float | None = None) -> None:
        fault = self.busy if kind == "busy" else Fault(kind=kind, value=value)
        self.fake.faults.replace([fault.model_copy(update={"times": times})])


class Isecure(_Fixture):
    """The iSecure adapter on the fake platform."""

    name = "hikvision_isecure"
    settings: ClassVar[dict[str, Any]] = {"app_key": "27310001", "app_secret": APP_SECRET, "park_syscode": "park-1"}
    secrets = (APP_SECRET, "27310001")
    busy = Fault(kind="code", value="0x02401036")

    def __init__(self, fake: FakeIsecure, clock: ManualClock) -> None:
        super().__init__(fake, clock)
        self._platform = fake

    def wrong_credentials(self) -> dict[str, Any]:
        return {"app_secret": "another-secret"}

    def grants_in_books(self) -> dict[str, str]:
        return {code: coupon["plate"] for code, coupon in self._platform.summary()["coupons"].items()}

    def drive_in(self, plate: str) -> None:
        self._platform.passage(plate, "entry")


class Isapi(_Fixture):
    """The ISAPI adapter on the fake camera, which posts its events to a listener."""

    name = "hikvision_isapi"
    settings: ClassVar[dict[str, Any]] = {
        "username": "admin",
        "password": PASSWORD,
        "lane_ref": "entry-1",
        "direction": "entry",
    }
    secrets = (PASSWORD,)
    busy = Fault(kind="busy")

    def __init__(self, fake: FakeCamera, clock: ManualClock, listener: ScriptedServer) -> None:
        super().__init__(fake, clock)
        self._camera = fake
        self._listener = listener

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "guess"}

    def gate_actions(self) -> list[str]:
        return [str(action["action"]) for action in self._camera.summary()["gate_actions"]]

    def pass_by(self, plate: str) -> Pushed:
        self._camera.passage({"plate": plate, "lane": 1, "direction": "entry"})
        arrived = self._listener.seen[-1]
        return Pushed(arrived.headers, arrived.body)


class TestIsecure(GrantContract):
    """Grants and stays."""

    @pytest.fixture
    def subject(self) -> Iterator[Isecure]:
        clock = ManualClock(NOON)
        config = {
            "app_key": "27310001",
            "app_secret": APP_SECRET,
            "parks": [{"code": "park-1", "name": "东区"}, {"code": "park-2"}],
        }
        with FakeIsecure(config, clock) as fake:
            made = Isecure(fake, clock)
            yield made
            made.close()


class _OnCamera:
    @pytest.fixture
    def subject(self) -> Iterator[Isapi]:
        clock = ManualClock(NOON)

        def accept(_seen: Seen) -> Reply:
            return Reply(200)

        with ScriptedServer(accept) as listener:
            lanes = [{"lane": 1, "direction": "entry", "event_url": f"{listener.url}/callbacks/parking/token"}]
            with FakeCamera({"password": PASSWORD, "lanes": lanes}, clock) as fake:
                made = Isapi(fake, clock, listener)
                yield made
                made.close()


class TestIsapiGate(_OnCamera, GateContract):
    """The barrier."""


class TestIsapiPassages(_OnCamera, PassageContract):
    """Plate events."""


class TestIsapiModels(_OnCamera):
    """What differs between models, seen by the adapter through the fake."""

    @pytest.mark.parametrize(("methods", "expected"), [(["M2"], "itc_entrance"), (["M3"], "relay_output")])
    def test_the_way_to_the_gate_is_found(self, subject: Isapi, methods: list[str], expected: str) -> None:
        subject.fake.control_actions()["POST", "methods"]({"enabled": methods})
        adapter = subject.build(relay_pulse_s=0.01)
        assert isinstance(adapter, GateKeeper)
        for _ in range(2):
            result = adapter.operate(GateCommand(GateAction.OPEN, subject.clock.now() + timedelta(seconds=15)))
            assert (result.state, result.method) == (GateState.ACCEPTED_UNCONFIRMED, expected)
        assert [action for action in subject.gate_actions() if action == "open"] == ["open", "open"]

    def test_every_nonce_stale_is_survived(self, subject: Isapi) -> None:
        adapter = subject.build()
        for _ in range(3):
            subject.fake.faults.replace([Fault(kind="stale")])
            assert adapter.health().outcome is Outcome.OK
