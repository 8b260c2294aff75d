"""A charge from the request to the bill, driven by pile events on a real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import DomainEvent
from charging_core.orders.model import OrderDetail
from charging_core.orders.service import (
    Refusal,
    find_order,
)
from charging_core.orders.state import OrderState
from charging_core.piles.events import (
    ConnectorStatus,
    PileOffline,
    StartReason,
    StopAnswered,
    StopReason,
)
from charging_core.piles.model import PileCommand, TradeRecordRow
from charging_core.piles.ports import CommandState
from charging_core.stations.model import Connector
from tests.charging_core.orders.orders_support import Bench


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def test_a_charge_goes_through_and_is_billed_by_our_tariff(bench: Bench) -> None:
    order = bench.started()
    assert bench.wakes.piles == [bench.seeded.pile_code]
    assert bench.deliver_commands() == ["start"]
    assert bench.state(order) == OrderState.STARTING
    bench.tell(bench.answer(order))
    assert bench.state(order) == OrderState.ACCEPTED
    bench.tell(bench.sample(order))
    bench.clock.advance(timedelta(minutes=20))
    bench.tell(bench.sample(order, "9.5"))
    assert bench.stop(order).refusal is None
    bench.tell(StopAnswered(order.trade_number, bench.seeded.pile_code, 1, True, StopReason.NONE, bench.clock.now()))
    bench.tell(bench.record(order))
    done = bench.order(order)
    assert (done.state, done.energy_kwh, done.elec_fee, done.service_fee) == (
        "settled",
        Decimal(10),
        Decimal(7),
        Decimal(4),
    )
    assert (done.stop_reason, done.stop_code, done.review) == ("partner", 0x40, None)
    assert bench.events() == ["order.started", "order.stopped", "order.settled"]


def test_what_is_told_has_rising_versions_and_the_bill(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order))
    with bench.db.read(bench.seeded.tenant_id) as session:
        told = session.scalars(
            select(DomainEvent).where(DomainEvent.subject_id == order.id).order_by(DomainEvent.id)
        ).all()
    assert [event.version for event in told] == [1, 2, 3]
    settled = told[-1].snapshot
    assert settled["total_fee"] == Decimal("11.00")
    assert [(d["class"], d["energy_kwh"]) for d in settled["details"]] == [("flat", Decimal(10))]
    assert settled["connector"]["code"] == bench.connector


def test_the_same_start_again_is_the_same_order_and_sends_nothing_new(bench: Bench) -> None:
    first, again = bench.start(), bench.start()
    assert first.order is not None
    assert again.order is not None
    assert (again.order.id, again.repeated) == (first.order.id, True)
    assert bench.deliver_commands() == ["start"]
    assert bench.start(connector=bench.seeded.connectors[1]).refusal is Refusal.CONFLICTING_REPEAT


def test_a_second_customer_is_told_that_the_connector_is_busy(bench: Bench) -> None:
    bench.charging()
    assert bench.start("OTHER").refusal is Refusal.BUSY


def test_an_unknown_connector_is_refused(bench: Bench) -> None:
    assert bench.start(connector="99999999999999" + "01").refusal is Refusal.NO_SUCH_CONNECTOR


def test_an_offline_connector_is_refused(bench: Bench) -> None:
    with bench.db.session(bench.seeded.tenant_id) as session:
        for connector in session.scalars(select(Connector)):
            connector.state = "offline"
    assert bench.start().refusal is Refusal.OFFLINE


@pytest.mark.parametrize("reason", [StartReason.BUSY, StartReason.FAULT, StartReason.WRONG_PILE])
def test_a_refused_start_fails_and_says_why(bench: Bench, reason: StartReason) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(order, ok=False, reason=reason))
    assert (bench.state(order), bench.order(order).failure) == ("failed", reason.value)
    assert bench.events() == ["order.start_failed"]


def test_not_plugged_in_is_not_final(bench: Bench) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(order, ok=False, reason=StartReason.NOT_PLUGGED))
    assert bench.state(order) == OrderState.WAIT_PLUG
    bench.pass_time(30)
    bench.tell(bench.answer(order), bench.sample(order))
    assert bench.state(order) == OrderState.CHARGING


def test_a_start_that_is_never_seen_charging_fails_in_time_and_is_stopped(bench: Bench) -> None:
    order = bench.started(start_within_s=45)
    bench.deliver_commands()
    bench.tell(bench.answer(order))
    bench.pass_time(44)
    assert bench.state(order) == OrderState.ACCEPTED
    bench.pass_time(2)
    assert bench.state(order) == OrderState.FAILED
    assert bench.deliver_commands() == ["stop"]
    bench.tell(bench.record(order, "1.0000"))
    assert bench.state(order) == OrderState.SETTLED


def test_a_start_that_cannot_be_delivered_fails(bench: Bench) -> None:
    order = bench.started()
    command = bench.source.pending([bench.seeded.pile_code])[0]
    assert bench.source.mark(command.id, CommandState.EXPIRED, "pile is not connected")
    assert bench.state(order) == OrderState.FAILED
    assert not bench.source.mark(command.id, CommandState.SENT, "")


def test_a_stop_before_the_start_left_withdraws_it(bench: Bench) -> None:
    order = bench.started()
    bench.stop(order)
    assert bench.state(order) == OrderState.FAILED
    assert bench.deliver_commands() == []


def test_a_stop_never_reaches_the_next_customer(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    bench.tell(bench.record(order))
    bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))
    bench.started(seq="NEXT")
    assert bench.deliver_commands() == ["start"]


def test_a_stop_is_asked_again_and_then_given_up_visibly(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    sent = bench.deliver_commands()
    for _ in range(10):
        bench.pass_time(16)
        sent += bench.deliver_commands()
    assert sent == ["stop", "stop", "stop"]
    assert (bench.state(order), bench.order(order).review) == ("abnormal", "no trade record")
    assert bench.stop(order).refusal is Refusal.ALREADY_ENDED


def test_one_idle_frame_is_a_glitch_two_end_the_charge(bench: Bench) -> None:
    order = bench.charging()
    idle = bench.sample(None, status=ConnectorStatus.IDLE)
    bench.tell(idle)
    bench.tell(bench.sample(order, "1"))
    bench.tell(idle)
    assert bench.state(order) == OrderState.CHARGING
    bench.tell(idle)
    assert bench.state(order) == OrderState.ENDED_NO_RECORD
    bench.pass_time(31)
    assert bench.state(order) == OrderState.ABNORMAL


def test_a_late_record_bills_an_abnormal_order(bench: Bench) -> None:
    order = bench.charging()
    idle = bench.sample(None, status=ConnectorStatus.IDLE)
    bench.tell(idle, idle)
    bench.pass_time(31)
    bench.pass_time(3 * 3600)
    bench.tell(bench.record(order))
    assert (bench.state(order), bench.events()[-1]) == ("settled", "order.settled")


def test_a_repeated_record_bills_once_and_a_changed_one_is_kept_as_conflict(bench: Bench) -> None:
    order = bench.charging()
    record = bench.record(order)
    bench.tell(record, replace(record, raw="68 other sequence"))
    bench.tell(bench.record(order, "99.0000"))
    assert bench.order(order).total_fee == Decimal("11.00")
    with bench.db.read(bench.seeded.tenant_id) as session:
        rows = session.execute(select(TradeRecordRow.state, TradeRecordRow.seen).order_by(TradeRecordRow.id)).all()
        assert [tuple(row) for row in rows] == [("applied", 3), ("conflict", 1)]
        assert session.scalar(select(func.count()).select_from(OrderDetail)) == 1
    assert bench.events().count("order.settled") == 1


def test_a_record_for_no_order_is_parked(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order, trade_number="32010600010001012603020800009999"))
    with bench.db.read(bench.seeded.tenant_id) as session:
        parked = session.scalars(select(TradeRecordRow)).one()
    assert (parked.state, parked.order_id, parked.raw) == ("parked", None, "68")
    assert bench.state(order) == OrderState.CHARGING


def test_a_short_record_is_kept_but_not_billed(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order, complete=False))
    assert bench.state(order) == OrderState.CHARGING


def test_a_failed_start_with_an_empty_record_stays_failed(bench: Bench) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.record(order, "0", stop_code=0x57))
    assert (bench.state(order), bench.order(order).failure) == ("failed", "pile code 0x57")


def test_a_lost_link_does_not_end_the_charge(bench: Bench) -> None:
    order = bench.charging()
    with bench.db.system("test") as session:
        session.scalars(select(Connector)).first().pile.connection_id = "c1"  # type: ignore[union-attr]
    bench.tell(PileOffline(bench.seeded.pile_code, "c0", "replaced", bench.clock.now()))
    assert not bench.order(order).link_lost
    bench.tell(PileOffline(bench.seeded.pile_code, "c1", "silent", bench.clock.now()))
    assert (bench.state(order), bench.order(order).link_lost) == ("charging", True)
    bench.tell(bench.sample(order, "3"))
    assert not bench.order(order).link_lost


def test_a_clock_hours_off_does_not_move_the_bill(bench: Bench) -> None:
    order = bench.charging()
    wrong: Callable[[datetime], datetime] = lambda at: at - timedelta(hours=9)  # noqa: E731
    now = bench.clock.advance(timedelta(minutes=20))
    bench.tell(bench.record(order, started_at=wrong(now), ended_at=wrong(now)))
    done = bench.order(order)
    assert done.started_at is not None
    assert abs(done.started_at - now) < timedelta(minutes=30)


def test_the_payers_limit_stops_the_charge_before_it_is_passed(bench: Bench) -> None:
    order = bench.charging(limit_yuan=Decimal("5.00"))
    for energy in ("1.0", "2.0", "3.0"):
        bench.clock.advance(timedelta(seconds=15))
        bench.tell(bench.sample(order, energy))
    assert bench.state(order) == OrderState.CHARGING
    bench.tell(bench.sample(order, "4.0"))
    assert (bench.state(order), bench.order(order).stop_asked_by) == ("stopping", "platform")
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert session.scalars(select(PileCommand.kind).where(PileCommand.kind == "stop")).all() == ["stop"]


def test_a_pile_amount_that_differs_goes_to_review_and_our_bill_stands(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order, total_amount_yuan=Decimal("13.0000")))
    done = bench.order(order)
    assert done.total_fee == Decimal("11.00")
    assert done.review is not None
    assert "13.0000" in done.review


def test_the_connector_tells_plugged_charging_finished_free(bench: Bench) -> None:
    order = bench.charging()
    plugged = bench.sample(None, status=ConnectorStatus.IDLE)
    bench.tell(bench.record(order), plugged, plugged)
    bench.tell(replace(plugged, plugged=False))
    with bench.db.read(bench.seeded.tenant_id) as session:
        told = session.scalars(
            select(DomainEvent).where(DomainEvent.type == "connector.status_changed").order_by(DomainEvent.version)
        ).all()
    assert [event.snapshot["state"] for event in told] == ["charging", "finished", "idle"]


def test_a_replayed_sample_of_a_finished_charge_changes_nothing(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order), bench.sample(None, status=ConnectorStatus.IDLE))
    bench.tell(bench.sample(order, "5"))
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert session.scalars(select(Connector.state).where(Connector.code == bench.connector)).one() == "finished"


def test_an_order_is_found_by_any_of_its_three_numbers(bench: Bench) -> None:
    order = bench.started()
    assert order.trade_number is not None
    assert order.trade_number.startswith(bench.connector)
    assert len(order.trade_number) == 32
    with bench.db.read(bench.seeded.tenant_id) as session:
        names = (order.id, order.trade_number, "MA5PARTNR260302080000000001")
        assert {found.id for name in names if (found := find_order(session, name))} == {order.id}
