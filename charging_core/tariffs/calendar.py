"""Which kind of day a date is: seasons, weekdays, holidays. Pure: a date goes in, the name of a kind of day comes out.

A calendar is a list of rules, and the first one that fits a date counts; a date that none fits is a base day. So a holiday stands above
the season it lies in, and a working Saturday (调休) above the weekend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from charging_core.errors import InvalidInput
from charging_core.tariffs.periods import DayPeriods

BASE_DAY = "base"
"""The kind of every day that no rule names."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LEAP_YEAR = 2000  # a season may begin or end on 29 February


@dataclass(frozen=True, slots=True)
class DateSpan:
    """The dates from `first` to `last`, both of them included."""

    first: date
    last: date

    @classmethod
    def of(cls, text: str) -> DateSpan:
        """`2026-10-01` or `2026-10-01..2026-10-07`. Raises `InvalidInput`."""
        first, _, last = text.partition("..")
        try:
            span = cls(date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip()))
        except ValueError as error:
            raise InvalidInput("dates", f"a date is YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD, not {text!r}") from error
        if span.last < span.first:
            raise InvalidInput("dates", f"{text} ends before it begins")
        return span

    @property
    def text(self) -> str:
        """The form it is read from."""
        return self.first.isoformat() if self.first == self.last else f"{self.first}..{self.last}"


@dataclass(frozen=True, slots=True)
class Season:
    """A part of every year from `first` to `last` (month, day), both included; it may run over the turn of the year."""

    first: tuple[int, int]
    last: tuple[int, int]

    @classmethod
    def of(cls, text: str) -> Season:
        """`07-01..08-31`. Raises `InvalidInput`."""
        first, mark, last = text.partition("..")
        try:
            if not mark:
                raise ValueError(text)
            return cls(_month_day(first), _month_day(last))
        except ValueError as error:
            raise InvalidInput("season", f"a season is MM-DD..MM-DD, not {text!r}") from error

    def holds(self, day: date) -> bool:
        """Whether `day` lies in it, in whatever year."""
        at = (day.month, day.day)
        if self.first <= self.last:
            return self.first <= at <= self.last
        return at >= self.first or at <= self.last

    @property
    def text(self) -> str:
        """The form it is read from."""
        return "{:02d}-{:02d}..{:02d}-{:02d}".format(*self.first, *self.last)


@dataclass(frozen=True, slots=True)
class DayRule:
    """Dates of one kind: everything that is given must fit. A rule that names nothing fits no date."""

    day: str
    dates: tuple[DateSpan, ...] = ()
    season: Season | None = None
    weekdays: frozenset[int] = frozenset()
    """0 Monday … 6 Sunday; empty: any."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> DayRule:
        """From `{day, dates: […], season: …, weekdays: [mon …]}`. Raises `InvalidInput`."""
        weekdays = row.get("weekdays") or ()
        unknown = [word for word in weekdays if word not in WEEKDAYS]
        if unknown:
            raise InvalidInput("weekdays", f"{unknown[0]!r} is none of {' '.join(WEEKDAYS)}")
        season = row.get("season")
        rule = cls(
            row["day"],
            tuple(DateSpan.of(text) for text in row.get("dates") or ()),
            Season.of(season) if season else None,
            frozenset(WEEKDAYS.index(word) for word in weekdays),
        )
        if not (rule.dates or rule.season or rule.weekdays):
            raise InvalidInput("calendar", f"the rule for {rule.day} names neither dates nor season nor weekdays")
        return rule

    def row(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "day": self.day,
            "dates": [span.text for span in self.dates],
            "season": self.season.text if self.season else None,
            "weekdays": [WEEKDAYS[number] for number in sorted(self.weekdays)],
        }

    def holds(self, day: date) -> bool:
        """Whether `day` is one of its dates."""
        in_dates = not self.dates or any(span.first <= day <= span.last for span in self.dates)
        in_season = self.season is None or self.season.holds(day)
        return in_dates and in_season and (not self.weekdays or day.weekday() in self.weekdays)


class Calendar:
    """Kinds of day with their periods, and the rules that choose among them. Without rules every day is a base day.

    Raises `InvalidInput` when a rule names a kind that has no periods, or a kind is called `base`.
    """

    def __init__(self, days: Mapping[str, DayPeriods] | None = None, rules: Sequence[DayRule] = ()) -> None:
        self.days = dict(days or {})
        self.rules = tuple(rules)
        if BASE_DAY in self.days:
            raise InvalidInput("days", f"`{BASE_DAY}` are the periods of the tariff itself")
        for rule in self.rules:
            if rule.day not in self.days and rule.day != BASE_DAY:
                raise InvalidInput("calendar", f"there is no kind of day called {rule.day}")

    def kind_on(self, day: date) -> str:
        """The kind of this China date."""
        return next((rule.day for rule in self.rules if rule.holds(day)), BASE_DAY)


def _month_day(text: str) -> tuple[int, int]:
    month, _, day = text.strip().partition("-")
    found = date(_LEAP_YEAR, int(month), int(day))
    return found.month, found.day
