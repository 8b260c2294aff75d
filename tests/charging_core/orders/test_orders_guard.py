"""The payer's limits (P12): whatever the car draws and whenever the pile reports, a limit is not overrun beyond what the policy says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.orders.bills.explain import explain
from charging_core.orders.facts import Reading
from charging_core.orders.guard import (
    ChargeLimits,
    GuardPolicy,
    OverLimit,
    limit_reached,
    look_ahead,
    priced,
)
from charging_core.orders.model import ChargeOrder
from charging_core.orders.samples import sample_object
from charging_core.orders.service import find_order, transitions
from charging_core.orders.state import OrderState
from charging_core.tariffs.calendar import Calendar
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import DayPeriods, Period, RateClass
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.terms import Discount, Terms
from tests.charging_core.orders.orders_support import Bench
from tests.support.seed import PERIODS

ZERO = Decimal(0)
START = datetime(2026, 3, 2, 1, 58, tzinfo=UTC)
"""Two minutes before ten in China: the price rises on the way."""
PRICES = DayPeriods.from_rows(PERIODS)
FLAT = DayPeriods([Period(0, RateClass.FLAT, Decimal("0.7"), Decimal("0.4"))])
POLICY = GuardPolicy()
STOP_TAKES = timedelta(seconds=POLICY.stop_takes_s)


def reading(at: datetime, energy: Decimal, power_kw: Decimal) -> Reading:
    return Reading(at, Decimal(400), power_kw * 1000 / 400, 50, energy, 0, 0, ZERO)


class Car:
    """Draws what it draws; the guard sees it at the samples only."""

    def __init__(self, periods: DayPeriods, limit: Decimal) -> None:
        self.periods, self.limit = periods, limit
        self.at, self.energy, self.cost = START, ZERO, ZERO
        self.sample: dict[str, Any] | None = None

    def draw(self, seconds: Decimal | int, power_kw: Decimal) -> None:
        span = timedelta(seconds=float(seconds))
        step = (power_kw * Decimal(seconds) / 3600).quantize(Decimal("0.0001"))
        self.cost += sum(priced(self.periods, self.at, self.at + span, step), ZERO)
        self.energy, self.at = self.energy + step, self.at + span

    def stopped_by_sample(self, power_kw: Decimal) -> bool:
        before = self.sample
        self.sample = sample_object(before, reading(self.at, self.energy, power_kw), self.periods)
        ahead = look_ahead(self.sample, before, self.periods, POLICY)
        return limit_reached(ChargeLimits(yuan=self.limit), self.sample, ahead, POLICY) is not None


STEPS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 3500).map(lambda tenth: Decimal(tenth) / 10)), min_size=1, max_size=60
)
LIMITS = st.integers(50, 5000).map(lambda fen: Decimal(fen) / 100)


@settings(max_examples=50, deadline=None)
@given(steps=STEPS, limit=LIMITS)
def test_no_power_curve_overruns_the_limit_by_more_than_one_samples_energy(
    steps: list[tuple[int, Decimal]], limit: Decimal
) -> None:
    """What is beyond the limit flowed after the last sample that was let go on: in one step and the time a stop takes."""
    car, let_go_on = Car(PRICES, limit), ZERO
    for seconds, power in steps:
        car.draw(seconds, power)
        if car.stopped_by_sample(power):
            car.draw(POLICY.stop_takes_s, power)
            break
        let_go_on = car.cost
    since = car.cost - let_go_on
    assert car.cost - limit <= max(ZERO, since - POLICY.margin_yuan) + Decimal("0.01")


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.integers(1, POLICY.sample_every_s), min_size=60, max_size=60),
    power=st.integers(10, 3500).map(lambda tenth: Decimal(tenth) / 10),
    periods=st.sampled_from([PRICES, FLAT]),
)
def test_a_car_that_draws_no_more_than_before_never_passes_the_limit(
    steps: list[int], power: Decimal, periods: DayPeriods
) -> None:
    """With samples at their usual pace the look ahead covers all that is still to come, the dearer price after the border included."""
    one_look = power * (POLICY.sample_every_s + POLICY.stop_takes_s) / 3600 * Decimal("1.6")
    car = Car(periods, one_look * 4)
    for seconds in steps:
        car.draw(seconds, power)
        if car.stopped_by_sample(power):
            car.draw(POLICY.stop_takes_s, power)
            break
    assert car.cost <= car.limit
    assert car.at < START + timedelta(seconds=sum(steps)) or car.cost > car.limit - one_look * 2


def test_a_price_that_rises_before_the_next_sample_is_foreseen() -> None:
    border = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
    sample = sample_object(None, reading(border - timedelta(seconds=10), Decimal(1), Decimal(180)), PRICES)
    ahead = look_ahead(sample, None, PRICES, POLICY)
    assert (ahead.kwh, ahead.yuan) == (Decimal(1), Decimal("0.5") * Decimal("1.1") + Decimal("0.5") * Decimal("1.4"))


def test_energy_that_flowed_across_a_border_is_priced_on_both_sides() -> None:
    border = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
    first = sample_object(None, reading(border - timedelta(minutes=10), ZERO, ZERO), PRICES)
    after = sample_object(first, reading(border + timedelta(minutes=10), Decimal(2), ZERO), PRICES)
    assert after["total_fee"] == Decimal("2.50")


def test_a_pile_that_tells_no_energy_is_believed_its_amount() -> None:
    silent = replace(reading(START, ZERO, ZERO), energy_kwh=None, pile_amount=Decimal("4.99"))
    sample = sample_object(None, silent, PRICES)
    ahead = look_ahead(sample, None, PRICES, POLICY)
    assert limit_reached(ChargeLimits(yuan=Decimal(5)), sample, ahead, POLICY) == "payer's limit reached"


# -- on the order


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def goes_on(bench: Bench, order: ChargeOrder, energy: str, **more: object) -> str:
    bench.clock.advance(timedelta(seconds=15))
    bench.tell(replace(bench.sample(order, energy), **more))  # type: ignore[arg-type]
    return bench.state(order)


def why_stopped(bench: Bench, order: ChargeOrder) -> str | None:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return transitions(session, order.id)[-1].detail


def test_the_energy_limit_ends_the_charge(bench: Bench) -> None:
    order = bench.charging(limit_kwh=Decimal(2))
    assert goes_on(bench, order, "0.5") == OrderState.CHARGING
    assert goes_on(bench, order, "1.5") == OrderState.STOPPING
    assert why_stopped(bench, order) == "energy limit reached"


def test_the_battery_limit_ends_the_charge(bench: Bench) -> None:
    order = bench.charging(limit_soc=80)
    assert goes_on(bench, order, "5", soc=79) == OrderState.CHARGING
    assert goes_on(bench, order, "6", soc=80) == OrderState.STOPPING
    assert why_stopped(bench, order) == "battery limit reached"


def test_an_ac_pile_that_knows_no_battery_is_not_stopped_by_its_limit(bench: Bench) -> None:
    order = bench.charging(limit_soc=80)
    assert goes_on(bench, order, "5", soc=0) == OrderState.CHARGING


def test_the_time_limit_ends_the_charge_even_without_a_sample(bench: Bench) -> None:
    order = bench.charging(limit_minutes=30)
    bench.pass_time(29 * 60)
    assert bench.state(order) == OrderState.CHARGING
    bench.pass_time(60)
    assert (bench.state(order), why_stopped(bench, order)) == (OrderState.STOPPING, "time limit reached")
    assert bench.deliver_commands() == ["stop"]


def test_a_payer_with_a_discount_gets_all_he_paid_for(bench: Bench) -> None:
    half = Discount("半价", frozenset({"partner"}), Decimal(50), Decimal(50))
    plan = TariffPlan(PRICES, Calendar(), Terms(discounts=(half,)))
    with bench.db.system("test") as session:
        session.get_one(TariffVersion, bench.seeded.tariff_version_id).plan = plan.rows()
    order = bench.charging(limit_yuan=Decimal(5))
    assert goes_on(bench, order, "3") == OrderState.CHARGING
    sample = bench.order(order).sample
    assert sample is not None
    assert sample["total_fee"] == Decimal("1.65")


def overrun(bench: Bench, rule: OverLimit) -> tuple[ChargeOrder, dict[str, Any]]:
    """A bill of 11.00 for a payer of 10.00."""
    bench.context = replace(bench.context, guard=GuardPolicy(over_limit=rule))
    order = bench.charging(limit_yuan=Decimal(10))
    bench.tell(bench.record(order))
    with bench.db.read(bench.seeded.tenant_id) as session:
        found = find_order(session, order.id)
        assert found is not None
        return bench.order(order), explain(session, found)


def test_a_capped_payer_is_charged_his_limit_and_the_bill_says_what_was_waived(bench: Bench) -> None:
    order, told = overrun(bench, OverLimit.CAPPED)
    assert (order.total_fee, sum(d.elec_fee + d.service_fee for d in order.details)) == (Decimal(10), Decimal(10))
    assert told["limit"] == {"yuan": 10, "rule": "capped", "over": 1, "waived": 1}
    assert told["reproduced"] is True
    assert order.review is None  # what is waived is no difference to the pile's amount


def test_otherwise_the_whole_bill_is_charged_and_says_how_far_it_is_over(bench: Bench) -> None:
    order, told = overrun(bench, OverLimit.FULL)
    assert (order.total_fee, told["limit"]) == (Decimal(11), {"yuan": 10, "rule": "full", "over": 1, "waived": 0})
