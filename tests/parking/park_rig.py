"""A park on a real database with scripted platform and camera: what the flow tests drive and look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.clock import ManualClock, to_china
from charging_core.db import Database
from charging_core.events import DomainEvent, record_event
from charging_core.secretbox import SecretBox
from charging_core.stations.model import Station
from parking.catalog import ConnectionSpec, LaneSpec, ParkSpec, StationRef, find_park, save_park
from parking.model import ExitPolicy, GateCommandRow, ParkConnection, ParkingGrant, Passage, Stay
from parking.service import ParkingService, PushResult
from tests.parking.scripted_http import Reply, ScriptedServer, Seen
from tests.support.waiting import wait_until
from worker.api import Registry
from worker.runtime import WorkerRuntime

TENANT = "acme"
PLATE = "浙AD12345"
RULE: dict[str, Any] = {"min_kwh": "10", "default_value": "120"}
BOX = SecretBox(["a key for the tests of parking"])
GATE_OK = b"<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>"


@dataclass
class Platform:
    """A scripted iSecure: answers coupons with `codes` in turn (the last one for ever), bills with `due`."""

    codes: list[str] = field(default_factory=lambda: ["0"])
    due: str = "0"
    coupons: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Reply:
        if seen.target.endswith("/coupon/addition"):
            self.coupons += json.loads(seen.body)["coupons"]
            code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
            if code == "silence":
                return Reply(drop=True)
            return Reply(200, json.dumps({"code": code, "msg": code}).encode())
        bill = {"billSyscode": "b", "supposeCost": self.due, "totalCost": "8.00"}
        return Reply(200, json.dumps({"code": "0", "msg": "", "data": bill}).encode())


@dataclass
class Camera:
    """A scripted device behind Digest; `answer` is what the gate says, `opened` counts accepted commands."""

    answer: Reply = field(default_factory=lambda: Reply(200, GATE_OK))
    commands: list[str] = field(default_factory=list)
    refuses_login: bool = False

    def __call__(self, seen: Seen) -> Reply:
        if self.refuses_login or "authorization" not in seen.headers:
            return Reply(401, b"", [("WWW-Authenticate", 'Digest realm="cam", nonce="n", qop="auth"')])
        if seen.method == "GET":
            return Reply(200, b"<DeviceInfo><model>DS-TCG405-E</model></DeviceInfo>")
        self.commands.append(seen.target)
        return self.answer


@dataclass
class Rig:
    """Everything a flow test touches."""

    db: Database
    clock: ManualClock
    platform: Platform
    camera: Camera
    service: ParkingService
    worker: WorkerRuntime
    spec: ParkSpec
    station_id: str
    tokens: dict[str, str]
    orders: int = 0

    def see(self, lane: str, plate: str = PLATE, **changes: Any) -> PushResult:
        """Let the camera at `lane` (`entry` or `exit`) push a plate event, now."""
        return self.service.receive_push(
            self.tokens[lane], {"Content-Type": "application/xml"}, self.event(plate, **changes)
        )

    def event(self, plate: str = PLATE, *, at: datetime | None = None, replay: bool = False, uuid: str = "") -> bytes:
        """The ANPR document of an event."""
        when = to_china(at or self.clock.now()).isoformat(timespec="milliseconds")
        return (
            f"<EventNotificationAlert><macAddress>aa</macAddress><dateTime>{when}</dateTime><eventType>ANPR</eventType>"
            f"<UUID>{uuid}</UUID><isDataRetransmission>{str(replay).lower()}</isDataRetransmission>"
            f"<ANPR><licensePlate>{plate}</licensePlate></ANPR></EventNotificationAlert>"
        ).encode()

    def settle(
        self,
        kwh: str = "20",
        plate: str | None = PLATE,
        minutes: float = 40,
        *,
        times: int = 1,
        ended_minutes_ago: float = 0,
    ) -> str:
        """Record `order.settled` for a charge that ended just now; returns the order's id."""
        self.orders += 1
        order_id = f"01ORDER{self.orders:019d}"
        ended_at = self.clock.now() - timedelta(minutes=ended_minutes_ago)
        snapshot = {
            "id": order_id,
            "plate": plate,
            "energy_kwh": Decimal(kwh),
            "started_at": ended_at - timedelta(minutes=minutes),
            "ended_at": ended_at,
            "station": {"id": self.station_id},
        }
        for version in range(1, times + 1):
            with self.db.session(TENANT) as session:
                record_event(session, "order.settled", order_id, version, snapshot, self.clock.now())
        return order_id

    def work(self) -> None:
        """Relay and deliver everything that is due."""
        self.worker.run_until_idle()

    def pass_time(self, minutes: float) -> None:
        """Move the clock."""
        self.clock.advance(timedelta(minutes=minutes))

    def grant(self, order_id: str) -> ParkingGrant:
        """The grant of an order."""
        with self.db.read(TENANT) as session:
            return session.scalars(select(ParkingGrant).where(ParkingGrant.order_id == order_id)).one()

    def stays(self) -> list[Stay]:
        """All stays, oldest first."""
        return self.rows(Stay)

    def passages(self) -> list[Passage]:
        """All passages, oldest first."""
        return self.rows(Passage)

    def gate_commands(self) -> list[GateCommandRow]:
        """All gate commands, oldest first."""
        return self.rows(GateCommandRow)

    def finished_command(self, number: int = 1) -> GateCommandRow:
        """Wait until `number` gate commands exist and the last one has its result."""

        def finished() -> GateCommandRow | None:
            rows = self.gate_commands()
            return rows[-1] if len(rows) == number and rows[-1].finished_at is not None else None

        found = wait_until(finished, f"gate command {number} to be finished")
        assert found is not None
        return found

    def events(self, kind: str) -> list[DomainEvent]:
        """Domain events of a type, oldest first."""
        return [event for event in self.rows(DomainEvent) if event.type == kind]

    def rows(self, table: type[Any]) -> list[Any]:
        """All rows of a table of this tenant."""
        with self.db.read(TENANT) as session:
            return list(session.scalars(select(table).order_by(table.id)))


