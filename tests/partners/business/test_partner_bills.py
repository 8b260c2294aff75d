"""Bills and prices within SumPeriod 0-32: joined, never cut, and worth the same."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import RateClass
from partners.bills import MOST_LINES, joined_details, joined_periods, within_bounds
from partners.profiles.engine import render
from partners.profiles.loader import load_profile
from partners.profiles.scope import scope_of
from tests.partners.business.conftest import PARTNER, World
from tests.partners.profiles import samples

ORDER = "notification_charge_order_info"
SUMMED = ("energy_kwh", "elec_fee", "service_fee")

PRICES = st.sampled_from(
    [("0.30000", "0.30000"), ("0.70000", "0.40000"), ("1.00000", "0.40000"), ("1.20000", "0.40000")]
)
UNITS = st.integers(1, 999_999)


@st.composite
def bills(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Stretches of 20 minutes in a row, each with a price of four."""
    lines = []
    for number in range(draw(st.integers(0, 80))):
        elec_price, service_price = draw(PRICES)
        energy = Decimal(draw(UNITS)).scaleb(-4)
        line = samples.detail(str(energy), f"{draw(UNITS) % 10_000 / 100:.2f}", "0.01", 20 * number)
        lines.append(line | {"elec_price": Decimal(elec_price), "service_price": Decimal(service_price)})
    return lines


def total(lines: list[dict[str, Any]], name: str) -> Decimal:
    return sum((line[name] for line in lines), Decimal(0))


@settings(max_examples=60, deadline=None)
@given(lines=bills())
def test_joined_bills_keep_every_sum_and_every_price(lines: list[dict[str, Any]]) -> None:
    joined = joined_details(lines)
    assert len(joined) <= MOST_LINES
    for name in SUMMED:
        assert total(joined, name) == total(lines, name)
    for price in {(line["elec_price"], line["service_price"]) for line in lines}:
        of_price = [[x for x in some if (x["elec_price"], x["service_price"]) == price] for some in (joined, lines)]
        assert total(of_price[0], "energy_kwh") == total(of_price[1], "energy_kwh")
    for earlier, later in itertools.pairwise(joined):
        assert earlier["ended_at"] <= later["started_at"]
    assert all(
        lines[0]["started_at"] <= line["started_at"] < line["ended_at"] <= lines[-1]["ended_at"] for line in joined
    )


@settings(max_examples=40, deadline=None)
@given(lines=bills().filter(bool))
def test_every_bill_of_any_length_is_pushed_within_the_standards_bounds(lines: list[dict[str, Any]]) -> None:
    order = samples.order(lines)
    rendered = render(load_profile("textbook"), ORDER, scope_of("order", within_bounds(order)), samples.NOW)
    assert rendered.problems == ()
    body = rendered.body
    assert body["SumPeriod"] == len(body["ChargeDetails"]) <= 32
    for whole, part in (("TotalElecMoney", "DetailElecMoney"), ("TotalPower", "DetailPower")):
        assert body[whole] == sum(item[part] for item in body["ChargeDetails"])
    assert body["TotalElecMoney"] == order["elec_fee"]


def test_a_bill_that_fits_is_not_touched() -> None:
    order = samples.order()
    assert within_bounds(order) is order


def test_periods_that_repeat_a_price_are_told_once() -> None:
    periods = [
        {"start": start, "elec_price": Decimal(price), "service_price": Decimal("0.4")}
        for start, price in (("00:00", "0.3"), ("06:00", "0.3"), ("07:00", "0.7"), ("12:00", "0.3"))
    ]
    assert [period["start"] for period in joined_periods(periods)] == ["00:00", "07:00", "12:00"]


def test_a_tariff_with_a_period_per_half_hour_fits_into_a_policy(world: World) -> None:
    world.link()
    half_hours = [
        {
            "start": f"{number // 2:02d}:{number % 2 * 30:02d}",
            "class": "valley" if number < 14 else "flat",
            "elec_price": Decimal("0.30000") if number < 14 else Decimal("0.70000"),
            "service_price": Decimal("0.40000"),
        }
        for number in range(48)
    ]
    with world.db.session(world.tenant) as session:
        session.query(TariffVersion).one().periods = half_hours
    asked = {"EquipBizSeq": f"{PARTNER}260302080000000001", "ConnectorID": world.connector}
    answer = world.ask("query_equip_business_policy", asked)
    assert [one["StartTime"] for one in answer["PolicyInfos"]] == ["000000", "070000"]
    assert answer["SumPeriod"] == 2


def test_a_charge_of_many_days_is_confirmed(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    world.clock.advance(timedelta(days=10))
    world.record(seq, dict.fromkeys((RateClass.VALLEY, RateClass.FLAT, RateClass.PEAK, RateClass.SHARP), "100.0000"))
    world.deliver()
    (bill,) = world.received(ORDER)
    assert bill["SumPeriod"] == len(bill["ChargeDetails"]) <= 32
    assert bill["TotalMoney"] == sum(x["DetailElecMoney"] + x["DetailSeviceMoney"] for x in bill["ChargeDetails"])
    assert world.fake.summary()["violations"] == []
