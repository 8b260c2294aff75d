"""How many SQL statements a call of a partner costs: constant, however many stations, piles or orders there are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.stations.snapshot import station_snapshot
from charging_core.tariffs.model import Tariff, TariffVersion
from partners.asking import Asked
from partners.documents import LIVE, station_documents, surroundings
from partners.inbound_stations import StationBodies
from partners.sweep import ChargeStatusSweep
from tests.partners.business.conftest import PARTNER, World
from tests.partners.business.statements import statements
from tests.support.seed import seed_operator

SEQ = f"{PARTNER}260302080000000001"


def add_equipped_station(session: HubSession, world: World, number: int) -> Station:
    """A station of its own tariff with two piles of two connectors."""
    first = session.query(Station).filter(Station.code == "S0001").one()
    now = world.clock.now()
    tariff = Tariff(id=new_id(), code=f"t{number}", name="日间")
    session.add(tariff)
    session.flush()
    periods = session.query(TariffVersion).first()
    assert periods is not None
    for version, days in ((1, 2), (2, 1), (3, -1)):  # the third is not valid yet
        members = {"id": new_id(), "number": version, "model_number": f"{number:02d}{version:02d}"}
        valid_from = now - timedelta(days=days)
        session.add(
            TariffVersion(
                tariff_id=tariff.id, valid_from=valid_from, periods=periods.periods, created_at=now, **members
            )
        )
    copied = ("name", "area_code", "address", "service_tel", "location", "operator_id")
    station = Station(
        id=new_id(),
        code=f"E{number:04d}",
        tariff_id=tariff.id,
        changed_at=now,
        **{name: getattr(first, name) for name in copied},
    )
    session.add(station)
    session.flush()
    for pile_number in (1, 2):
        code = f"9{number:09d}{pile_number:04d}"
        pile = Pile(id=new_id(), code=code, station_id=station.id, kind="dc", power_kw=Decimal(60))
        session.add(pile)
        session.flush()
        session.add_all(connector(pile.id, f"{code}{one:02d}") for one in (1, 2))
    return station


def connector(pile_id: str, code: str) -> Connector:
    members: dict[str, Any] = {"voltage_upper_v": 750, "voltage_lower_v": 200, "current_a": 250}
    state = {"state": ConnectorState.PLUGGED, "plugged": True}
    return Connector(
        id=new_id(), code=code, pile_id=pile_id, number=int(code[-2:]), kind="dc_plug", power_kw=Decimal(60),
        **members, **state,
    )  # fmt: skip


def add_stations(world: World, number: int) -> None:
    with world.db.session(world.tenant) as session:
        for one in range(number):
            add_equipped_station(session, world, one)


def asked(world: World, interface: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The answer and the number of statements behind it, the token's own left out."""
    world.ask("query_equip_auth", {"EquipAuthSeq": SEQ, "ConnectorID": world.connector})
    with statements() as seen:
        answer = world.ask(interface, body)
    return answer, len(seen)


@pytest.mark.parametrize("number", [1, 49])
def test_status_of_50_stations_costs_one_statement_when_nothing_has_changed(world: World, number: int) -> None:
    world.link()
    add_stations(world, number)
    wanted = {"StationIDs": ["S0001", *(f"E{one:04d}" for one in range(number))]}
    answer, cost = asked(world, "query_station_status", wanted)
    with world.db.session(world.tenant) as session:
        session.query(Tariff).first().name = "改名"  # type: ignore[union-attr]  # something that the answer does not tell
    again, warm = asked(world, "query_station_status", wanted)
    assert len(answer["StationStatusInfos"]) == number + 1
    assert again == answer
    assert (cost, warm) == (4, 1)  # stamps; stations, their piles, their connectors


def test_status_under_derived_ids_loads_only_the_equipment_asked_for(world: World, tmp_path: Any) -> None:
    path = tmp_path / "padded.yaml"
    head = "{id: padded, version: '1', display_name: {zh: 补, en: padded}, status: partial, extends: textbook, "
    path.write_text(f"{head}ids: {{station_id: 'pad(station.code, 20)'}}}}", "utf-8")
    world.link(profile=str(path))
    add_stations(world, 12)
    answer, cost = asked(world, "query_station_status", {"StationIDs": ["E0003".rjust(20, "0")]})
    assert len(answer["StationStatusInfos"][0]["ConnectorStatusInfos"]) == 4
    assert cost == 5  # one more: the stations whose ids are derived


