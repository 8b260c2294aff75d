"""One station, one YKC pile and one OCPP pile: a partner starts a charge on each, and confirms both bills.

The whole hub in one program, the partner on a real port, both piles over real sockets; all on one clock that runs fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from charging_core.clock import CHINA, FileClock, write_clock_file
from charging_core.simulator.charge import Vehicle
from charging_core.simulator.ocpp_parts import OcppSettings
from charging_core.simulator.ocpp_pile import OcppPile
from charging_core.simulator.runner import SimulatorProcess
from charging_core.simulator.settings import SimulatorConfig
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.processes import HubProcess
from hub.reading.orders import order_view, require_order
from hub.settings import load_settings
from partners.fake.partner import FakePartner
from tests.charging_core.ocpp.ocpp_support import LoopThread
from tests.e2e.operator_file import KEY_NAMES, key_environment
from tests.e2e.programs import command
from tests.e2e.stage import keys
from tests.support.databases import Databases
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

TENANT, OPERATOR, PARTNER = "mixed", "MA5MIXED1", "MA5PARTN1"
YKC, OCPP = "32010600007001", "32010600007002"
BEFORE_NINE = datetime(2026, 3, 2, 8, 57, tzinfo=CHINA)
SLOW, FAST = 6.0, 90.0
ACT_S = 40.0
OWN, OURS = keys("MxPr"), keys("MxHb")
VEHICLE = Vehicle(soc=10, battery_kwh=Decimal(90), power_kw=Decimal(60))
PASSWORD = "seven or eight"
SECRET = "a-key-for-the-mixed-station"


@dataclass
class Mixed:
    """Everybody."""

    hub: HubProcess
    partner: FakePartner
    clock: FileClock
    folder: Path
    environ: dict[str, str]

    def speed(self, rate: float) -> None:
        write_clock_file(self.folder / "clock.json", self.clock.now(), rate)

    def order(self, seq: str) -> dict[str, Any]:
        with self.hub.container.db.read(TENANT) as session:
            return order_view(session, require_order(session, seq))

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        return wait_until(holds, what, ACT_S, 0.05)


def document(partner_url: str) -> str:
    """The operator's file."""
    connector = {
        "number": 1, "kind": "dc_plug", "voltage_upper_v": 750, "voltage_lower_v": 200, "current_a": 250, "power_kw": 60,
    }  # fmt: skip
    pile = {"kind": "dc", "power_kw": 60, "connectors": [connector]}
    ocpp = {
        "code": OCPP,
        "protocol": "ocpp16",
        "charge_point_id": "CP-7002",
        "password": {"env": "CP_PASSWORD"},
        **pile,
    }
    return yaml.safe_dump(
        {
            "tenant": {"id": TENANT, "name": "混合站"},
            "operators": [{"id": OPERATOR, "name": "混合充电", "tel": "400-000-0003"}],
            "tariffs": [
                {
                    "code": "day", "name": "分时",
                    "periods": [
                        {"start": "00:00", "class": "flat", "elec_price": "0.70000", "service_price": "0.40000"},
                        {"start": "09:00", "class": "peak", "elec_price": "1.10000", "service_price": "0.40000"},
                    ],
                }
            ],
            "stations": [
                {
                    "code": "330106007", "operator": OPERATOR, "owner_id": OPERATOR, "name": "混合站", "bays": 2,
                    "area_code": "330106", "address": "文三路 7 号", "service_tel": "400-000-0003", "lng": "120.13",
                    "lat": "30.27", "tariff": "day", "piles": [{"code": YKC, **pile}, ocpp],
                }
            ],
            "partners": [
                {
                    "id": "platform", "name": "流量平台", "profile": "textbook", "our_operator_id": OPERATOR,
                    "their_operator_id": PARTNER, "outbound_base": partner_url,
                    "keys": {
                        way: {name: {"env": f"HUB_TEST_MIXED_{short}_{name}".upper()} for name in KEY_NAMES}
                        for way, short in (("inbound", "IN"), ("outbound", "OUT"))
                    },
                }
            ],
        }
    )  # fmt: skip


