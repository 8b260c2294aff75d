"""What piles, links and clocks do wrong, one test per defect found in review: nobody pays wrongly, no order stays open."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update

from charging_core.clock import ManualClock, to_china
from charging_core.db import Database
from charging_core.errors import InvalidInput
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import Refusal
from charging_core.orders.state import OrderState, partner_stat
from charging_core.piles.events import ConnectorStatus, RateReading, StartReason, StopAnswered, StopReason
from charging_core.piles.events import RateClass as PileRate
from charging_core.piles.model import PileCommand, TradeRecordRow
from charging_core.piles.ports import CommandState
from charging_core.stations.model import Connector, Station
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import DayPeriods, Period, RateClass
from charging_core.tenants import Operator
from tests.charging_core.orders.orders_support import ZERO, Bench
from tests.support.seed import seed_operator


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def connector_state(bench: Bench) -> str:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return session.scalars(select(Connector.state).where(Connector.code == bench.connector)).one()


def records(bench: Bench) -> list[tuple[str, int]]:
    with bench.db.read_system("test") as session:
        rows = session.execute(select(TradeRecordRow.state, TradeRecordRow.seen).order_by(TradeRecordRow.id))
        return [(state, seen) for state, seen in rows]


# -- starts


def test_a_late_refusal_does_not_fail_a_charge_that_runs(bench: Bench) -> None:
    order = bench.charging()
    refusal = bench.answer(order, ok=False, reason=StartReason.BUSY)
    bench.tell(refusal)
    assert (bench.state(order), bench.order(order).failure) == ("charging", None)
    bench.stop(order)
    bench.tell(refusal)
    assert bench.state(order) == OrderState.STOPPING
    bench.tell(bench.record(order))
    assert (bench.state(order), bench.order(order).failure) == ("settled", None)
    assert bench.events() == ["order.started", "order.stopped", "order.settled"]


def test_a_start_given_back_by_a_broken_link_is_withdrawn_by_a_stop(bench: Bench) -> None:
    order = bench.started()
    command = bench.source.pending([bench.seeded.pile_code])[0]
    assert bench.source.mark(command.id, CommandState.SENT, "")
    assert bench.source.mark(command.id, CommandState.PENDING, "the link ended before it was sent")
    bench.stop(order)
    assert "start" not in bench.deliver_commands()
    assert bench.state(order) == OrderState.FAILED


def test_a_start_given_back_after_its_order_ended_is_never_sent(bench: Bench) -> None:
    order = bench.started()
    command = bench.source.pending([bench.seeded.pile_code])[0]
    assert bench.source.mark(command.id, CommandState.SENT, "")
    bench.stop(order)
    assert bench.source.mark(command.id, CommandState.PENDING, "the link ended before it was sent")
    assert bench.deliver_commands() == ["stop"]
    assert bench.state(order) == OrderState.FAILED


def test_a_failed_order_that_charges_after_all_is_stopped_until_it_stops(bench: Bench) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(order))
    bench.pass_time(91)
    assert (bench.state(order), bench.deliver_commands()) == ("failed", ["stop"])
    sent = []
    for second in (1, 16, 16):
        bench.clock.advance(timedelta(seconds=second))
        bench.tell(bench.sample(order, "0.1"))
        sent.append(bench.deliver_commands())
    assert sent == [[], ["stop"], ["stop"]]
    bench.tell(bench.record(order, "0.2000"))
    assert bench.state(order) == OrderState.SETTLED


def test_an_app_user_who_plugs_in_late_still_has_time_to_start(bench: Bench) -> None:
    order = bench.started(origin=Origin.APP, link_id="app:green")
    bench.pass_time(60)
    bench.deliver_commands()
    bench.tell(bench.answer(order, ok=False, reason=StartReason.NOT_PLUGGED))
    bench.pass_time(50)
    assert bench.state(order) == OrderState.WAIT_PLUG
    bench.tell(bench.answer(order))
    bench.pass_time(10)
    assert bench.state(order) == OrderState.ACCEPTED


def test_a_stop_that_waits_for_a_reconnect_is_dropped_when_the_record_came_first(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    bench.tell(bench.record(order))
    assert bench.deliver_commands() == []


# -- ends


def test_an_empty_record_after_a_stop_before_charging_fails_the_order(bench: Bench) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.answer(order))
    bench.stop(order)
    bench.tell(bench.record(order, "0", stop_code=0x40))
    assert (bench.state(order), bench.events()) == ("failed", ["order.start_failed"])


def test_a_charge_of_a_pile_that_never_comes_back_ends_for_review(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.sample(order, "4"))
    bench.pass_time(23 * 3600)
    assert bench.state(order) == OrderState.CHARGING
    bench.tell(bench.sample(order, "5"))
    bench.pass_time(2 * 3600)
    assert bench.state(order) == OrderState.CHARGING
    bench.pass_time(23 * 3600)
    assert (bench.state(order), bench.events()) == ("abnormal", ["order.started", "order.stopped"])
    assert bench.order(order).review
    bench.tell(bench.record(order))
    assert bench.state(order) == OrderState.SETTLED


def test_one_broken_order_does_not_stop_the_timers_of_the_others(bench: Bench) -> None:
    broken = bench.started()
    other = seed_operator(bench.db, bench.clock.now(), tenant_id="blue", number=2)
    with bench.db.system("test") as session:
        session.execute(update(Station).where(Station.tenant_id == "green").values(operator_id="NOBODY999"))
        session.execute(update(ChargeOrder).values(operator_id="NOBODY999"))
        assert session.scalars(select(Operator).where(Operator.operator_id == "NOBODY999")).first() is None
    healthy = Bench.__new__(Bench)
    healthy.__dict__.update(bench.__dict__ | {"seeded": other})
    order = healthy.started(seq="HEALTHY")
    bench.pass_time(91)
    assert (healthy.state(order), bench.state(broken)) == ("failed", "created")


def test_an_abnormal_order_that_still_charges_keeps_its_connector_busy(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    bench.pass_time(31)
    assert bench.state(order) == OrderState.ABNORMAL
    bench.tell(bench.sample(order, "5"))
    assert (connector_state(bench), bench.start("NEXT").refusal) == ("charging", Refusal.BUSY)


def test_a_stopped_order_given_up_while_the_link_was_down_is_stopped_when_it_is_seen_again(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    for _ in range(7):
        bench.pass_time(16)
    assert bench.state(order) == OrderState.ABNORMAL
    bench.tell(bench.sample(order, "5"))
    assert "stop" in bench.deliver_commands()


def test_a_first_sample_beyond_the_limit_stops_at_once(bench: Bench) -> None:
    order = bench.started(limit_yuan=Decimal("1.00"))
    bench.deliver_commands()
    bench.tell(bench.answer(order), bench.sample(order, "2.0"))
    assert (bench.state(order), bench.events()) == ("stopping", ["order.started"])


def test_a_stop_that_the_pile_confirmed_is_over_and_is_told_as_over(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    done = StopAnswered(order.trade_number, bench.seeded.pile_code, 1, True, StopReason.NONE, bench.clock.now())
    bench.tell(done, done)
    assert (partner_stat(OrderState(bench.state(order))), bench.events()) == (4, ["order.started", "order.stopped"])
    bench.pass_time(60)
    assert bench.state(order) == OrderState.ENDED_NO_RECORD
    bench.pass_time(31)
    assert bench.state(order) == OrderState.ABNORMAL


def test_a_late_record_that_fits_leaves_nothing_to_review(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    bench.pass_time(31)
    assert bench.order(order).review == "no trade record"
    bench.tell(bench.record(order))
    assert (bench.state(order), bench.order(order).review) == ("settled", None)


# -- records


def test_a_whole_record_is_billed_after_a_short_one(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order, complete=False, rates=(), total_energy_kwh=None))
    bench.tell(bench.record(order))
    assert (bench.state(order), records(bench)) == ("settled", [("conflict", 2), ("applied", 1)])


def test_a_record_of_another_pile_cannot_take_the_place_of_the_true_one(bench: Bench) -> None:
    order = bench.charging()
    other = seed_operator(bench.db, bench.clock.now(), tenant_id="blue", number=2)
    bench.tell(bench.record(order, pile_code=other.pile_code), bench.record(order, connector_no=2))
    bench.tell(bench.record(order))
    assert bench.state(order) == OrderState.SETTLED
    with bench.db.read_system("test") as session:
        kept = session.execute(select(TradeRecordRow.tenant_id, TradeRecordRow.state).order_by(TradeRecordRow.id)).all()
    assert [tuple(row) for row in kept] == [("blue", "parked"), ("green", "conflict"), ("green", "applied")]


def test_a_conflicting_record_sent_again_and_again_is_kept_once(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.record(order))
    wrong = bench.record(order, "99.0000")
    bench.tell(wrong, wrong)
    bench.tell(wrong)
    assert records(bench) == [("applied", 4), ("conflict", 3)]


def test_energy_that_is_only_in_the_rates_is_billed(bench: Bench) -> None:
    order = bench.started()
    bench.deliver_commands()
    bench.tell(bench.record(order, total_energy_kwh=ZERO))
    done = bench.order(order)
    assert (done.state, done.energy_kwh) == ("settled", Decimal(10))
    assert done.review


def test_a_rate_the_tariff_does_not_have_is_parked_and_its_neighbours_are_stored(bench: Bench) -> None:
    order = bench.charging()
    with bench.db.system("test") as session:
        only_flat = [{"start": "00:00", "class": "flat", "elec_price": Decimal("0.7"), "service_price": Decimal("0.4")}]
        version = session.scalars(select(ChargeOrder.tariff_version_id)).one()
        session.execute(update(TariffVersion).where(TariffVersion.id == version).values(periods=only_flat))
    sharp = RateReading(PileRate.SHARP, ZERO, Decimal(1), ZERO, ZERO)
    bench.tell(bench.record(order, rates=(sharp,)), bench.sample(order, "6"))
    assert records(bench) == [("parked", 1)]
    sample = bench.order(order).sample
    assert sample is not None
    assert (bench.state(order), sample["energy_kwh"]) == ("charging", 6)
    bench.tell(bench.record(order))
    assert bench.state(order) == OrderState.SETTLED


def test_values_that_no_column_takes_park_the_record_and_spare_its_neighbours(bench: Bench) -> None:
    order, other = bench.charging(), bench.started(seq="OTHER", connector=bench.seeded.connectors[1])
    answer = replace(bench.answer(other), connector_no=2)
    bench.tell(bench.record(order, meter_start_kwh=Decimal("1.00001")), answer)
    assert (records(bench), bench.state(order), bench.state(other)) == ([("parked", 1)], "charging", "accepted")
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert session.scalars(select(TradeRecordRow.problem)).one() == "1.00001 has more than 4 decimals"


def test_a_price_finer_than_its_column_is_no_tariff() -> None:
    with pytest.raises(InvalidInput):
        DayPeriods([Period(0, RateClass.FLAT, Decimal("0.700001"), Decimal("0.4"))])


# -- clocks, samples, money


def charged_for(bench: Bench, minutes: int) -> tuple[ChargeOrder, datetime, datetime]:
    order = bench.charging()
    start = bench.clock.now()
    return order, start, bench.clock.advance(timedelta(minutes=minutes))


def test_a_pile_an_hour_behind_is_billed_by_our_time(bench: Bench) -> None:
    bench.clock.set(datetime.fromisoformat("2026-03-02T08:30:00+08:00"))
    order, start, end = charged_for(bench, 180)
    late = timedelta(hours=1)
    bench.tell(bench.record(order, started_at=start - late, ended_at=end - late))
    done = bench.order(order)
    assert (done.started_at, done.ended_at) == (start, end)


def test_a_pile_ahead_whose_record_comes_late_is_billed_by_our_time(bench: Bench) -> None:
    order, start, end = charged_for(bench, 60)
    bench.clock.advance(timedelta(hours=6))
    ahead = timedelta(hours=3)
    bench.tell(bench.record(order, started_at=start + ahead, ended_at=end + ahead))
    done = bench.order(order)
    assert (done.started_at, done.ended_at) == (start, end)


def test_a_pile_whose_clock_was_set_during_the_charge_keeps_its_true_end(bench: Bench) -> None:
    order, start, end = charged_for(bench, 60)
    bench.clock.advance(timedelta(hours=6))
    bench.tell(bench.sample(order, "9"))
    wrong = start - timedelta(days=365 * 6)
    bench.tell(bench.record(order, started_at=wrong, ended_at=end))
    done = bench.order(order)
    assert (done.started_at, done.ended_at) == (start, end)


def test_a_sample_that_falls_back_does_not_spoil_the_split(bench: Bench) -> None:
    """08:00–16:00: flat twice around peak and sharp; a glitch in between must not push the split back to durations."""
    order = bench.charging()
    for hour, energy in ((1, "2"), (2, "4"), (3, "6"), (4, "8"), (6, "12"), (7, "12"), (8, "0")):
        bench.clock.set(datetime.fromisoformat("2026-03-02T08:00:00+08:00") + timedelta(hours=hour))
        bench.tell(bench.sample(order, energy))
    now = bench.clock.now()
    bench.tell(bench.record(order, "4.0000", started_at=now - timedelta(hours=8), ended_at=now))
    lines = [(to_china(d.started_at).hour, d.basis, d.energy_kwh) for d in bench.order(order).details]
    assert lines == [(8, "samples", Decimal(4))]


def test_a_sample_without_a_meter_value_keeps_the_last_one(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.sample(order, "3"))
    bench.clock.advance(timedelta(seconds=15))
    bench.tell(replace(bench.sample(order, "3"), energy_kwh=None))
    sample = bench.order(order).sample
    assert sample is not None
    assert sample["energy_kwh"] == 3


def test_the_limit_is_not_missed_early_after_a_gap_in_the_link(bench: Bench) -> None:
    """Half an hour without samples is one big step; the next one will not be as big."""
    order = bench.charging(limit_yuan=Decimal("20.00"))
    bench.clock.advance(timedelta(minutes=30))
    bench.tell(bench.sample(order, "10.0"))
    assert bench.state(order) == OrderState.CHARGING


def test_every_pile_command_of_an_ended_order_ends_too(bench: Bench) -> None:
    order = bench.charging()
    bench.stop(order)
    bench.tell(bench.record(order))
    bench.deliver_commands()
    with bench.db.read(bench.seeded.tenant_id) as session:
        waiting = session.scalar(select(func.count()).where(PileCommand.state == CommandState.PENDING))
    assert waiting == 0
