"""The partners room behind the edge on a database of 500 stations with 4 connectors each; for the rows of `edge_rows`.

`live`: the product. `canned`: the same edge, whose handlers find their answers in memory as bodies, without a question to the database.
`rendering`: as live, but every station body is made from its rows each time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Base, Database
from charging_core.ids import new_id
from charging_core.secretbox import SecretBox
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.tariffs.model import Tariff
from partners.inbound_stations import StationBodies
from partners.room import PartnerRoom
from partners.specs import PartnerLinkSpec, save_link
from partners.tcec102 import jsonio
from partners.tcec102.edge import Receive, Scope, Send, TcecEdge
from partners.tcec102.memory import TokenBuckets
from partners.tcec102.ports import Handler, InboundLink
from partners.tcec102.receive import Door
from partners.tcec102.tokens import MemoryTokenStore
from tests.bench.floor_http import OPERATOR, TOKEN
from tests.support.seed import order_context, seed_operator

TENANT = "demo"
STATIONS, CONNECTORS = 500, 4
NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
SECRET = "1234567890abcdef"
ASKED_STATIONS: dict[str, Any] = {"StationIDs": [f"B{number:04d}" for number in range(50)]}
ASKED_PAGE: dict[str, Any] = {"LastQueryTime": "", "PageNo": 3, "PageSize": 50}


def build(mode: str) -> TcecEdge:
    """A room on a fresh database; the record of exchanges is on, as in the product."""
    if mode == "rendering":
        StationBodies._keep = lambda self, made: None  # type: ignore[method-assign]
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    db = Database(f"sqlite:///{folder / 'bench.db'}", synchronous="NORMAL")
    Base.metadata.create_all(db.engine)
    clock = ManualClock(NOON)
    seeded = seed_operator(db, NOON, tenant_id=TENANT)
    _fill(db, seeded.operator_id)
    box = SecretBox(["a-key-of-16-chars-or-more"])
    room = PartnerRoom(db, order_context(clock)[0], box)
    names = ("operator_secret", "data_secret", "data_iv", "sig_secret")
    spec = PartnerLinkSpec.model_validate(
        {
            "id": "bench", "name": "bench", "our_operator_id": seeded.operator_id, "their_operator_id": OPERATOR,
            "keys": {"inbound": {name: SecretStr(SECRET) for name in names}},
        }
    )  # fmt: skip
    with db.session(TENANT) as session:
        save_link(session, clock, box, spec)
    room.start()
    link_id = room.book.by_slug(TENANT, spec.id).id
    tokens = MemoryTokenStore()
    tokens.keep(link_id, TOKEN, time.time() + 3600)
    door = replace(room.door(TokenBuckets(1_000_000, 1_000_000)), tokens=tokens)
    return TcecEdge(_canned(door, room, link_id) if mode == "canned" else door)


def _canned(door: Door, room: PartnerRoom, link_id: str) -> Door:
    link = room.book.get(link_id)
    assert link is not None
    asked = {"query_station_status": ASKED_STATIONS, "query_stations_info": ASKED_PAGE}
    ready = {name: _plain(door.handlers[name](link.inbound, {**body})) for name, body in asked.items()}
    handlers = {name: _ready(answer) for name, answer in ready.items()}
    return replace(door, handlers=handlers)


def _plain(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A body as a handler makes one that keeps no finished pieces."""
    body: Mapping[str, Any] = jsonio.loads_body(jsonio.dumps(answer))
    return body


def _ready(answer: Mapping[str, Any]) -> Handler:
    def handler(_link: InboundLink, _body: dict[str, Any]) -> Mapping[str, Any]:
        return answer

    return handler


def _fill(db: Database, operator_id: str) -> None:
    location = {"lng": Decimal("120.158276"), "lat": Decimal("30.285134")}
    with db.system("bench") as session:
        tariff_id = session.scalars(select(Tariff.id)).one()
        for number in range(STATIONS):
            station, pile = new_id(), new_id()
            session.add(
                Station(
                    id=station, tenant_id=TENANT, code=f"B{number:04d}", operator_id=operator_id, name=f"示范站{number}",
                    area_code="330106", address="文三路 1 号", service_tel="4000000000", bays=4, location=location,
                    tariff_id=tariff_id, changed_at=NOON,
                )
            )  # fmt: skip
            session.flush()
            session.add(
                Pile(
                    id=pile, tenant_id=TENANT, code=f"3301060002{number:04d}", station_id=station, kind="dc",
                    power_kw=Decimal(120), online=True,
                )
            )  # fmt: skip
            session.flush()
            session.add_all(_connector(pile, f"3301060002{number:04d}{one:02d}") for one in range(1, CONNECTORS + 1))


def _connector(pile: str, code: str) -> Connector:
    return Connector(
        id=new_id(), tenant_id=TENANT, code=code, pile_id=pile, number=int(code[-2:]), kind="dc_plug", voltage_upper_v=750,
        voltage_lower_v=200, current_a=250, power_kw=Decimal(120), state=ConnectorState.IDLE, plugged=False,
    )  # fmt: skip


class Served:
    """The edge of `BENCH_MODE`, built by the first event, which is the start of the server."""

    def __init__(self) -> None:
        self.http_app: TcecEdge | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.http_app is None:
            self.http_app = build(os.environ["BENCH_MODE"])
        await self.http_app(scope, receive, send)


app = Served()
