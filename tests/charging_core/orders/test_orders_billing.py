"""The bill is the sum of its lines, to the fen, whatever the tariff and however long the charge."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import CHINA
from charging_core.errors import InvalidInput
from charging_core.money import fen
from charging_core.orders.billing import Basis, MeterSample, make_bill
from charging_core.tariffs.periods import DayPeriods, Period, RateClass
from tests.support.seed import PERIODS

DAY = DayPeriods.from_rows(PERIODS)
START = datetime(2026, 3, 2, 9, 50, tzinfo=CHINA)

prices = st.decimals(min_value=0, max_value=3, places=5, allow_nan=False, allow_infinity=False)
energies = st.decimals(min_value=0, max_value=200, places=4, allow_nan=False, allow_infinity=False)


@st.composite
def tariffs(draw: st.DrawFn) -> DayPeriods:
    starts = sorted({0, *draw(st.lists(st.integers(1, 47), max_size=12))})
    pairs = {rate_class: (draw(prices), draw(prices)) for rate_class in RateClass}
    classes = [draw(st.sampled_from(list(RateClass)[:4])) for _ in starts]
    return DayPeriods([Period(s * 30, c, *pairs[c]) for s, c in zip(starts, classes, strict=True)])


@settings(max_examples=100)
@given(
    tariff=tariffs(),
    offset=st.integers(0, 24 * 60),
    minutes=st.integers(0, 36 * 60),
    counted=st.dictionaries(st.sampled_from(list(RateClass)[:4]), energies),
    meter=st.lists(energies, max_size=8),
)
def test_lines_sum_to_the_totals_and_classes_to_the_record(
    tariff: DayPeriods, offset: int, minutes: int, counted: dict[RateClass, Decimal], meter: list[Decimal]
) -> None:
    start = START + timedelta(minutes=offset)
    end = start + timedelta(minutes=minutes)
    known = {c: e for c, e in counted.items() if tariff.prices_of(c)}
    samples = [MeterSample(start + timedelta(minutes=10 * i), e) for i, e in enumerate(sorted(meter))]
    bill = make_bill(known, start, end, tariff, samples)
    assert bill.energy_kwh == sum(known.values())
    assert bill.total_fee == sum(line.elec_fee + line.service_fee for line in bill.details)
    for rate_class, energy in known.items():
        assert sum(line.energy_kwh for line in bill.details if line.rate_class is rate_class) == energy
    for line in bill.details:
        assert line.energy_kwh >= 0
        assert line.elec_fee == fen(line.energy_kwh * line.elec_price)
        assert line.elec_fee.as_tuple().exponent == -2


def test_a_charge_over_one_border_has_two_lines_with_their_own_prices() -> None:
    bill = make_bill(
        {RateClass.FLAT: Decimal("10.0000"), RateClass.PEAK: Decimal("20.5000")},
        START,
        START + timedelta(minutes=40),
        DAY,
    )
    assert [(line.rate_class, line.elec_fee, line.service_fee) for line in bill.details] == [
        (RateClass.FLAT, Decimal("7.00"), Decimal("4.00")),
        (RateClass.PEAK, Decimal("20.50"), Decimal("8.20")),
    ]
    assert bill.details[0].ended_at == START.replace(hour=10, minute=0)
    assert {line.basis for line in bill.details} == {Basis.RECORD}


def test_a_class_in_two_stretches_is_split_by_the_samples() -> None:
    start, end = START.replace(hour=9, minute=0), START.replace(hour=15, minute=0)
    samples = [
        MeterSample(start, Decimal(0)),
        MeterSample(start.replace(hour=10), Decimal(3)),
        MeterSample(start.replace(hour=14), Decimal(8)),
        MeterSample(end, Decimal(9)),
    ]
    flat = make_bill({RateClass.FLAT: Decimal(4)}, start, end, DAY, samples).details
    assert [(line.energy_kwh, line.basis) for line in flat] == [
        (Decimal(3), Basis.SAMPLES),
        (Decimal(1), Basis.SAMPLES),
    ]


def test_without_samples_a_class_is_split_by_time() -> None:
    start, end = START.replace(hour=8, minute=0), START.replace(hour=15, minute=0)
    flat = make_bill({RateClass.FLAT: Decimal(3)}, start, end, DAY).details
    assert [(line.energy_kwh, line.basis) for line in flat] == [
        (Decimal(2), Basis.DURATION),
        (Decimal(1), Basis.DURATION),
    ]


def test_energy_of_a_class_that_the_clock_never_reached_is_still_billed() -> None:
    bill = make_bill({RateClass.SHARP: Decimal(1)}, START, START + timedelta(minutes=5), DAY)
    assert (bill.total_fee, bill.details[0].basis) == (Decimal("1.60"), Basis.OUTSIDE)


def test_a_class_without_a_price_is_not_billed_silently() -> None:
    with pytest.raises(ValueError, match="deep_valley"):
        make_bill({RateClass.DEEP_VALLEY: Decimal(1)}, START, START + timedelta(minutes=5), DAY)


def test_a_charge_over_midnight_is_cut_there() -> None:
    start = START.replace(hour=23, minute=30)
    bill = make_bill({RateClass.FLAT: Decimal(1), RateClass.VALLEY: Decimal(1)}, start, start + timedelta(hours=1), DAY)
    assert [line.rate_class for line in bill.details] == [RateClass.FLAT, RateClass.VALLEY]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([("01:00", "flat", 1)], "periods"),
        ([("00:00", "flat", 1), ("00:00", "peak", 1)], "00:00"),
        ([("00:00", "flat", -1)], "00:00"),
        ([("00:00", "flat", 1), ("24:00", "peak", 1)], "start"),
    ],
)
def test_a_wrong_tariff_names_its_period(rows: list[tuple[str, str, int]], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        DayPeriods.from_rows([{"start": s, "class": c, "elec_price": p, "service_price": 0} for s, c, p in rows])
    assert refused.value.field == field


def test_a_tariff_for_a_four_rate_pile() -> None:
    rates = DAY.pile_rates()
    assert rates.prices[1] == (Decimal("1.00000"), Decimal("0.40000"))
    assert rates.slots[:14] == (3,) * 14
    assert rates.slots[19:21] == (2, 1)


@pytest.mark.parametrize(
    "rows",
    [
        [("00:00", "flat", "0.5"), ("10:15", "peak", "1")],
        [("00:00", "flat", "0.5"), ("10:00", "flat", "1")],
        [
            ("00:00", "sharp", "5"),
            ("01:00", "peak", "4"),
            ("02:00", "flat", "3"),
            ("03:00", "valley", "2"),
            ("04:00", "deep_valley", "1"),
        ],
    ],
)
def test_a_tariff_that_does_not_fit_a_four_rate_pile_is_refused(rows: list[tuple[str, str, str]]) -> None:
    day = DayPeriods.from_rows([{"start": s, "class": c, "elec_price": p, "service_price": 0} for s, c, p in rows])
    with pytest.raises(InvalidInput):
        day.pile_rates()


def test_deep_valley_takes_a_free_rate() -> None:
    rows = [("00:00", "deep_valley", "0.1"), ("06:00", "flat", "1"), ("10:00", "peak", "2")]
    day = DayPeriods.from_rows([{"start": s, "class": c, "elec_price": p, "service_price": 0} for s, c, p in rows])
    assert day.pile_rates().classes == (RateClass.DEEP_VALLEY, RateClass.PEAK, RateClass.FLAT, None)
