"""Kept pieces of answers are never older than the database, whichever process changed it (stations 11.1, status 11.3)."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.stations.catalog import ConnectorSpec, PileSpec, StationSpec, save_station
from charging_core.stations.model import Connector, ConnectorState, Station
from charging_core.stations.status import observe
from tests.partners.business.conftest import World
from tests.partners.business.statements import statements

PLUG = ConnectorSpec(1, "dc_plug", 750, 200, 250, Decimal(60))

OTHER_PROCESS = """
import sys
from charging_core.clock import SystemClock
from charging_core.db import Database
from charging_core.stations.model import Connector, ConnectorState, Station
from charging_core.stations.status import observe
from tests.partners.business.test_partner_pieces import renamed
db, now = Database(sys.argv[1]), SystemClock().now()
with db.session(sys.argv[2]) as session:
    renamed(session, SystemClock(), "他处改名")
    for connector in session.query(Connector):
        observe(session, connector, ConnectorState.FAULT, False, now)
db.close()
"""


def spec_of(session: HubSession, **changes: Any) -> StationSpec:
    """The only station as `apply` would declare it."""
    station = session.scalars(select(Station).where(Station.code == "S0001")).one()
    copied = ("code", "operator_id", "name", "area_code", "address", "service_tel", "bays")
    members: dict[str, Any] = {name: getattr(station, name) for name in copied}
    members |= {name: Decimal(station.location[name]) for name in ("lng", "lat")}
    return StationSpec(**members | {"tariff_code": "day", "piles": ()} | changes)


def renamed(session: HubSession, clock: Any, name: str) -> None:
    """What `apply` does with a file that has another name in it."""
    assert save_station(session, clock, spec_of(session, name=name))


def shown(world: World) -> tuple[list[str], list[int]]:
    """Names of the stations and states of the first one's connectors, as the partner is told."""
    page = world.ask("query_stations_info", {"PageSize": 50})["StationInfos"]
    (status,) = world.ask("query_station_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    return [one["StationName"] for one in page], [one["Status"] for one in status["ConnectorStatusInfos"]]


def test_what_apply_and_piles_change_is_on_the_next_page(world: World) -> None:
    world.link()
    assert shown(world) == (["西湖示范站"], [2, 2])
    with world.db.session(world.tenant) as session:
        renamed(session, world.clock, "改名一次")
    assert shown(world) == (["改名一次"], [2, 2])
    for state, told in ((ConnectorState.CHARGING, 3), (ConnectorState.IDLE, 1), (ConnectorState.CHARGING, 3)):
        with world.db.session(world.tenant) as session:
            first = session.scalars(select(Connector).order_by(Connector.code)).first()
            assert first is not None
            assert observe(session, first, state, state is ConnectorState.CHARGING, world.clock.now())
        assert shown(world) == (["改名一次"], [told, 2])


def test_what_another_process_changes_is_on_the_next_page(world: World) -> None:
    world.link()
    assert shown(world) == (["西湖示范站"], [2, 2])
    command = [sys.executable, "-c", OTHER_PROCESS, world.db.url, world.tenant]
    subprocess.run(command, check=True, timeout=60)
    assert shown(world) == (["他处改名"], [255, 255])


def test_while_nothing_was_committed_the_database_is_not_asked(world: World) -> None:
    world.link()
    asked = {"StationIDs": ["S0001"]}
    first = world.ask("query_station_status", asked)
    with statements() as seen:
        assert world.ask("query_station_status", asked) == first
        assert world.ask("query_station_status", {"StationIDs": ["S0002"]})["StationStatusInfos"] == []
    stations = [one for one in seen if "FROM station" in one]
    assert len(stations) == (1 if world.db.dialect == "sqlite" else 2)


def test_a_pile_that_moves_is_shown_where_it_is(world: World) -> None:
    world.link()
    pile = PileSpec("32010600019999", "dc", Decimal(60), (PLUG,))
    with world.db.session(world.tenant) as session:
        save_station(session, world.clock, spec_of(session, piles=(pile,)))
    assert shown(world) == (["西湖示范站"], [2, 2, 0])
    with world.db.session(world.tenant) as session:
        save_station(session, world.clock, spec_of(session, code="S0002", name="新站", piles=(pile,)))
    assert shown(world) == (["西湖示范站", "新站"], [2, 2])
    page = world.ask("query_stations_info", {})["StationInfos"]
    assert [len(one["EquipmentInfos"]) for one in page] == [1, 1]


@pytest.mark.parametrize("interface", ["query_stations_info", "query_station_status"])
def test_a_changed_link_is_told_in_its_new_way(world: World, interface: str) -> None:
    world.link()
    body = {"StationIDs": ["S0001"]} if interface == "query_station_status" else {}
    before = world.ask(interface, body)
    world.link(stations=["S0009"])
    after = world.ask(interface, body)
    name = "StationInfos" if interface == "query_stations_info" else "StationStatusInfos"
    assert (len(before[name]), after[name]) == (1, [])