def declare(
    platform_url: str, camera_url: str, exit_settings: Mapping[str, Any] | None = None, **changes: Any
) -> ParkSpec:
    """A park with one platform and two cameras, the one at the exit with a barrier."""
    camera = {"base_url": camera_url, "username": "admin", "password": "Gate#2024"}
    members: dict[str, Any] = {
        "code": "east",
        "name": "东区",
        "rule": RULE,
        "stations": (StationRef("123456789", "S1"),),
        "connections": (
            ConnectionSpec(
                "platform",
                "hikvision_isecure",
                {"base_url": platform_url, "app_key": "k", "app_secret": "s3cret", "park_syscode": "p1"},
            ),
            ConnectionSpec(
                "entry",
                "hikvision_isapi",
                {**camera, "lane_ref": "entry-1", "direction": "entry", "gate_methods": []},
            ),
            ConnectionSpec(
                "exit",
                "hikvision_isapi",
                {**camera, "lane_ref": "exit-1", "direction": "exit", **(exit_settings or {})},
            ),
        ),
        "lanes": (LaneSpec("entry-1", "entry"), LaneSpec("exit-1", "exit", gate="exit")),
        "exit_policy": ExitPolicy.COVERED,
    }
    return ParkSpec(**{**members, **changes})


def add_station(db: Database, clock: ManualClock) -> str:
    """A station of operator 123456789 with code S1."""
    with db.session(TENANT) as session:
        session.add(
            Station(
                id="01STATION",
                code="S1",
                operator_id="123456789",
                name="东站",
                area_code="330100",
                address="",
                service_tel="",
                location={"lng": "120", "lat": "30"},
                tariff_id="T",
                changed_at=clock.now(),
            )
        )
    return "01STATION"


@contextmanager
def park_rig(db: Database, clock: ManualClock, **changes: Any) -> Iterator[Rig]:
    """A declared park, its service, and a worker that runs when told."""
    platform, camera = Platform(), Camera()
    with ScriptedServer(platform) as platform_server, ScriptedServer(camera) as camera_server:
        station_id = add_station(db, clock)
        spec = declare(platform_server.url, camera_server.url, **changes)
        with db.session(TENANT) as session:
            save_park(session, BOX, spec)
        service = ParkingService(db, clock, BOX)
        registry = Registry()
        service.register(registry)
        worker = WorkerRuntime(db, clock, registry)
        try:
            yield Rig(db, clock, platform, camera, service, worker, spec, station_id, inbound_tokens(db))
        finally:
            service.close()


def inbound_tokens(db: Database) -> dict[str, str]:
    """The inbound path token of each connection, by its code."""
    with db.read(TENANT) as session:
        park = find_park(session, "east")
        assert park is not None
        return {row.code: row.inbound_token for row in session.scalars(select(ParkConnection))}