def test_a_page_of_stations_costs_the_same_however_long_it_is(world: World) -> None:
    world.link()
    add_stations(world, 20)
    short, cold_short = asked(world, "query_stations_info", {"PageSize": 2})
    long, cold_long = asked(world, "query_stations_info", {"PageSize": 100})
    again, warm = asked(world, "query_stations_info", {"PageSize": 100})
    assert (len(short["StationInfos"]), len(long["StationInfos"])) == (2, 21)
    assert long == again
    assert (cold_short, cold_long, warm) == (6, 6, 3)


def test_the_documents_of_many_stations_are_those_of_the_core(world: World) -> None:
    add_stations(world, 3)
    now = world.clock.now()
    with world.db.read(world.tenant) as session:
        stations = session.query(Station).order_by(Station.code).all()
        several = station_documents(session, stations, surroundings(session, stations, now))
        single = [station_snapshot(session, station, now) for station in stations]
    for snapshot in single:
        for pile in snapshot["piles"]:
            pile["connectors"] = [
                {name: value for name, value in one.items() if name not in LIVE} for one in pile["connectors"]
            ]
    assert several == single


@pytest.mark.parametrize(
    ("interface", "body", "most"),
    [
        ("query_equip_auth", {"EquipAuthSeq": SEQ}, 2),
        ("query_equip_business_policy", {"EquipBizSeq": SEQ}, 2),
        ("query_start_charge", {"StartChargeSeq": SEQ, "QRCode": ""}, 12),
    ],
)
def test_single_questions_are_cheap(world: World, interface: str, body: dict[str, Any], most: int) -> None:
    world.link()
    _, cost = asked(world, interface, body | {"ConnectorID": world.connector})
    assert cost <= most


def test_the_state_of_an_order_is_cheap(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    _, cost = asked(world, "query_equip_charge_status", {"StartChargeSeq": seq})
    assert cost <= 6


def test_a_sweep_holds_the_writer_for_the_ledger_only(world: World) -> None:
    """On SQLite the pile server waits for the same writer: orders are read outside the writing transaction."""
    world.link()
    seq = world.begin()
    world.reading(seq)
    world.clock.advance(timedelta(seconds=50))
    sweep = ChargeStatusSweep(world.db, world.clock, world.room.book)
    with statements() as seen:
        assert sweep.run(world.clock.now()) == 1
    reads = [text for text in seen if text.startswith("SELECT")]
    assert len(reads) <= 5
    first_write = next(number for number, text in enumerate(seen) if text.startswith("INSERT"))
    assert not [text for text in seen[first_write:] if "charge_order" in text]


def test_a_station_is_serialised_once_and_again_when_it_its_tariff_or_its_link_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.link()
    made: list[str] = []
    whole = StationBodies._piece

    def counted(self: StationBodies, ask: Asked, document: dict[str, Any]) -> Any:
        made.append(document["name"])
        return whole(self, ask, document)

    monkeypatch.setattr(StationBodies, "_piece", counted)
    for _ in range(3):
        world.ask("query_stations_info", {})
    assert made == ["西湖示范站"]
    with world.db.session(world.tenant) as session:
        station = session.query(Station).one()
        station.name, station.version = "新名", station.version + 1
    (told,) = world.ask("query_stations_info", {})["StationInfos"]
    assert (told["StationName"], made[-1]) == ("新名", "新名")
    world.link(name="另一名称")
    world.ask("query_stations_info", {})
    assert len(made) == 3


def test_stations_of_another_tenant_are_not_on_the_page(world: World) -> None:
    seed_operator(world.db, world.clock.now(), tenant_id="other", number=2)
    world.link()
    answer = world.ask("query_stations_info", {"PageSize": 100})
    assert (answer["ItemSize"], [one["OperatorID"] for one in answer["StationInfos"]]) == (1, ["MA5TEST01"])


def test_a_page_beyond_the_end_is_empty_and_still_tells_the_number(world: World) -> None:
    world.link()
    for number in (2, 10**12):
        answer = world.ask("query_stations_info", {"PageNo": number})
        assert (answer["PageNo"], answer["PageCount"], answer["ItemSize"], answer["StationInfos"]) == (number, 1, 1, [])