@pytest.fixture
def mixed(databases: Databases, tmp_path: Path) -> Iterator[Mixed]:
    write_clock_file(tmp_path / "clock.json", BEFORE_NINE, SLOW)
    fresh, clock = databases.fresh(), FileClock(tmp_path / "clock.json")
    settings = load_settings(
        database_url=fresh.url, database_owner_url=fresh.owner_url, secret_key=SECRET, web_port=0, pile_port=0,
        ocpp_port=0, clock=f"file:{tmp_path / 'clock.json'}", drain_s=2,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.callback(databases.drop, fresh)
        hub = stack.enter_context(HubProcess(settings))
        hub.serve_in_thread()
        inbound = f"{hub.web_url}/{TENANT}/evcs/v1/"
        names = {"operator_id": PARTNER, "hub_operator_id": OPERATOR, "hub_base_url": inbound}
        partner = FakePartner({**names, "keys": dict(OWN), "hub_keys": dict(OURS)}, clock)
        stack.enter_context(partner)
        environ = key_environment("mixed", OURS, OWN) | {"CP_PASSWORD": PASSWORD}
        text = document(partner.base_url)
        core = hub.container
        Applier(core.db, core.clock, core.box).apply(read_document(text, Surroundings(environ, tmp_path)))
        assert Applier(core.db, core.clock, core.box).apply(read_document(text, Surroundings(environ, tmp_path))) == []
        core.partners.book.refresh()
        environment = {
            "HUB_DATABASE_URL": fresh.url, "HUB_DATABASE_OWNER_URL": fresh.owner_url, "HUB_SECRET_KEY": SECRET,
        }  # fmt: skip
        yield Mixed(hub, partner, clock, tmp_path, environment)


@pytest.fixture
def piles(mixed: Mixed) -> Iterator[tuple[SimulatorProcess, OcppPile]]:
    """Both piles, with a car at each."""
    loop = LoopThread()
    ykc = loop.do(lambda: SimulatorProcess(SimulatorConfig.model_validate({"piles": [
        {"code": YKC, "type": "dc", "connectors": 1, "power_kw": 60}]}), mixed.clock))  # fmt: skip
    ocpp = loop.do(lambda: OcppPile(OcppSettings("CP-7002", PASSWORD), mixed.clock))
    loop.wait(ykc.start("127.0.0.1", mixed.hub.pile_port))
    loop.do(lambda: ocpp.start(f"ws://127.0.0.1:{mixed.hub.ocpp_port}/ocpp"))
    loop.wait(ykc.wait_ready())
    loop.wait(ocpp.wait_booted())
    loop.do(lambda: ykc.piles[YKC].connector(1).plug(VEHICLE))
    loop.do(lambda: ocpp.plug(1, VEHICLE))
    yield ykc, ocpp
    loop.wait(ykc.stop())
    loop.wait(ocpp.stop())
    loop.close()


def test_a_partner_charges_on_both_and_confirms_both_bills(
    mixed: Mixed, piles: tuple[SimulatorProcess, OcppPile]
) -> None:
    seqs = {code: start(mixed, code) for code in (YKC, OCPP)}
    mixed.speed(FAST)
    mixed.until("it is after nine", lambda: mixed.clock.now() > BEFORE_NINE.replace(hour=9, minute=4))
    mixed.speed(SLOW)
    for seq in seqs.values():
        assert mixed.partner.stop_charge(seq).ok
    for seq in seqs.values():
        told = until_confirmed(mixed, seq)
        ours = mixed.order(seq)
        assert [line["class"] for line in ours["details"]] == ["flat", "peak"]
        assert ours["review"] is None
        assert Decimal(str(told["TotalMoney"])) == Decimal(str(ours["total_fee"])) > 0
        assert len(told["ChargeDetails"]) == 2
    meter = Decimal(piles[1].connectors[0].meter_wh - 1_000_000) / 1000
    assert Decimal(str(mixed.order(seqs[OCPP])["energy_kwh"])) == meter
    timeline = json.loads(command(mixed.environ, "order", "show", seqs[OCPP], "--json"))["timeline"]
    steps = [entry["what"].split()[:3] for entry in timeline if entry["kind"] == "frame"]
    assert steps == [
        ["→", "RemoteStartTransaction", "远程启动"], ["←", "StartTransaction", "充电开始"],
        ["→", "RemoteStopTransaction", "远程停止"], ["←", "StopTransaction", "充电结束"],
    ]  # fmt: skip
    shown = command(mixed.environ, "pile", "list")
    assert [word for word in ("ykc", "ocpp16") if word in shown] == ["ykc", "ocpp16"]


def start(mixed: Mixed, code: str) -> str:
    """The partner's start; its StartChargeSeq once the pile charges."""
    told: dict[str, Any] = {}

    def taken() -> bool:
        told.update(mixed.partner.charge(f"{code}01"))
        return bool(told["ok"])

    mixed.until("the partner's start is taken", taken)
    seq = str(told["start_charge_seq"])
    mixed.until("the charge runs", lambda: mixed.order(seq)["state"] == "charging")
    return seq


def until_confirmed(mixed: Mixed, seq: str) -> dict[str, Any]:
    """Wait for the partner's confirmation and return the order as it was pushed."""
    return dict(mixed.until("the bill is confirmed", lambda: confirmed(mixed, seq)))


def confirmed(mixed: Mixed, seq: str) -> dict[str, Any] | None:
    """The order as the partner has booked it, once it confirmed it."""
    page = mixed.partner.summary()["orders"].get(seq)
    return page["order"] if page and page["order"] and page["confirm_result"] == 0 else None
