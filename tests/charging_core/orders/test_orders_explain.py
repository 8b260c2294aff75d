"""A bill explains itself: each line a product, each total a sum, the pile's own figures beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import NotFound
from charging_core.money import fen
from charging_core.orders.bills.explain import explain
from charging_core.orders.model import ChargeOrder
from charging_core.orders.service import find_order
from charging_core.piles.events import RateClass, RateReading, TradeRecord
from charging_core.tariffs.calendar import Calendar
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.terms import Discount, Terms
from tests.charging_core.orders.orders_support import Bench
from tests.support.seed import PERIODS

ZERO = Decimal(0)


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def settled(bench: Bench, **more: object) -> ChargeOrder:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=30))
    bench.tell(bench.record(order, **more))  # type: ignore[arg-type]
    return order


def told(bench: Bench, order: ChargeOrder) -> dict[str, Any]:
    with bench.db.read("green") as session:
        found = find_order(session, order.id)
        assert found is not None
        return explain(session, found)


def rates(**by_class: tuple[str, str, str, str]) -> tuple[RateReading, ...]:
    """price, energy, energy with loss, amount by class."""
    none = ("0", "0", "0", "0")
    return tuple(RateReading(rate, *map(Decimal, by_class.get(rate.value, none))) for rate in RateClass)


def two_rates(bench: Bench, order: ChargeOrder, amount: str, **changed: object) -> TradeRecord:
    """A charge over the border at 10:00: 6 kWh flat and 4 kWh peak."""
    bench.clock.advance(timedelta(hours=2, minutes=30))
    record = bench.record(
        order,
        rates=rates(flat=("1.1", "6.0001", "0", "6.60"), peak=("1.4", "4.0000", "0", "5.60")),
        started_at=bench.clock.now() - timedelta(minutes=45),
        total_energy_kwh=Decimal("10.0001"),
        meter_end_kwh=Decimal("110.0001"),
        total_amount_yuan=Decimal(amount),
    )
    return replace(record, **changed)  # type: ignore[arg-type]


def test_each_line_is_energy_times_price_rounded_once(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(two_rates(bench, order, "12.20"))
    found = told(bench, order)
    assert [(s["class"], s["energy_kwh"], s["elec_fee"], s["service_fee"]) for s in found["slots"]] == [
        ("flat", Decimal("6.0001"), Decimal("4.20"), Decimal("2.40")),
        ("peak", Decimal("4"), Decimal("4.00"), Decimal("1.60")),
    ]
    for slot in found["slots"]:
        for kind in ("elec", "service"):
            exact = slot["energy_kwh"] * slot[f"{kind}_price"]
            assert slot[f"{kind}_exact"] == exact
            assert slot[f"{kind}_fee"] == fen(exact)
            assert slot[f"{kind}_fee"] - exact == slot[f"{kind}_rounding"]
    assert found["totals"]["total_fee"] == sum(s["elec_fee"] + s["service_fee"] for s in found["slots"])
    assert found["reproduced"] is True
    assert (found["tariff"]["code"], found["tariff"]["version"], found["tariff"]["day"]) == ("day", 1, None)


def test_the_piles_own_figures_stand_beside(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(two_rates(bench, order, "12.20"))
    found = told(bench, order)
    assert [(c["class"], c["amount"], c["pile_amount"]) for c in found["classes"]] == [
        ("peak", Decimal("5.60"), Decimal("5.60")),
        ("flat", Decimal("6.60"), Decimal("6.60")),
    ]
    assert {check["name"]: check["fits"] for check in found["checks"]} == dict.fromkeys(
        ("energy_sum", "meter", "amount", "amount_sum", "price.flat", "amount.flat", "price.peak", "amount.peak"), True
    )
    assert found["review"] is None
    assert found["pile"]["amount"] == Decimal("12.20")


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"total_amount_yuan": Decimal("15.00")}, {"amount", "amount_sum"}),
        ({"total_energy_kwh": Decimal("11.0")}, {"energy_sum", "meter"}),
        ({"meter_start_kwh": ZERO, "meter_end_kwh": Decimal(7)}, set()),
        ({"rates": rates(flat=("0.9", "6.0001", "0", "6.60"), peak=("1.4", "4", "0", "5.60"))}, {"price.flat"}),
        ({"rates": rates(flat=("0.7", "6.0001", "0", "6.60"), peak=("1.0", "4", "0", "5.60"))}, set()),
        ({"rates": rates(flat=("1.1", "6.0001", "0", "6.63"), peak=("1.4", "4", "0", "5.57"))}, {"amount.flat", "amount.peak"}),
        ({"rates": rates(flat=("1.1", "6.0001", "0", "0"), peak=("1.4", "4", "0", "0"))}, set()),
        ({"rates": rates(flat=("1.1", "6.0001", "6.0001", "6.6"), peak=("1.4", "4", "4.002", "5.6028"))}, set()),
        ({"rates": rates(flat=("1.1", "6.0001", "0", "6.60"), peak=("1.4", "4", "0", "5.60"), sharp=("9", "0", "0", "0"))}, set()),
    ],
)  # fmt: skip
def test_what_does_not_fit_goes_to_review_and_what_firmware_does_does_not(
    bench: Bench, changed: dict[str, object], failing: set[str]
) -> None:
    order = bench.charging()
    bench.tell(two_rates(bench, order, "12.20", **changed))
    found = told(bench, order)
    assert {check["name"] for check in found["checks"] if not check["fits"]} == failing
    assert (found["review"] is not None) == bool(failing)
    assert found["totals"]["total_fee"] == Decimal("12.20"), "our bill stands in any case"


def test_a_discount_changes_the_price_of_the_bill_and_not_the_comparison(bench: Bench) -> None:
    tariff_of(bench, Terms(discounts=(Discount("伙伴日", frozenset({"partner"}), ZERO, Decimal(25)),)))
    found = told(bench, settled(bench))
    (slot,) = found["slots"]
    assert (slot["list_service_price"], slot["service_price"]) == (Decimal("0.4"), Decimal("0.30000"))
    assert (slot["elec_fee"], slot["service_fee"]) == (Decimal("7.00"), Decimal("3.00"))
    assert found["tariff"]["discount"]["name"] == "伙伴日"
    assert found["classes"][0]["amount"] == Decimal("11.00")
    assert (found["review"], found["reproduced"]) == (None, True)


def test_an_order_without_a_bill_has_nothing_to_explain(bench: Bench) -> None:
    order = bench.charging()
    with pytest.raises(NotFound):
        told(bench, order)


def tariff_of(bench: Bench, terms: Terms) -> None:
    with bench.db.session("green") as session:
        version = session.get_one(TariffVersion, bench.seeded.tariff_version_id)
        version.plan = TariffPlan(DayPeriods.from_rows(PERIODS), Calendar(), terms).rows()
