"""A tariff as declared: the periods of its base day, its calendar, its terms. Pure; each date has the periods of its kind of day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from charging_core.errors import InvalidInput
from charging_core.tariffs.calendar import BASE_DAY, Calendar, DayRule
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.terms import Terms, with_loss


@dataclass(frozen=True, slots=True)
class TariffPlan:
    """What one declaration of a tariff says. It never changes; a changed tariff is a new plan."""

    base: DayPeriods
    calendar: Calendar = field(default_factory=Calendar)
    terms: Terms = field(default_factory=Terms)

    @property
    def kinds(self) -> list[str]:
        """Every kind of day, the base day first."""
        return [BASE_DAY, *self.calendar.days]

    def of_kind(self, kind: str) -> DayPeriods:
        """The periods of a kind of day at the prices that are published: list prices with the loss in them."""
        return with_loss(self.listed(kind), self.terms.loss_percent)

    def listed(self, kind: str) -> DayPeriods:
        """The periods of a kind of day at list prices, as declared."""
        return self.base if kind == BASE_DAY else self.calendar.days[kind]

    def on(self, day: date) -> DayPeriods:
        """The periods of a China date at published prices."""
        return self.of_kind(self.calendar.kind_on(day))

    def unfit_for_piles(self) -> Iterator[tuple[str, InvalidInput]]:
        """Kinds of day that a four-rate pile cannot hold, each with the reason (DECISIONS 13)."""
        for kind in self.kinds:
            try:
                self.of_kind(kind).pile_rates()
            except InvalidInput as error:
                yield kind, error

    def rows(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "periods": self.base.rows(),
            "days": {kind: periods.rows() for kind, periods in self.calendar.days.items()},
            "calendar": [rule.row() for rule in self.calendar.rules],
            **self.terms.rows(),
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any]) -> TariffPlan:
        """The inverse of `rows`."""
        days = {kind: DayPeriods.from_rows(periods) for kind, periods in rows["days"].items()}
        calendar = Calendar(days, [DayRule.from_row(row) for row in rows["calendar"]])
        return cls(DayPeriods.from_rows(rows["periods"]), calendar, Terms.from_rows(rows))
