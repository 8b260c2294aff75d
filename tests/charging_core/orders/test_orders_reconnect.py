"""Links that break and come back, charges of nobody, records that are awaited, and stops that must not meet the next customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.money import ZERO
from charging_core.monitoring.alarm import Alarm
from charging_core.orders.bills import staff
from charging_core.orders.bills.keep import bills_of
from charging_core.orders.bills.staff import Correction, Staff
from charging_core.orders.model import ChargeOrder
from charging_core.orders.provisional import UNASKED
from charging_core.orders.rules import MissingRecord
from charging_core.orders.service import Refusal
from charging_core.orders.state import OrderState
from charging_core.piles.events import ConnectorStatus, PileOffline, StopAnswered, StopReason
from charging_core.piles.model import PileCommand, TradeRecordRow
from charging_core.piles.ports import CommandState
from charging_core.tariffs.periods import RateClass
from tests.charging_core.orders.orders_support import Bench, log_in

UNKNOWN = "32010600010001012603020900000007"


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def lose_link(bench: Bench, connection: str = "c1") -> None:
    bench.tell(PileOffline(bench.seeded.pile_code, connection, "silent", bench.clock.now()))


def idle(bench: Bench, times: int = 1) -> None:
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * times)


def alarms(bench: Bench, *, still_open: bool = True) -> list[str]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        query = select(Alarm.kind).where(Alarm.cleared_at.is_(None)) if still_open else select(Alarm.kind)
        return list(session.scalars(query.order_by(Alarm.id)))


def commands(bench: Bench, kind: str) -> list[tuple[str, str | None]]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        query = select(PileCommand.state, PileCommand.detail).where(PileCommand.kind == kind).order_by(PileCommand.id)
        return [(state, detail) for state, detail in session.execute(query)]


def abnormal(bench: Bench, **more: object) -> ChargeOrder:
    """A charge that ended, and whose record does not come."""
    order = bench.charging(**more)
    idle(bench, 2)
    bench.pass_time(31)
    assert bench.state(order) == OrderState.ABNORMAL
    bench.deliver_commands()
    return order


# -- reconnect in the middle (P7)


def test_a_charge_goes_on_after_a_reconnect_and_no_start_is_sent_again(bench: Bench) -> None:
    log_in(bench)
    order = bench.charging()
    lose_link(bench)
    bench.pass_time(600)
    log_in(bench, "c2")
    bench.tell(bench.sample(order, "5"))
    assert (bench.state(order), bench.order(order).link_lost) == ("charging", False)
    assert bench.deliver_commands() == []


def test_a_charge_that_ended_meanwhile_waits_five_minutes_for_its_record(bench: Bench) -> None:
    log_in(bench)
    order = bench.charging()
    lose_link(bench)
    bench.pass_time(600)
    log_in(bench, "c2")
    idle(bench, 2)
    bench.pass_time(290)
    assert bench.state(order) == OrderState.ENDED_NO_RECORD
    bench.pass_time(20)
    assert (bench.state(order), bench.order(order).review) == ("abnormal", "no trade record")
    bench.tell(bench.record(order))
    assert bench.state(order) == OrderState.SETTLED


def test_a_pile_that_says_idle_is_asked_again_at_once(bench: Bench) -> None:
    order = bench.charging()
    idle(bench)
    assert bench.deliver_commands() == ["read"]
    bench.tell(bench.sample(order, "1"))
    assert (bench.state(order), bench.order(order).idle_seen) == ("charging", 0)


def test_trouble_during_a_charge_keeps_it_open_and_tells_the_staff(bench: Bench) -> None:
    order = bench.charging()
    for status in (ConnectorStatus.FAULT, ConnectorStatus.OFFLINE):
        bench.tell(replace(bench.sample(order, "1", status=status), faults=("emergency_stop",)))
    assert (bench.state(order), alarms(bench)) == ("charging", ["charge_interrupted"])
    bench.tell(bench.sample(order, "2"))
    assert (bench.state(order), alarms(bench)) == ("charging", [])


# -- a charge of nobody (P7)


def unasked(bench: Bench, energy: str = "1") -> ChargeOrder:
    bench.tell(replace(bench.sample(None, energy), trade_number=UNKNOWN))
    with bench.db.read(bench.seeded.tenant_id) as session:
        return session.scalars(select(ChargeOrder).where(ChargeOrder.trade_number == UNKNOWN)).one()


def test_a_charge_that_nobody_asked_for_is_seen_and_billed_by_its_record(bench: Bench) -> None:
    order = unasked(bench)
    assert (order.state, order.origin, order.review) == ("charging", "pile", UNASKED)
    assert bench.deliver_commands() == []
    assert bench.start("NEXT").refusal is Refusal.BUSY
    bench.clock.advance(timedelta(minutes=10))
    bench.tell(replace(bench.sample(None, "3"), trade_number=UNKNOWN))
    bench.tell(bench.record(order))
    done = bench.order(order)
    assert (done.state, done.energy_kwh, done.review) == ("settled", Decimal(10), UNASKED)


def test_an_unasked_charge_without_a_record_ends_for_review(bench: Bench) -> None:
    order = unasked(bench)
    idle(bench, 2)
    bench.pass_time(31)
    assert bench.state(order) == OrderState.ABNORMAL


def test_replayed_samples_of_a_charge_whose_record_came_first_make_no_order(bench: Bench) -> None:
    other = bench.charging()
    bench.tell(bench.record(other))
    bench.tell(bench.record(other, trade_number=UNKNOWN))
    bench.tell(replace(bench.sample(None, "3"), trade_number=UNKNOWN))
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert session.scalars(select(ChargeOrder.id)).all() == [other.id]


def test_an_unknown_number_beside_an_order_is_an_alarm_and_takes_nothing_from_it(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(*[replace(bench.sample(None, "50"), trade_number=UNKNOWN)] * 2)
    sample = bench.order(order).sample
    assert sample is not None
    assert (sample["energy_kwh"], alarms(bench)) == (0, ["other_charge"])
    bench.tell(bench.record(order))
    assert alarms(bench) == []


# -- the record of the charge before (P8)


def test_a_start_waits_for_the_record_of_the_charge_before(bench: Bench) -> None:
    before = abnormal(bench)
    bench.started(seq="NEXT")
    assert bench.deliver_commands() == ["read"]
    bench.tell(bench.record(before))
    assert bench.deliver_commands() == ["start"]


def test_a_start_waits_a_few_seconds_and_no_longer(bench: Bench) -> None:
    abnormal(bench)
    order = bench.started(seq="NEXT")
    assert bench.deliver_commands() == ["read"]
    bench.pass_time(11)
    assert (bench.deliver_commands(), bench.state(order)) == (["start"], OrderState.STARTING)


def test_a_start_is_refused_meanwhile_where_the_operator_wants_that(bench: Bench) -> None:
    bench.context = replace(bench.context, missing_record=MissingRecord.REFUSE)
    before = abnormal(bench)
    assert bench.start("NEXT").refusal is Refusal.RECORD_PENDING
    bench.tell(bench.record(before))
    assert bench.start("NEXT").refusal is None


def test_a_record_that_never_comes_holds_nobody_back_for_long(bench: Bench) -> None:
    bench.context = replace(bench.context, missing_record=MissingRecord.REFUSE)
    abnormal(bench)
    bench.pass_time(601)
    assert bench.start("NEXT").refusal is None


def test_a_start_that_failed_and_may_still_send_its_record_is_awaited_too(bench: Bench) -> None:
    failed = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(failed))
    bench.pass_time(91)
    bench.deliver_commands()
    bench.started(seq="NEXT")
    assert bench.deliver_commands() == ["read"]
    bench.tell(bench.record(failed, "0", stop_code=0x57))
    assert bench.deliver_commands() == ["start"]


# -- stops (0x36 carries no trade number)


def test_a_late_stop_is_dropped_once_the_next_order_holds_the_connector(bench: Bench) -> None:
    first = bench.charging()
    bench.stop(first)
    bench.tell(bench.record(first))
    idle(bench)
    second = bench.started(seq="NEXT")
    assert bench.deliver_commands() == ["start"]
    bench.tell(replace(bench.answer(second)), bench.sample(second))
    for _ in range(8):
        bench.pass_time(16)
        assert bench.deliver_commands() == []
    assert bench.state(second) == OrderState.CHARGING


def test_a_stop_of_an_abandoned_order_is_dropped_once_the_next_one_holds_the_connector(bench: Bench) -> None:
    first = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(first))
    bench.pass_time(91)  # failed, and its stop waits
    second = bench.started(seq="NEXT")
    bench.pass_time(11)
    assert "stop" not in bench.deliver_commands()
    assert commands(bench, "stop") == [("expired", "another charge runs on the connector")]
    assert bench.state(second) == OrderState.STARTING


def test_a_stop_that_waited_for_the_link_is_not_sent_before_the_charge_shows_again(bench: Bench) -> None:
    log_in(bench)
    order = bench.charging()
    bench.stop(order)
    lose_link(bench)
    log_in(bench, "c2")
    assert "stop" not in bench.deliver_commands()
    idle(bench)
    assert "stop" not in bench.deliver_commands()
    bench.tell(bench.sample(order, "2"))
    assert bench.deliver_commands() == ["stop"]


def test_a_server_that_died_without_a_word_is_no_reason_to_replay_a_stop(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    log_in(bench, "c2")  # the end of the old connection was never told
    assert "stop" not in bench.deliver_commands()
    bench.tell(replace(bench.sample(None, "1"), trade_number=UNKNOWN))  # somebody else's off-line charge
    bench.pass_time(16)
    assert "stop" not in bench.deliver_commands()


def test_a_stop_asked_while_the_link_is_down_asks_the_pile_first(bench: Bench) -> None:
    log_in(bench)
    order = bench.charging()
    lose_link(bench)
    log_in(bench, "c2")
    bench.stop(order)
    assert bench.deliver_commands() == ["read"]
    bench.tell(bench.sample(order, "2"))
    assert (bench.deliver_commands(), bench.state(order)) == (["stop"], OrderState.STOPPING)


def test_a_charge_that_seems_over_is_not_stopped_again(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    assert bench.deliver_commands() == ["stop"]
    idle(bench)
    bench.pass_time(16)
    assert bench.deliver_commands() == []
    bench.tell(bench.sample(order, "2"))
    bench.pass_time(1)
    assert bench.deliver_commands() == ["stop"]


def test_the_last_try_to_stop_is_an_alarm_until_the_order_is_over(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    seen = []
    for _ in range(4):
        seen.append(alarms(bench))
        bench.pass_time(16)
        bench.deliver_commands()
    assert seen == [[], [], ["stop_unanswered"], ["stop_unanswered"]]
    done = StopAnswered(order.trade_number, bench.seeded.pile_code, 1, True, StopReason.NONE, bench.clock.now())
    bench.tell(done, bench.record(order))
    assert (alarms(bench), alarms(bench, still_open=False)) == ([], ["stop_unanswered"])


# -- late records (P4)


def closed(bench: Bench) -> ChargeOrder:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=20))
    bench.tell(bench.sample(order, "4"))
    idle(bench, 2)
    bench.pass_time(31)
    with bench.db.session(bench.seeded.tenant_id) as session:
        staff.close_order(session, bench.context, order.id, Staff("cli:eva", "no record"), by_samples=True)
    return order


def bills(bench: Bench, order: ChargeOrder) -> list[tuple[str, str, Decimal, Decimal]]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return [(b.kind, b.made_by, b.energy_kwh, b.refund_yuan) for b in bills_of(session, order.id)]


def test_a_late_record_settles_an_estimate_anew_and_what_was_refunded_stays_so(bench: Bench) -> None:
    order = closed(bench)
    with bench.db.session(bench.seeded.tenant_id) as session:
        staff.refund_order(session, bench.context, order.id, Staff("cli:eva", "sorry"), Decimal(1))
    bench.tell(bench.record(order, "5.0000"))
    assert bills(bench, order) == [
        ("estimate", "cli:eva", Decimal(4), ZERO), ("refund", "cli:eva", Decimal(4), Decimal(1)),
        ("record", "platform", Decimal(5), Decimal(1)),
    ]  # fmt: skip
    assert (bench.order(order).total_fee, bench.events()[-1]) == (Decimal("4.50"), "order.resettled")


def test_a_late_record_does_not_overrule_what_a_person_corrected(bench: Bench) -> None:
    order = closed(bench)
    right = Correction(energies={RateClass.FLAT: Decimal("4.5")})
    with bench.db.session(bench.seeded.tenant_id) as session:
        staff.resettle_order(session, bench.context, order.id, Staff("cli:eva", "meter photo"), right)
    bench.tell(bench.record(order, "5.0000"))
    assert bench.order(order).energy_kwh == Decimal("4.5")
    with bench.db.read(bench.seeded.tenant_id) as session:
        row = session.scalars(select(TradeRecordRow)).one()
        assert (row.state, row.problem) == (
            "parked", f"the bill of order {order.id} was corrected by hand before its record came",
        )  # fmt: skip


def test_a_command_that_asks_how_a_finished_charge_is_goes_nowhere(bench: Bench) -> None:
    order = bench.charging()
    idle(bench)
    bench.tell(bench.record(order))
    assert bench.deliver_commands() == []
    assert commands(bench, "read") == [(CommandState.EXPIRED, "the charge is over")]
