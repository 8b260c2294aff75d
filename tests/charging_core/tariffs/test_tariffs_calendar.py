"""Which kind of day a date is, what its prices are, and which of them a pile can hold."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import CHINA
from charging_core.errors import InvalidInput
from charging_core.tariffs.calendar import Calendar, DateSpan, DayRule, Season
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.terms import Discount, Occupancy, Terms, discounted, with_loss
from charging_core.types import dump_json, load_json
from tests.support.seed import PERIODS

BASE = DayPeriods.from_rows(PERIODS)


def flat(price: str, rate_class: str = "valley") -> DayPeriods:
    return DayPeriods.from_rows(
        [{"start": "00:00", "class": rate_class, "elec_price": Decimal(price), "service_price": Decimal("0.2")}]
    )


def rule(day: str, **more: object) -> DayRule:
    return DayRule.from_row({"day": day, **more})


CALENDAR = Calendar(
    {"holiday": flat("0.5"), "weekend": flat("0.6"), "summer": flat("1.4", "sharp"), "winter": flat("0.9", "peak")},
    [
        rule("base", dates=["2026-02-14"]),
        rule("holiday", dates=["2026-10-01..2026-10-07", "2026-05-01"]),
        rule("weekend", weekdays=["sat", "sun"]),
        rule("summer", season="07-01..08-31", weekdays=["mon", "tue", "wed", "thu", "fri"]),
        rule("winter", season="12-01..02-15"),
    ],
)


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2026-03-02", "base"),
        ("2026-03-07", "weekend"),
        ("2026-02-14", "base"),
        ("2026-10-03", "holiday"),
        ("2026-10-08", "base"),
        ("2026-05-01", "holiday"),
        ("2027-05-03", "base"),
        ("2026-07-01", "summer"),
        ("2026-08-31", "summer"),
        ("2026-08-30", "weekend"),
        ("2026-12-01", "winter"),
        ("2027-01-01", "winter"),
        ("2027-02-15", "winter"),
        ("2027-02-16", "base"),
    ],
)
def test_the_first_rule_that_fits_a_date_counts(day: str, kind: str) -> None:
    assert CALENDAR.kind_on(date.fromisoformat(day)) == kind


@settings(max_examples=50)
@given(day=st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_every_date_has_the_prices_of_exactly_one_kind(day: date) -> None:
    plan = TariffPlan(BASE, CALENDAR)
    assert plan.on(day).periods == plan.of_kind(CALENDAR.kind_on(day)).periods
    assert TariffPlan.from_rows(load_json(dump_json(plan.rows()))).rows() == plan.rows()


@pytest.mark.parametrize("text", ["2026-13-01", "2026-01-02..2026-01-01", "tomorrow", ""])
def test_a_wrong_date_is_named(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        DateSpan.of(text)
    assert error.value.field == "dates"


@pytest.mark.parametrize("text", ["07-01", "02-30..03-01", "a..b", "13-01..01-01"])
def test_a_wrong_season_is_named(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Season.of(text)
    assert error.value.field == "season"


def test_a_leap_day_may_end_a_season() -> None:
    assert Season.of("02-20..02-29").holds(date(2027, 2, 28))


def test_rules_name_something_that_exists() -> None:
    with pytest.raises(InvalidInput, match="no kind of day"):
        Calendar({}, [rule("holiday", dates=["2026-10-01"])])
    with pytest.raises(InvalidInput, match="neither"):
        rule("base")
    with pytest.raises(InvalidInput, match="none of"):
        rule("base", weekdays=["monday"])
    with pytest.raises(InvalidInput, match="tariff itself"):
        Calendar({"base": BASE})


def test_the_day_that_a_pile_cannot_hold_is_named() -> None:
    odd = DayPeriods.from_rows([*PERIODS[:1], {**PERIODS[1], "start": "07:15"}])
    plan = TariffPlan(BASE, Calendar({"fair": odd}, [rule("fair", dates=["2026-04-01"])]))
    ((kind, error),) = plan.unfit_for_piles()
    assert (kind, error.field) == ("fair", "07:15")


def test_the_loss_stands_in_the_published_prices() -> None:
    plan = TariffPlan(BASE, Calendar(), Terms(loss_percent=Decimal("3.5")))
    (valley, *_rest) = plan.of_kind("base").periods
    assert (valley.elec_price, valley.service_price) == (Decimal("0.31050"), Decimal("0.31050"))
    assert plan.listed("base") is BASE
    assert with_loss(BASE, Decimal(0)) is BASE
    with pytest.raises(InvalidInput):
        Terms(loss_percent=Decimal(-1))


def test_a_discount_is_for_some_payers_and_some_days() -> None:
    night = Discount("夜间会员", frozenset({"app"}), Decimal(0), Decimal(50), date(2026, 3, 1), date(2026, 3, 31))
    terms = Terms(discounts=(night,))
    last_minute = datetime(2026, 3, 31, 23, 59, tzinfo=CHINA)
    assert terms.discount_for("app", last_minute) is night
    assert terms.discount_for("partner", last_minute) is None
    assert terms.discount_for("app", datetime(2026, 4, 1, tzinfo=CHINA)) is None
    (valley, *_rest) = discounted(BASE, night).periods
    assert (valley.elec_price, valley.service_price) == (Decimal("0.30000"), Decimal("0.15000"))
    assert discounted(BASE, None) is BASE
    with pytest.raises(InvalidInput):
        Discount("x", frozenset({"app"}), Decimal(101))


@pytest.mark.parametrize(("minutes", "fee"), [(0, "0"), (15, "0"), (16, "0.50"), (45, "15"), (500, "30")])
def test_an_occupied_bay_costs_by_the_minute_up_to_a_limit(minutes: int, fee: str) -> None:
    assert Occupancy(15, Decimal("0.5"), Decimal(30)).fee(minutes) == Decimal(fee)
