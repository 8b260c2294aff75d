"""Regulators are told what they want to hear, once, in order, and what they answer decides; against the fake regulator over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.piles.events import ConnectorStatus
from charging_core.stations.catalog import disable_station
from charging_core.stations.model import Connector, Station
from municipal.fake.config import DEFAULT_NAMES
from municipal.model import RegulatorLastValue, RegulatorLink
from tests.municipal.regulator_bench import KEYS, Bench, benches, bodies
from worker import repair
from worker.api import State

HOUR = timedelta(hours=1, minutes=6)  # an hour and all of its jitter


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Iterator[Bench]:
    yield from benches(db, manual_clock)


def statuses(bench: Bench) -> list[tuple[str, str]]:
    return [(row.object_key[-2:], row.state) for row in bench.deliveries("connector_status")]


def test_a_saved_link_is_told_of_everything_in_scope(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    (station,) = bodies(fake, "station_info")
    assert (station["OperatorID"], station["EquipmentOwnerID"], station["StationID"]) == (
        "MA5TEST01",
        "999999999",
        "S0001",
    )
    assert (station["StationLng"], station["StationLat"]) == (Decimal("120.158276"), Decimal("30.285134"))
    (equipment,) = station["EquipmentInfos"]
    codes = [connector["ConnectorID"] for connector in equipment["ConnectorInfos"]]
    assert codes == [f"{bench.seeded.pile_code}1", f"{bench.seeded.pile_code}2"]
    policies = [(policy["StartTime"], policy["EndTime"], policy["ElecFee"]) for policy in station["PolicyInfos"]]
    assert policies[0] == ("000000", "070000", Decimal("0.3000"))
    assert policies[-1] == ("140000", "240000", Decimal("0.7000"))
    assert [body["Status"] for body in bodies(fake, "connector_status")] == [2, 2]
    assert fake.findings("violation") == []


def test_station_information_is_accepted_before_a_status_is_told(bench: Bench) -> None:
    fake = bench.regulator()
    fake.faults.replace([{"kind": "ret", "interface": fake.names["station_info"], "value": 500}])
    bench.pump()
    assert bodies(fake, "connector_status") == []
    assert {state for _, state in statuses(bench)} == {State.WAITING}
    bench.pass_time(seconds=15)
    bench.pass_time(seconds=20)
    order = [push["interface"] for push in fake.summary()["pushes"] if push["accepted"]]
    assert order == [fake.names["station_info"], fake.names["connector_status"], fake.names["connector_status"]]


def test_a_status_that_maps_to_the_same_value_is_not_told_twice(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    fake.reset()
    bench.status(ConnectorStatus.IDLE)
    bench.pump()
    bench.pass_time(seconds=30)
    bench.status(ConnectorStatus.OFFLINE)
    bench.status(ConnectorStatus.IDLE)
    bench.status(ConnectorStatus.IDLE, plugged=True)
    bench.pump()
    assert [(body["Status"], body["ParkStatus"]) for body in bodies(fake, "connector_status")] == [
        (1, 0),
        (0, 0),
        (1, 0),
        (2, 50),
    ]
    assert fake.findings() == []


def test_plugged_and_finished_are_one_status_for_the_province(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    with bench.db.session(bench.seeded.tenant_id) as session:
        connector = session.scalars(select(Connector).where(Connector.number == 2)).one()
        connector.version += 1
        connector.state = "finished"
    bench.save(fake.base_url, name="renamed")
    bench.pump()
    states = [(row.state, row.reason) for row in bench.deliveries("connector_status") if row.object_key.endswith("02")]
    assert states == [("delivered", None), ("superseded", "unchanged since last accepted")]
    assert fake.findings("violation") == []


def test_a_failed_status_holds_up_its_connector_and_no_other(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    fake.reset()
    fake.faults.replace([{"kind": "ret", "interface": fake.names["connector_status"], "value": -1}])
    bench.status(ConnectorStatus.IDLE, number=1)
    bench.pump()
    bench.status(ConnectorStatus.OFFLINE, number=1)
    bench.status(ConnectorStatus.IDLE, number=2)
    bench.pump()
    assert [(body["ConnectorID"][-1], body["Status"]) for body in bodies(fake, "connector_status")] == [("2", 1)]
    bench.pass_time(seconds=6)
    assert [(body["ConnectorID"][-1], body["Status"]) for body in bodies(fake, "connector_status")] == [
        ("2", 1),
        ("1", 1),
        ("1", 0),
    ]
    assert fake.findings() == []


def test_an_order_is_told_once_and_confirmed(bench: Bench) -> None:
    fake = bench.regulator()
    bench.pump()
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=20))
    settled = bench.settle(order)
    bench.pump()
    (body,) = bodies(fake, "order")
    assert (body["OrderNo"], body["StopReason"], body["PayChannel"]) == (order.start_charge_seq, "1", 6)
    assert (body["TotalElect"], body["TotalElecMoney"], body["TotalServiceMoney"], body["TotalMoney"]) == (
        settled.energy_kwh,
        settled.elec_fee,
        settled.service_fee,
        settled.total_fee,
    )
    assert (body["FlatElect"], body["CuspElect"], body["ValleyElect"]) == (Decimal(10), 0, 0)
    assert (bench.delivery("order").state, bench.delivery("order").object_key) == ("delivered", order.id)
    assert fake.findings("violation") == []


def test_the_demo_of_a_whole_charge_leaves_no_violation_and_no_late_push(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    order = bench.charging()
    bench.pump()
    for minute in range(1, 41):
        bench.clock.advance(timedelta(seconds=45))
        bench.tell(bench.sample(order, f"{minute}"))
        bench.tick()
    bench.settle(order, "40")
    bench.status(ConnectorStatus.IDLE, number=1)
    bench.pump()
    told = {kind: len(bodies(fake, kind)) for kind in fake.names}
    assert told == {"station_info": 1, "connector_status": 4, "charge_status": 9, "order": 1, "realtime_power": 3}
    assert fake.findings() == []
    rows = [row for kind in fake.names for row in bench.deliveries(kind)]
    assert {row.state for row in rows} <= {State.DELIVERED, State.SUPERSEDED}


@pytest.mark.parametrize("fault", [{"kind": "ret", "value": 500}, {"kind": "confirm_result", "value": 2}])
def test_an_unconfirmed_order_is_told_again_hourly(bench: Bench, fault: dict[str, Any]) -> None:
    fake = bench.regulator()
    bench.pump()
    fake.faults.replace([{"interface": fake.names["order"], "times": 2, **fault}])
    bench.settle(bench.charging())
    bench.pump()
    begun = bench.clock.now()
    while bench.delivery("order").state == State.WAITING and bench.clock.now() - begun < 3 * HOUR:
        bench.pass_time(minutes=1)
    moments = [(attempt.started_at - begun) / timedelta(hours=1) for attempt in bench.attempts(bench.delivery("order"))]
    assert [round(moment) for moment in moments] == [0, 1, 2]
    assert all(abs(moment - hours) <= 0.25 for moment, hours in zip(moments, (0, 1, 2), strict=True))
    assert bench.delivery("order").state == State.DELIVERED


def test_4015_ends_the_retry_as_if_stored(bench: Bench) -> None:
    fake = bench.regulator(duplicate_ret=4015)
    bench.pump()
    fake.faults.replace([{"kind": "wrong_sig", "interface": fake.names["order"]}])
    bench.settle(bench.charging())
    bench.pump()
    bench.clock.advance(HOUR)
    bench.pump()
    found = bench.delivery("order")
    assert (found.state, found.outcome, found.code, found.attempt_count) == ("delivered", "ignored", "4015", 2)
    bench.clock.advance(3 * HOUR)
    bench.pump()
    assert bench.delivery("order").attempt_count == 2


def test_a_contested_order_is_a_persons_case(bench: Bench) -> None:
    fake = bench.regulator()
    bench.pump()
    fake.faults.replace([{"kind": "confirm_result", "interface": fake.names["order"], "value": 1}])
    bench.settle(bench.charging())
    bench.pump()
    found = bench.delivery("order")
    assert (found.state, found.outcome, found.dispute) == ("rejected", "business_refused", True)


def test_a_lost_token_is_renewed_once_and_nobody_notices(bench: Bench) -> None:
    fake = bench.regulator()
    bench.pump()
    fake.reset()
    fake.faults.replace([{"kind": "4002_once", "interface": fake.names["order"]}])
    bench.settle(bench.charging())
    bench.pump()
    pushes = [
        (e["interface"], e["answer"]["Ret"])
        for e in fake.received()
        if e["interface"] in ("query_token", fake.names["order"])
    ]
    assert pushes == [(fake.names["order"], 4002), ("query_token", 0), (fake.names["order"], 0)]
    assert bench.delivery("order").attempt_count == 1


def test_a_platform_that_never_takes_our_token_is_asked_twice_per_attempt(bench: Bench) -> None:
    fake = bench.regulator()
    bench.pump()
    fake.reset()
    fake.faults.replace([{"kind": "ret", "interface": fake.names["order"], "value": 4002, "times": None}])
    bench.settle(bench.charging())
    bench.pump()
    calls = [e["interface"] for e in fake.received() if e["interface"] == fake.names["order"]]
    assert len(calls) == 2
    assert (bench.delivery("order").state, bench.delivery("order").code) == ("waiting", "4002")


def test_a_wrong_signature_holds_the_platform_and_nothing_is_lost(bench: Bench) -> None:
    fake = bench.regulator()
    bench.pump()
    fake.faults.replace([{"kind": "ret", "interface": "*", "value": 4001, "times": 1}])
    bench.settle(bench.charging())
    bench.pump()
    assert bench.held()
    bench.clock.advance(HOUR)
    assert bench.pump() == 0
    with bench.db.session(bench.seeded.tenant_id) as session:
        repair.release(session, bench.destination(), bench.clock)
    bench.pump()
    assert bench.delivery("order").state == State.DELIVERED


def test_a_wrong_secret_holds_the_platform_before_anything_is_sent(bench: Bench) -> None:
    fake = bench.regulator(keys={**KEYS, "operator_secret": "another-secret-1"})
    bench.pump()
    assert bench.held()
    assert {entry["interface"] for entry in fake.received()} == {"query_token"}


def test_one_failing_regulator_does_not_touch_another(bench: Bench) -> None:
    broken, healthy = bench.regulator("broken"), bench.regulator("healthy")
    bench.settle_in()
    broken.faults.replace([{"kind": "ret", "value": 500, "times": None}])
    order = bench.charging()
    bench.pump()
    bench.settle(order)
    bench.pump()
    assert bench.delivery("order", "healthy").state == State.DELIVERED
    assert bench.delivery("order", "broken").state == State.WAITING
    assert [body["Status"] for body in bodies(healthy, "connector_status")] == [2, 2, 3]
    assert bodies(broken, "order") == []


def test_a_link_whose_profile_is_gone_does_not_stop_the_others(bench: Bench) -> None:
    bench.regulator("broken")
    healthy = bench.regulator("healthy")
    bench.pump()
    with bench.db.session(bench.seeded.tenant_id) as session:
        session.scalars(select(RegulatorLink).where(RegulatorLink.slug == "broken")).one().profile = "no-such-profile"
    bench.settle(bench.charging())
    bench.pump()
    assert len(bodies(healthy, "order")) == 1
    assert bench.deliveries("order", "broken") == []


def test_a_link_whose_keys_cannot_be_opened_is_held(bench: Bench) -> None:
    fake = bench.regulator()
    with bench.db.session(bench.seeded.tenant_id) as session:
        row = session.scalars(select(RegulatorLink)).one()
        row.outbound_keys, row.version = "k1:00000000:AAAA", row.version + 1
    bench.pump()
    assert bench.held()
    assert fake.received() == []


def test_an_answer_that_echoes_another_order_does_not_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = bench.regulator()
    bench.pump()
    honest = fake.books.order

    def lying(body: dict[str, Any], forced: int | None) -> Any:
        judgement = honest(body, forced)
        judgement.data = {**(judgement.data or {}), "OrderNo": "SOMEBODYELSES"}
        return judgement

    monkeypatch.setattr(fake.books, "order", lying)
    bench.settle(bench.charging())
    bench.pump()
    found = bench.delivery("order")
    assert (found.state, found.outcome, found.code) == ("waiting", "retryable", "0")


def test_a_discarded_push_is_delivered_and_not_repeated(bench: Bench) -> None:
    fake = bench.regulator()
    fake.faults.replace([{"kind": "status", "interface": fake.names["station_info"], "value": 1}])
    bench.pump()
    found = bench.delivery("station_info")
    assert (found.state, found.outcome) == ("delivered", "ignored")
    with bench.db.read(bench.seeded.tenant_id) as session:
        kept = session.scalars(select(RegulatorLastValue.interface)).all()
    assert "station_info" not in kept


def test_stations_of_other_provinces_are_nobodys_business(bench: Bench) -> None:
    with bench.db.session(bench.seeded.tenant_id) as session:
        session.scalars(select(Station)).one().area_code = "320106"
    fake = bench.regulator()
    bench.settle(bench.charging())
    bench.pump()
    bench.tick(15)
    assert fake.received() == []


@pytest.mark.parametrize("stations", [["S0002"], []])
def test_a_link_tells_only_of_its_stations(bench: Bench, stations: list[str]) -> None:
    fake = bench.regulator(link={"stations": stations})
    bench.settle(bench.charging())
    bench.pump()
    assert fake.received() == []


def test_swapped_coordinates_never_leave_the_house(bench: Bench) -> None:
    with bench.db.session(bench.seeded.tenant_id) as session:
        session.scalars(select(Station)).one().location = {"lng": Decimal("30.285134"), "lat": Decimal("120.158276")}
    fake = bench.regulator()
    bench.pump()
    found = bench.delivery("station_info")
    assert (found.state, found.attempt_count) == ("dead", 0)
    assert found.reason is not None
    assert "out_of_region" in found.reason
    assert fake.received() == []


def test_a_missing_member_is_named_and_nothing_is_sent(bench: Bench) -> None:
    with bench.db.session(bench.seeded.tenant_id) as session:
        session.scalars(select(Station)).one().service_tel = ""
    fake = bench.regulator()
    bench.pump()
    found = bench.delivery("station_info")
    assert (found.state, found.outcome, found.code) == ("dead", "permanent", "missing")
    assert found.reason is not None
    assert "ServiceTel" in found.reason
    assert bodies(fake, "station_info") == []


def test_codes_issued_by_the_province_are_told(bench: Bench) -> None:
    codes = {"station": {"S0001": "ZJ-S-1"}, "pile": {bench.seeded.pile_code: "ZJ-P-1"}}
    fake = bench.regulator(link={"assigned_codes": codes})
    bench.pump()
    (station,) = bodies(fake, "station_info")
    assert station["StationUniqueID"] == "ZJ-S-1"
    assert station["EquipmentInfos"][0]["EquipmentUniqueID"] == "ZJ-P-1"
    assert "ConnectorUniqueID" not in station["EquipmentInfos"][0]["ConnectorInfos"][0]


def test_a_station_out_of_use_is_told_as_closed(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    with bench.db.session(bench.seeded.tenant_id) as session:
        disable_station(session, bench.clock, session.scalars(select(Station)).one())
    bench.pump()
    assert [body["StationStatus"] for body in bodies(fake, "station_info")] == [50, 5]


def test_every_call_is_recorded_under_its_wire_name_with_personal_data_masked(bench: Bench) -> None:
    names = {"order": "confirmed_order_name"}
    fake = bench.regulator(names=names, link={"wire_names": {**DEFAULT_NAMES, **names}})
    bench.pump()
    order = bench.charging()
    bench.settle(order)
    bench.pump()
    (found,) = [row for row in bench.exchanges() if row.interface == "confirmed_order_name"]
    assert (found.kind, found.direction, found.ret, found.object_key) == ("regulator", "out", 0, order.start_charge_seq)
    assert "LTEST000000000017" in bodies(fake, "order")[0]["VIN"]
    assert "LTEST" not in (found.request_body or "")
