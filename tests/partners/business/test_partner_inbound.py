"""What a partner asks of us, over real HTTP, judged by the fake partner's own checks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import china_text
from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.orders.model import ChargeOrder
from charging_core.piles.model import PileCommand
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.tariffs.periods import RateClass
from tests.partners.business.conftest import PARTNER, World

SEQ = f"{PARTNER}260302080000000001"
OTHER_SEQ = f"{PARTNER}260302080000000002"


def start(world: World, connector: str | None = None, seq: str = SEQ, **more: Any) -> dict[str, Any]:
    body = {"StartChargeSeq": seq, "ConnectorID": connector or world.connector, "QRCode": ""}
    return world.ask("query_start_charge", body | more)


def stop(world: World, seq: str = SEQ, connector: str | None = None) -> dict[str, Any]:
    return world.ask("query_stop_charge", {"StartChargeSeq": seq, "ConnectorID": connector or world.connector})


def change_connector(world: World, **values: Any) -> None:
    with world.db.session(world.tenant) as session:
        row = session.query(Connector).filter(Connector.code == world.connector).one()
        for name, value in values.items():
            setattr(row, name, value)


def add_station(session: HubSession, world: World, code: str, operator_id: str | None = None) -> Station:
    first = session.query(Station).filter(Station.code == "S0001").one()
    copied = ("name", "area_code", "address", "service_tel", "location", "tariff_id")
    members = {name: getattr(first, name) for name in copied}
    station = Station(
        id=new_id(),
        code=code,
        operator_id=operator_id or first.operator_id,
        changed_at=world.clock.now(),
        **members,
    )
    session.add(station)
    return station


# ---------------------------------------------------------------------------------------------------------- stations


def test_stations_with_their_equipment(world: World) -> None:
    world.link()
    page = world.ask("query_stations_info", {"LastQueryTime": "", "PageNo": 1, "PageSize": 10})
    assert (page["PageNo"], page["PageCount"], page["ItemSize"]) == (1, 1, 1)
    (station,) = page["StationInfos"]
    assert (station["StationID"], station["OperatorID"]) == ("S0001", "MA5TEST01")
    (equipment,) = station["EquipmentInfos"]
    assert [one["ConnectorID"] for one in equipment["ConnectorInfos"]] == list(world.seeded.connectors)
    assert world.fake.summary()["violations"] == []


def test_paging_and_a_page_beyond_the_end(world: World) -> None:
    world.link()
    with world.db.session(world.tenant) as session:
        for number in range(2, 6):
            add_station(session, world, f"S000{number}")
    pages = [world.ask("query_stations_info", {"PageNo": n, "PageSize": 2}) for n in (1, 2, 3, 4)]
    assert [[station["StationID"] for station in page["StationInfos"]] for page in pages] == [
        ["S0001", "S0002"],
        ["S0003", "S0004"],
        ["S0005"],
        [],
    ]
    assert {(page["PageCount"], page["ItemSize"]) for page in pages} == {(3, 5)}


def test_last_query_time_gives_only_what_changed_since(world: World) -> None:
    world.link()
    world.clock.advance(timedelta(hours=1))
    asked = {"LastQueryTime": china_text(world.clock.now())}
    assert world.ask("query_stations_info", asked)["StationInfos"] == []
    with world.db.session(world.tenant) as session:
        add_station(session, world, "S0002")
    found = world.ask("query_stations_info", asked)
    assert [station["StationID"] for station in found["StationInfos"]] == ["S0002"]


def test_a_changed_station_is_shown_changed(world: World) -> None:
    world.link()
    world.ask("query_stations_info", {})
    with world.db.session(world.tenant) as session:
        station = session.query(Station).one()
        station.name, station.version = "新名称", station.version + 1
    assert world.ask("query_stations_info", {})["StationInfos"][0]["StationName"] == "新名称"


@pytest.mark.parametrize(("scope", "seen"), [(["S0002"], {"S0002"}), ("operator", {"S0001", "S0002"}), ([], set())])
def test_only_authorised_stations_are_shown(world: World, scope: Any, seen: set[str]) -> None:
    world.link(stations=scope)
    with world.db.session(world.tenant) as session:
        add_station(session, world, "S0002")
        add_station(session, world, "S0003", operator_id="MA5OTHER1")
        add_station(session, world, "S0004").enabled = False
    listed = {station["StationID"] for station in world.ask("query_stations_info", {})["StationInfos"]}
    asked = {"StationIDs": ["S0001", "S0002", "S0003", "S0004", "S9999"]}
    told = {one["StationID"] for one in world.ask("query_station_status", asked)["StationStatusInfos"]}
    assert listed == told == seen


def test_an_unauthorised_connector_does_not_exist_for_the_partner(world: World) -> None:
    world.link(stations=["S0002"])
    assert start(world)["FailReason"] == 1
    auth = world.ask("query_equip_auth", {"EquipAuthSeq": SEQ, "ConnectorID": world.connector})
    policy = world.ask("query_equip_business_policy", {"EquipBizSeq": SEQ, "ConnectorID": world.connector})
    assert (auth["SuccStat"], policy["SuccStat"], policy["SumPeriod"], policy["PolicyInfos"]) == (1, 1, 0, [])


def test_more_than_50_stations_are_refused(world: World) -> None:
    world.link()
    answer = world.fake.call("query_station_status", {"StationIDs": [f"S{n}" for n in range(51)]})
    assert answer.ret == 4004
    assert "StationIDs" in answer.msg


def test_live_status(world: World) -> None:
    world.link()
    change_connector(world, state=ConnectorState.FAULT)
    (station,) = world.ask("query_station_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    states = {one["ConnectorID"]: one["Status"] for one in station["ConnectorStatusInfos"]}
    assert states == {world.connector: 255, world.seeded.connectors[1]: 2}


# ---------------------------------------------------------------------------------------------------- before a charge


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, 0),
        ({"state": ConnectorState.IDLE, "plugged": False}, 1),
        ({"state": ConnectorState.FAULT}, 2),
        ({"state": ConnectorState.OFFLINE}, 2),
        ({"enabled": False}, 4),
        ({"state": ConnectorState.CHARGING}, 5),
    ],
)
def test_equipment_authorisation(world: World, change: dict[str, Any], reason: int) -> None:
    world.link()
    change_connector(world, **change)
    answer = world.ask("query_equip_auth", {"EquipAuthSeq": SEQ, "ConnectorID": world.connector})
    assert (answer["EquipAuthSeq"], answer["SuccStat"], answer["FailReason"]) == (SEQ, int(reason > 0), reason)


def test_the_policy_is_the_one_the_pile_bills_by(world: World) -> None:
    world.link()
    answer = world.ask("query_equip_business_policy", {"EquipBizSeq": SEQ, "ConnectorID": world.connector})
    periods = [(one["StartTime"], one["ElecPrice"], one["SevicePrice"]) for one in answer["PolicyInfos"]]
    assert periods[0] == ("000000", Decimal("0.3000"), Decimal("0.3000"))
    assert [start for start, _, _ in periods] == ["000000", "070000", "100000", "120000", "140000"]
    assert (answer["SuccStat"], answer["SumPeriod"]) == (0, 5)


# -------------------------------------------------------------------------------------------------------- start, stop


def test_a_start_is_accepted_at_once_and_the_command_waits_for_the_pile(world: World) -> None:
    link = world.link()
    answer = start(world, PlateNum="浙AD12345", Balance=50)
    assert (answer["StartChargeSeqStat"], answer["SuccStat"], answer["FailReason"]) == (1, 0, 0)
    order = world.order(SEQ)
    assert (order.link_id, order.origin, order.plate) == (link.id, "partner", "浙AD12345")
    assert order.limit_yuan == Decimal(50)
    assert order.start_by == world.clock.now() + timedelta(seconds=45)  # the link's 50 s less 5 (DECISIONS 16)
    with world.db.read(world.tenant) as session:
        assert session.query(PileCommand).one().order_id == order.id


def test_a_link_with_a_longer_deadline_gives_the_pile_more_time(world: World) -> None:
    world.link(timing={"start_result_s": 65})
    start(world)
    assert world.order(SEQ).start_by == world.clock.now() + timedelta(seconds=60)


@pytest.mark.parametrize("balance", [None, 0, -5])
def test_no_balance_means_no_limit(world: World, balance: int | None) -> None:
    world.link()
    more: dict[str, Any] = {} if balance is None else {"Balance": balance}
    start(world, **more)
    assert world.order(SEQ).limit_yuan is None


def test_a_repeated_start_gets_the_first_answer_and_starts_nothing(world: World) -> None:
    world.link()
    first, second = start(world), start(world)
    assert first == second
    with world.db.read(world.tenant) as session:
        assert session.query(ChargeOrder).count() == session.query(PileCommand).count() == 1


def test_the_same_sequence_for_another_connector_is_refused(world: World) -> None:
    world.link()
    start(world)
    answer = start(world, world.seeded.connectors[1])
    assert (answer["SuccStat"], answer["FailReason"]) == (1, 10)


def test_many_first_calls_at_once_start_one_charge(world: World) -> None:
    world.link()
    world.ask("query_station_status", {"StationIDs": ["S0001"]})  # the token is there
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: start(world), range(6)))
    assert {(one["SuccStat"], one["StartChargeSeqStat"]) for one in answers} == {(0, 1)}
    with world.db.read(world.tenant) as session:
        assert session.query(ChargeOrder).count() == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"state": ConnectorState.OFFLINE}, 2), ({"enabled": False}, 3), ({"state": ConnectorState.FAULT}, 4)],
)
def test_a_refused_start_names_its_reason(world: World, change: dict[str, Any], reason: int) -> None:
    world.link()
    change_connector(world, **change)
    answer = start(world)
    assert (answer["SuccStat"], answer["FailReason"], answer["StartChargeSeqStat"]) == (1, reason, 4)


def test_an_occupied_connector_is_busy(world: World) -> None:
    world.link()
    start(world)
    assert start(world, seq=OTHER_SEQ)["FailReason"] == 5


def test_an_unknown_connector(world: World) -> None:
    world.link()
    answer = start(world, "0000000000000000")
    assert (answer["SuccStat"], answer["FailReason"]) == (1, 1)


def test_stop_while_charging_then_again_then_after_the_end(world: World) -> None:
    world.link()
    start(world)
    world.reading(SEQ)
    for _ in range(2):
        answer = stop(world)
        assert (answer["StartChargeSeqStat"], answer["SuccStat"], answer["FailReason"]) == (3, 0, 0)
    assert world.order(SEQ).stop_asked_by == "partner"
    world.clock.advance(timedelta(minutes=1))
    world.record(SEQ, {RateClass.FLAT: "1.0000"})
    answer = stop(world)
    assert (answer["StartChargeSeqStat"], answer["SuccStat"], answer["FailReason"]) == (4, 1, 3)


def test_a_stop_of_an_unknown_order_or_for_another_connector_stops_nothing(world: World) -> None:
    world.link()
    answer = stop(world)
    assert (answer["StartChargeSeqStat"], answer["SuccStat"], answer["FailReason"]) == (5, 1, 4)
    start(world)
    answer = stop(world, connector=world.seeded.connectors[1])
    assert (answer["SuccStat"], answer["FailReason"]) == (1, 1)
    assert world.order(SEQ).stop_asked_by is None


def test_charge_status_while_charging_and_after(world: World) -> None:
    world.link()
    start(world)
    world.clock.advance(timedelta(seconds=10))
    world.reading(SEQ)
    world.clock.advance(timedelta(minutes=20))
    world.reading(SEQ, "10.1234")
    body = world.ask("query_equip_charge_status", {"StartChargeSeq": SEQ})
    assert (body["StartChargeSeqStat"], body["TotalPower"]) == (2, Decimal("10.12"))
    assert body["TotalMoney"] == body["ElecMoney"] + body["SeviceMoney"]
    assert body["EndTime"] == china_text(world.clock.now())
    world.record(SEQ, {RateClass.FLAT: "10.5000"})
    body = world.ask("query_equip_charge_status", {"StartChargeSeq": SEQ})
    assert (body["StartChargeSeqStat"], body["TotalPower"], body["TotalMoney"]) == (
        4,
        Decimal("10.50"),
        Decimal("11.55"),
    )


def test_an_order_of_another_link_is_unknown(world: World) -> None:
    world.link()
    start(world)
    with world.db.session(world.tenant) as session:
        session.query(ChargeOrder).one().link_id = "ANOTHERLINK"
    assert world.fake.call("query_equip_charge_status", {"StartChargeSeq": SEQ}).ret == 4004
    assert stop(world)["FailReason"] == 4


def test_what_a_profile_says_about_unknown_orders(world: World, tmp_path: Any) -> None:
    path = tmp_path / "stat5.yaml"
    head = "{id: stat5, version: '1', display_name: {zh: 五, en: five}, status: partial, extends: textbook, "
    path.write_text(head + "served: {unknown_order: stat_5}}", "utf-8")
    world.link(profile=str(path))
    body = world.ask("query_equip_charge_status", {"StartChargeSeq": SEQ})
    assert (body["StartChargeSeq"], body["StartChargeSeqStat"]) == (SEQ, 5)


def test_the_whole_sequence_of_a_charge_passes_the_partners_own_checks(world: World) -> None:
    world.link()
    played = world.fake.charge(world.connector, "浙AD12345")
    assert played["ok"], played
    assert world.order(played["start_charge_seq"]).plate == "浙AD12345"
    assert world.fake.summary()["violations"] == []


def test_derived_ids_work_both_ways_n11(world: World, tmp_path: Any) -> None:
    path = tmp_path / "prefixed.yaml"
    path.write_text(
        "{id: prefixed, version: '1', display_name: {zh: 前缀, en: prefixed}, status: partial, extends: textbook,"
        " ids: {connector_id: \"concat(operator.id, '_', connector.code)\", station_id: 'pad(station.code, 20)'}}",
        "utf-8",
    )
    world.link(profile=str(path))
    wire_connector = f"MA5TEST01_{world.connector}"
    (station,) = world.ask("query_stations_info", {})["StationInfos"]
    assert station["StationID"] == "S0001".rjust(20, "0")
    assert station["EquipmentInfos"][0]["ConnectorInfos"][0]["ConnectorID"] == wire_connector
    (status,) = world.ask("query_station_status", {"StationIDs": [station["StationID"]]})["StationStatusInfos"]
    assert status["ConnectorStatusInfos"][0]["ConnectorID"] == wire_connector
    answer = start(world, wire_connector, seq=f"{PARTNER}_260302080000000000000001")
    assert (answer["SuccStat"], answer["ConnectorID"]) == (0, wire_connector)
    assert start(world, world.connector, seq=OTHER_SEQ)["FailReason"] == 1


def test_disabled_piles_are_not_told_of(world: World) -> None:
    world.link()
    with world.db.session(world.tenant) as session:
        session.query(Pile).one().enabled = False
    (station,) = world.ask("query_station_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    assert station["ConnectorStatusInfos"] == []
