"""Quotes and simulations come from the engine that bills: the same charge costs the same, whoever asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import CHINA, ManualClock
from charging_core.db import Database
from charging_core.errors import InvalidInput
from charging_core.orders.billing import Bill, MeterSample, bill_of_course, make_bill
from charging_core.orders.bills.quote import Wish, quote, rebill
from charging_core.orders.bills.simulate import Past, simulate, summed
from charging_core.piles.events import ConnectorStatus
from charging_core.tariffs.calendar import Calendar, DayRule
from charging_core.tariffs.periods import DayPeriods, RateClass
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.terms import Discount, Terms
from tests.charging_core.orders.orders_support import Bench
from tests.support.seed import PERIODS

DAY = DayPeriods.from_rows(PERIODS)
NINE = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)


def free(start: str = "00:00") -> DayPeriods:
    rows = [{"start": start, "class": "flat", "elec_price": Decimal("0.5"), "service_price": Decimal(0)}]
    return DayPeriods.from_rows(rows)


def by_class(bill: Bill) -> dict[RateClass, Decimal]:
    found: dict[RateClass, Decimal] = {}
    for line in bill.details:
        found[line.rate_class] = found.get(line.rate_class, Decimal(0)) + line.energy_kwh
    return found


def test_thirty_kilowatt_hours_over_a_border() -> None:
    wish = Wish(NINE, Decimal(30), Decimal(30))
    bill = quote(wish, DAY)
    assert [(line.rate_class, line.energy_kwh) for line in bill.details] == [
        (RateClass.FLAT, Decimal(15)),
        (RateClass.PEAK, Decimal(15)),
    ]
    assert bill.total_fee == Decimal("16.50") + Decimal("21.00")
    assert wish.end - wish.start == timedelta(hours=1)


@settings(max_examples=50)
@given(
    minutes=st.integers(0, 24 * 60),
    energy=st.decimals(min_value=Decimal("0.0001"), max_value=300, places=4),
    power=st.integers(1, 480),
)
def test_a_quote_is_what_such_a_charge_is_billed(minutes: int, energy: Decimal, power: int) -> None:
    wish = Wish(NINE + timedelta(minutes=minutes), energy, Decimal(power))
    offered = quote(wish, DAY)
    samples = [MeterSample(wish.start, Decimal(0)), MeterSample(wish.end, energy)]
    billed = make_bill(by_class(offered), wish.start, wish.end, DAY, samples)
    assert offered.energy_kwh == energy == billed.energy_kwh
    assert abs(offered.total_fee - billed.total_fee) <= Decimal(
        "0.02"
    )  # a split class may share its last 0.0001 kWh otherwise
    assert rebill(billed.details, DAY).energy_kwh == energy


@pytest.mark.parametrize(
    ("energy", "power"), [("0", "60"), ("-1", "60"), ("0.00001", "60"), ("1001", "60"), ("10", "0")]
)
def test_a_charge_that_cannot_be_is_not_quoted(energy: str, power: str) -> None:
    with pytest.raises(InvalidInput):
        Wish(NINE, Decimal(energy), Decimal(power))


def test_a_charge_without_time_has_one_line() -> None:
    bill = bill_of_course([MeterSample(NINE, Decimal(0)), MeterSample(NINE, Decimal(2))], DAY)
    assert [(line.energy_kwh, line.elec_fee, line.service_fee) for line in bill.details] == [
        (Decimal(2), Decimal("1.40"), Decimal("0.80"))
    ]
    assert bill_of_course([MeterSample(NINE, Decimal(0))], DAY).details == ()
    jump = [MeterSample(NINE, Decimal(3)), MeterSample(NINE + timedelta(hours=1), Decimal(3))]
    assert [line.energy_kwh for line in bill_of_course(jump, DAY).details] == [Decimal("1.5")] * 2


def test_another_tariff_bills_the_energy_when_it_flowed() -> None:
    past = quote(Wish(NINE, Decimal(30), Decimal(30)), DAY)
    tried = rebill(past.details, DayPeriods.from_rows([*PERIODS[:2], {**PERIODS[2], "start": "10:15"}]))
    assert [(line.rate_class, line.energy_kwh) for line in tried.details] == [
        ("flat", Decimal("22.5")),
        ("peak", Decimal("7.5")),
    ]
    assert rebill((), DAY).details == ()


def test_a_tariff_over_past_orders(db: Database, manual_clock: ManualClock) -> None:
    bench = Bench(db, manual_clock)
    for number in range(2):
        order = bench.charging(seq=f"MA5PARTNR26030208000000000{number}")
        bench.clock.advance(timedelta(minutes=20))
        bench.tell(bench.record(order, "10.0000"))
        bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))
        bench.clock.advance(timedelta(hours=1))
    past = Past(bench.clock.now() - timedelta(days=1), bench.clock.now())
    half = Discount("half", frozenset({"partner"}), Decimal(50), Decimal(50))
    plan = TariffPlan(free(), Calendar({"monday": free()}, [DayRule.from_row({"day": "monday", "weekdays": ["mon"]})]))
    with db.read("green") as session:
        lines = list(simulate(session, past, lambda code: plan if code == "day" else None))
        sums = summed(lines)
        assert [(line.old_fee, line.new_fee) for line in lines] == [(Decimal(11), Decimal(5))] * 2
        assert (sums["old_fee"], sums["new_fee"], sums["difference"]) == (Decimal(22), Decimal(10), Decimal(-12))
        cheap = TariffPlan(free(), Calendar(), Terms(discounts=(half,)))
        assert summed(list(simulate(session, past, lambda _code: cheap)))["new_fee"] == Decimal(5)
        assert list(simulate(session, past, lambda _code: None)) == []
        early = Past(past.since, past.since + timedelta(minutes=1))
        assert list(simulate(session, early, lambda _code: plan)) == []
