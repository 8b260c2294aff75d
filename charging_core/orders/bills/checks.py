"""The cross-checks of P5 (`specs/ykc.md` section 8): what the pile says of a charge against what we compute. Pure.

The bill is ours in any case; a check that does not fit sends the order to the review queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from charging_core.money import ZERO
from charging_core.orders.billing import Bill
from charging_core.orders.bills.facts import ChargeFacts
from charging_core.orders.facts import PileRate
from charging_core.tariffs.periods import DayPeriods, RateClass

ENERGY_TOLERANCE = Decimal("0.0016")
"""Four rates, each off by at most 0.0004 kWh (P5)."""
METER_TOLERANCE = Decimal("0.01")
"""Share by which the meter difference may miss the total (P5)."""
RATE_MONEY_TOLERANCE = Decimal("0.01")
"""Yuan by which one amount of the pile may differ: firmware truncates (P5)."""
REVIEW_LENGTH = 500
"""Characters an order keeps of its doubts; the bill keeps every check."""
PRICE_TOLERANCE = Decimal("0.0001")
"""Firmware that shows a price of five decimals with four."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: our figure, the pile's, how far apart they may be, whether they fit; `doubt` says in words when they do not."""

    name: str
    ours: Decimal
    pile: Decimal
    tolerance: Decimal
    fits: bool
    doubt: str | None

    def row(self) -> dict[str, Any]:
        """The stored form."""
        return asdict(self)


def cross_checks(facts: ChargeFacts, listed: Bill, periods: DayPeriods) -> list[Check]:
    """Everything that can be compared. `listed` is the bill at the prices the pile was told: without discounts and refunds."""
    if (
        facts.pile_amount is None
    ):  # no record, or a pile that knows no prices: then its meter is all there is to compare with
        return [*_energy(facts)] if facts.meter_end else []
    return [*_energy(facts), *_amounts(facts, listed), *_rates(facts, listed, periods)]


def doubts(checks: list[Check]) -> str | None:
    """What does not fit, in words; none when everything does."""
    return "; ".join(check.doubt for check in checks if check.doubt is not None)[:REVIEW_LENGTH] or None


def _energy(facts: ChargeFacts) -> Iterator[Check]:
    summed = sum(facts.energy_by_class.values(), ZERO)
    words = "energies of the rates do not sum to the total"
    yield _check("energy_sum", summed, facts.total_energy, ENERGY_TOLERANCE, words)
    if facts.meter_start and facts.meter_end:  # many AC piles leave them 0
        metered, tolerance = facts.meter_end - facts.meter_start, facts.total_energy * METER_TOLERANCE
        yield _check("meter", facts.total_energy, metered, tolerance, "meter difference does not fit the total energy")


def _amounts(facts: ChargeFacts, listed: Bill) -> Iterator[Check]:
    amount = facts.pile_amount or ZERO
    tolerance = RATE_MONEY_TOLERANCE * (2 * len(listed.details) + 1)
    yield _check(
        "amount", listed.total_fee, amount, tolerance, f"pile says {amount} yuan, the bill is {listed.total_fee}"
    )
    told = [rate.amount for rate in facts.rates if rate.amount]
    if told:
        summed = sum(told, ZERO)
        words = f"amounts of the rates sum to {summed} yuan, the pile's total is {amount}"
        yield _check("amount_sum", summed, amount, RATE_MONEY_TOLERANCE * len(told), words)


def _rates(facts: ChargeFacts, listed: Bill, periods: DayPeriods) -> Iterator[Check]:
    for rate in facts.rates:
        if rate.energy_kwh <= 0:  # firmware exists that fills the prices of rates it did not use
            continue
        yield _rate_price(rate, periods)
        if rate.amount:
            yield _rate_amount(rate, listed)


def _rate_price(rate: PileRate, periods: DayPeriods) -> Check:
    own = [p for p in periods.periods if p.rate_class is rate.rate_class]
    # The electricity price alone is what some firmware shows.
    issued = [price for p in own for price in (p.elec_price + p.service_price, p.elec_price)]
    nearest = min(issued, key=lambda price: abs(price - rate.price), default=ZERO)
    words = f"price of {rate.rate_class} is {rate.price} on the pile, {nearest} in the tariff"
    return _check(f"price.{rate.rate_class}", nearest, rate.price, PRICE_TOLERANCE, words)


def _rate_amount(rate: PileRate, listed: Bill) -> Check:
    exact = _class_amounts(listed).get(rate.rate_class, ZERO)
    energy = sum((line.energy_kwh for line in listed.details if line.rate_class is rate.rate_class), ZERO)
    with_loss = exact * rate.with_loss_kwh / energy if energy and rate.with_loss_kwh else exact
    ours = min((exact, with_loss), key=lambda amount: abs(amount - rate.amount))
    words = f"amount of {rate.rate_class} is {rate.amount} on the pile, {ours:.4f} by energy and price"
    return _check(f"amount.{rate.rate_class}", ours, rate.amount, RATE_MONEY_TOLERANCE, words)


def _class_amounts(bill: Bill) -> Mapping[RateClass, Decimal]:
    """Unrounded yuan per class: the pile rounds by itself."""
    amounts: dict[RateClass, Decimal] = {}
    for line in bill.details:
        amount = line.energy_kwh * (line.elec_price + line.service_price)
        amounts[line.rate_class] = amounts.get(line.rate_class, ZERO) + amount
    return amounts


def _check(name: str, ours: Decimal, pile: Decimal, tolerance: Decimal, words: str) -> Check:
    fits = abs(ours - pile) <= tolerance
    return Check(name, ours, pile, tolerance, fits, None if fits else words)
