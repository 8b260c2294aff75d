"""What a tariff says besides its periods: loss ratio (计损比例), discounts, occupancy fee (占位费). Pure.

Loss and discounts change the price and never the energy: what is billed stays the energy of the record everywhere (DECISIONS 12, 13), and
energy times price is the fee for whoever checks it. The loss stands in the prices that are published, told to piles and shown; a discount
is a matter between us and one payer and stands in the prices of his bill only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from charging_core.clock import to_china
from charging_core.errors import InvalidInput
from charging_core.money import PRICE_PLACES, ZERO, fen, quantize
from charging_core.tariffs.periods import DayPeriods, Period

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Discount:
    """Percent off the two prices for orders of the named origins, made from `first` to `last` (China dates, none: open)."""

    name: str
    origins: frozenset[str]
    elec_percent: Decimal = ZERO
    service_percent: Decimal = ZERO
    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidInput` for a percentage outside 0…100."""
        for name in ("elec_percent", "service_percent"):
            if not 0 <= getattr(self, name) <= HUNDRED:
                raise InvalidInput(name, "a discount lies between 0 and 100 percent")

    def holds(self, origin: str, at: datetime) -> bool:
        """Whether an order of this origin, made at `at`, gets it."""
        day = to_china(at).date()
        return (
            origin in self.origins
            and (self.first is None or self.first <= day)
            and (self.last is None or day <= self.last)
        )

    def row(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "name": self.name,
            "origins": sorted(self.origins),
            "elec_percent": self.elec_percent,
            "service_percent": self.service_percent,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Discount:
        """The inverse of `row`."""
        first, last = row.get("first"), row.get("last")
        return cls(
            row["name"],
            frozenset(row["origins"]),
            Decimal(row["elec_percent"]),
            Decimal(row["service_percent"]),
            date.fromisoformat(first) if first else None,
            date.fromisoformat(last) if last else None,
        )


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What a bay costs that stays taken after the charge: free for a while, then by the minute, never more than `max_yuan`."""

    free_minutes: int
    yuan_per_minute: Decimal
    max_yuan: Decimal | None = None

    def fee(self, minutes: int) -> Decimal:
        """Yuan (to the fen) for a bay left `minutes` whole minutes after the end of charging."""
        due = fen(max(0, minutes - self.free_minutes) * self.yuan_per_minute)
        return due if self.max_yuan is None else min(due, fen(self.max_yuan))

    def row(self) -> dict[str, Any]:
        """The stored form."""
        return {name: getattr(self, name) for name in ("free_minutes", "yuan_per_minute", "max_yuan")}


@dataclass(frozen=True, slots=True)
class Terms:
    """Loss ratio in percent, discounts (the first that holds counts), occupancy fee."""

    loss_percent: Decimal = ZERO
    discounts: tuple[Discount, ...] = ()
    occupancy: Occupancy | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidInput` for a loss below 0 or above 100 percent."""
        if not 0 <= self.loss_percent <= HUNDRED:
            raise InvalidInput("loss_percent", "a loss lies between 0 and 100 percent")

    def discount_for(self, origin: str, at: datetime) -> Discount | None:
        """The discount of an order of this origin made at `at`; none for most."""
        return next((one for one in self.discounts if one.holds(origin, at)), None)

    def rows(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "loss_percent": self.loss_percent,
            "discounts": [one.row() for one in self.discounts],
            "occupancy": self.occupancy.row() if self.occupancy else None,
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any]) -> Terms:
        """The inverse of `rows`."""
        occupancy = rows.get("occupancy")
        return cls(
            Decimal(rows.get("loss_percent", ZERO)),
            tuple(Discount.from_row(row) for row in rows.get("discounts", ())),
            Occupancy(**occupancy) if occupancy else None,
        )


def with_loss(periods: DayPeriods, loss_percent: Decimal) -> DayPeriods:
    """The same periods at prices that hold the loss."""
    return periods if not loss_percent else _repriced(periods, loss_percent, loss_percent)


def discounted(periods: DayPeriods, discount: Discount | None) -> DayPeriods:
    """The same periods at the prices of a payer with this discount."""
    if discount is None:
        return periods
    return _repriced(periods, -discount.elec_percent, -discount.service_percent)


def _repriced(periods: DayPeriods, elec_percent: Decimal, service_percent: Decimal) -> DayPeriods:
    return DayPeriods([_changed(period, elec_percent, service_percent) for period in periods.periods])


def _changed(period: Period, elec_percent: Decimal, service_percent: Decimal) -> Period:
    elec = quantize(period.elec_price * (HUNDRED + elec_percent) / HUNDRED, PRICE_PLACES)
    service = quantize(period.service_price * (HUNDRED + service_percent) / HUNDRED, PRICE_PLACES)
    return replace(period, elec_price=elec, service_price=service)
