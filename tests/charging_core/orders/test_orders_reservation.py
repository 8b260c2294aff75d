"""A connector kept for one payer: others are refused and told so, its own start frees it, its end frees it too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.events import DomainEvent
from charging_core.orders.model import Origin
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.model import Reservation
from charging_core.orders.reservations.service import (
    LONGEST_MINUTES,
    Reserved,
    Wish,
    cancel,
    find_reservation,
    reserve,
    sweep_reservations,
)
from charging_core.orders.service import Refusal
from charging_core.piles.events import ConnectorStatus, PileOffline
from charging_core.stations.model import Connector
from tests.charging_core.orders.orders_support import Bench

ANNA = Holder(plate="浙A12345", phone="13800000001")
BY_PHONE: dict[str, object] = {"origin": Origin.APP, "link_id": "app:green", "phone": "13800000001"}
DESK = "app:green"


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def asked(bench: Bench, request_id: str = "R1", **more: object) -> Reserved:
    wish = Wish(
        connector_code=bench.connector, desk=DESK, request_id=request_id, minutes=15, payer=ANNA, asked_by="token:app"
    )
    with bench.db.session(bench.seeded.tenant_id) as session:
        return reserve(session, bench.context, replace(wish, **more))  # type: ignore[arg-type]


def reserved(bench: Bench) -> Reservation:
    made = asked(bench).reservation
    assert made is not None
    return made


def outcome(bench: Bench, reservation: Reservation) -> tuple[str, str | None]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        found = session.get_one(Reservation, reservation.id)
        return found.state, found.order_id


def connector_state(bench: Bench) -> str:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return session.scalars(select(Connector.state).where(Connector.code == bench.connector)).one()


def told(bench: Bench) -> list[str]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        events = session.scalars(
            select(DomainEvent).where(DomainEvent.type == "connector.status_changed").order_by(DomainEvent.id)
        ).all()
    return [event.snapshot["state"] for event in events]


def pass_minutes(bench: Bench, minutes: int) -> int:
    bench.clock.advance(timedelta(minutes=minutes))
    return sweep_reservations(bench.db, bench.context)


def test_others_are_refused_and_the_payer_is_not(bench: Bench) -> None:
    reservation = reserved(bench)
    assert (connector_state(bench), bench.start("OTHER").refusal) == ("reserved", Refusal.RESERVED)
    order = bench.started(seq="MINE", **BY_PHONE)
    assert outcome(bench, reservation) == ("used", order.id)
    assert bench.deliver_commands() == ["start"]
    assert told(bench) == ["reserved", "plugged"]
    bench.tell(bench.answer(order), bench.sample(order), bench.record(order))
    bench.tell(replace(bench.sample(None, status=ConnectorStatus.IDLE), plugged=False))
    assert bench.start("OTHER").refusal is None


@pytest.mark.parametrize("known_by", [{"plate": "浙A12345"}, {"phone": "13800000001"}])
def test_a_partners_customer_is_known_by_what_his_platform_tells_of_him(bench: Bench, known_by: dict[str, str]) -> None:
    reserved(bench)
    assert bench.start("NOBODY", plate="浙B99999").refusal is Refusal.RESERVED
    assert bench.start("SOMEBODY", **known_by).refusal is None


def test_the_number_of_the_reservation_opens_it(bench: Bench) -> None:
    nobody = asked(bench, payer=Holder()).reservation
    assert nobody is not None
    assert bench.start("OTHER", reservation_id="0" * 26).refusal is Refusal.RESERVED
    assert bench.start("MINE", reservation_id=nobody.id).refusal is None


def test_a_pile_that_reports_idle_leaves_it_reserved(bench: Bench) -> None:
    reserved(bench)
    idle = bench.sample(None, status=ConnectorStatus.IDLE)
    bench.tell(idle, replace(idle, plugged=False), idle)
    assert connector_state(bench) == "reserved"
    assert bench.start("OTHER").refusal is Refusal.RESERVED


def test_faults_and_lost_links_are_told_as_they_are_and_the_reservation_outlives_them(bench: Bench) -> None:
    reservation = reserved(bench)
    with bench.db.system("test") as session:
        for connector in session.scalars(select(Connector)):
            connector.pile.connection_id = "c1"
    bench.tell(PileOffline(bench.seeded.pile_code, "c1", "silent", bench.clock.now()))
    assert (connector_state(bench), bench.start("OTHER").refusal) == ("offline", Refusal.OFFLINE)
    bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))
    assert (connector_state(bench), outcome(bench, reservation)) == ("reserved", ("held", None))


def test_it_ends_by_itself(bench: Bench) -> None:
    reservation = reserved(bench)
    assert pass_minutes(bench, 14) == 0
    assert pass_minutes(bench, 1) == 1
    assert (outcome(bench, reservation), connector_state(bench)) == (("expired", None), "plugged")
    assert told(bench) == ["reserved", "plugged"]
    assert bench.start("OTHER").refusal is None


def test_a_start_after_its_time_does_not_wait_for_the_sweep(bench: Bench) -> None:
    reservation = reserved(bench)
    bench.clock.advance(timedelta(minutes=15))
    assert bench.start("OTHER").refusal is None
    assert outcome(bench, reservation) == ("expired", None)


def test_it_can_be_given_back_once(bench: Bench) -> None:
    reservation = reserved(bench)
    with bench.db.session(bench.seeded.tenant_id) as session:
        cancel(session, bench.context, reservation.id, "token:app")
    assert (outcome(bench, reservation), connector_state(bench)) == (("cancelled", None), "plugged")
    for name, error in ((reservation.id, Conflict), ("0" * 26, NotFound)):
        with bench.db.session(bench.seeded.tenant_id) as session, pytest.raises(error):
            cancel(session, bench.context, name, "token:app")
    assert asked(bench, "R2").refusal is None


def test_the_same_request_is_the_same_reservation(bench: Bench) -> None:
    first = reserved(bench)
    again = asked(bench)
    assert again.reservation is not None
    assert (again.reservation.id, again.repeated) == (first.id, True)
    assert asked(bench, connector_code=bench.seeded.connectors[1]).refusal is Refusal.CONFLICTING_REPEAT
    with bench.db.read(bench.seeded.tenant_id) as session:
        found = [find_reservation(session, desk, "R1") for desk in (DESK, "app:blue")]
    assert [one and one.id for one in found] == [first.id, None]


def test_what_is_taken_cannot_be_reserved(bench: Bench) -> None:
    reserved(bench)
    assert asked(bench, "R2").refusal is Refusal.RESERVED
    assert asked(bench, "R3", connector_code="9" * 16).refusal is Refusal.NO_SUCH_CONNECTOR
    bench.started(seq="MINE", **BY_PHONE)
    assert asked(bench, "R4").refusal is Refusal.BUSY
    order = bench.charging(seq="B", connector=bench.seeded.connectors[1])
    second = {"connector_code": bench.seeded.connectors[1]}
    bench.tell(*[replace(e, connector_no=2) for e in (bench.sample(order), bench.record(order))])
    bench.tell(replace(bench.sample(None, status=ConnectorStatus.IDLE), connector_no=2))
    assert asked(bench, "R5", **second).refusal is Refusal.BUSY, "the car of the last charge still stands there"


@pytest.mark.parametrize("minutes", [0, LONGEST_MINUTES + 1])
def test_nobody_reserves_for_no_time_or_for_ever(bench: Bench, minutes: int) -> None:
    with pytest.raises(InvalidInput):
        asked(bench, minutes=minutes)


def test_a_charge_that_the_pile_began_by_itself_is_not_undone_by_a_reservation(bench: Bench) -> None:
    reserved(bench)
    unasked = replace(bench.sample(None, "2"), trade_number="32010600010001012603020900000007")
    bench.tell(unasked)
    assert connector_state(bench) == "charging"
    assert bench.start("MINE", **BY_PHONE).refusal is Refusal.BUSY  # type: ignore[arg-type]


def together(*calls: Callable[[], Any]) -> list[Any]:
    """All calls at the same instant."""
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(run, call) for call in calls]]


def test_one_request_at_two_connectors_at_once_keeps_one_of_them(bench: Bench) -> None:
    outcomes = together(*[partial(asked, bench, connector_code=code) for code in bench.seeded.connectors])
    assert sorted(str(outcome.refusal) for outcome in outcomes) == ["None", "conflicting_repeat"]


def test_a_reservation_and_a_start_at_once_are_one_of_both(bench: Bench) -> None:
    outcomes = together(partial(asked, bench), partial(bench.start, "OTHER"))
    assert sorted(str(outcome.refusal) for outcome in outcomes) in (["None", "busy"], ["None", "reserved"])
