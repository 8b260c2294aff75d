"""Time-of-use periods of a day, as a pure value: which price holds when, and how a pile with few rate slots holds them.

A period has a class (尖 峰 平 谷 深谷) and two prices in yuan per kWh; it lasts until the next one starts, the last until 24:00 China time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from charging_core.clock import to_china
from charging_core.errors import InvalidInput
from charging_core.money import PRICE_PLACES, quantize

MINUTES_A_DAY = 24 * 60
SLOT_MINUTES = 30
"""YKC piles know half-hour slots (`specs/ykc.md` section 5, 0x0A)."""
_MICROSECOND = timedelta(microseconds=1)
PILE_RATES = 4
"""YKC 1.5/1.6 holds four price pairs."""


class RateClass(StrEnum):
    """尖 峰 平 谷 深谷."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"
    DEEP_VALLEY = "deep_valley"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the day from `start_minute` (minutes after midnight) with one class and one price pair (yuan/kWh)."""

    start_minute: int
    rate_class: RateClass
    elec_price: Decimal
    service_price: Decimal

    @property
    def start_text(self) -> str:
        """`HH:MM`."""
        return f"{self.start_minute // 60:02d}:{self.start_minute % 60:02d}"


class Stretch(NamedTuple):
    """A contiguous piece of real time inside one period: `[start, end)`."""

    start: datetime
    end: datetime
    period: Period

    @property
    def microseconds(self) -> int:
        """Its length."""
        return (self.end - self.start) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class PileRates:
    """What a four-rate pile is told: the price pairs of its rates, the class behind each rate, and the rate of each half hour."""

    classes: tuple[RateClass | None, ...]
    prices: tuple[tuple[Decimal, Decimal], ...]
    slots: tuple[int, ...]


class DayPeriods:
    """The validated periods of a day. Raises `InvalidInput` unless they start at 00:00, ascend, and carry prices >= 0 of 5 decimals."""

    def __init__(self, periods: Sequence[Period]) -> None:
        _check(periods)
        self.periods = tuple(periods)
        starts = [timedelta(minutes=period.start_minute) for period in periods]
        self._pieces = tuple(zip(self.periods, starts, (*starts[1:], timedelta(days=1)), strict=True))

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> DayPeriods:
        """From the stored form: `start` (`HH:MM`), `class`, `elec_price`, `service_price`."""
        return cls([_period(row) for row in rows])

    def rows(self) -> list[dict[str, Any]]:
        """The stored form."""
        return [
            {
                "start": period.start_text,
                "class": period.rate_class.value,
                "elec_price": period.elec_price,
                "service_price": period.service_price,
            }
            for period in self.periods
        ]

    def at(self, instant: datetime) -> Period:
        """The period that holds at `instant`."""
        local = to_china(instant)
        minute = local.hour * 60 + local.minute
        return next(p for p in reversed(self.periods) if p.start_minute <= minute)

    def stretches(self, start: datetime, end: datetime) -> Iterator[Stretch]:
        """Cut `[start, end)` at every period border, midnight included, in order; times on the Chinese clock."""
        start, end = to_china(start), to_china(end)
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end and start < end:
            for period, after, until in self._pieces:
                piece_start, piece_end = day + after, day + until
                if start < piece_end and piece_start < end:
                    yield Stretch(
                        piece_start if start < piece_start else start, end if end < piece_end else piece_end, period
                    )
            day += timedelta(days=1)

    def prices_of(self, rate_class: RateClass) -> Period | None:
        """The first period of `rate_class`, or none. On a four-rate tariff a class has one price pair, so the first tells all."""
        return next((p for p in self.periods if p.rate_class is rate_class), None)

    def pile_rates(self) -> PileRates:
        """The four-rate form for a YKC 1.5/1.6 pile (DECISIONS 13).

        Raises `InvalidInput` when a border is not on a half hour, a class has two price pairs, or there are more than four pairs.
        """
        classes = self._rates_of_classes()
        pairs: list[tuple[Decimal, Decimal]] = []
        for rate_class in classes:
            period = self.prices_of(rate_class) if rate_class else None
            pairs.append((period.elec_price, period.service_price) if period else (Decimal(0), Decimal(0)))
        minutes = range(0, MINUTES_A_DAY, SLOT_MINUTES)
        slots = tuple(classes.index(self._class_at_minute(minute)) for minute in minutes)
        return PileRates(tuple(classes), tuple(pairs), slots)

    def _rates_of_classes(self) -> list[RateClass | None]:
        used: dict[RateClass, tuple[Decimal, Decimal]] = {}
        for period in self.periods:
            if period.start_minute % SLOT_MINUTES:
                raise InvalidInput(period.start_text, "a pile of this protocol changes prices on half hours only")
            pair = (period.elec_price, period.service_price)
            if used.setdefault(period.rate_class, pair) != pair:
                raise InvalidInput(
                    period.start_text, f"class {period.rate_class} has two price pairs; such a pile holds one"
                )
        if len(used) > PILE_RATES:
            raise InvalidInput("periods", f"{len(used)} price pairs; a pile of this protocol holds {PILE_RATES}")
        rates: list[RateClass | None] = [c if c in used else None for c in list(RateClass)[:PILE_RATES]]
        if RateClass.DEEP_VALLEY in used:
            rates[rates.index(None)] = RateClass.DEEP_VALLEY
        return rates

    def _class_at_minute(self, minute: int) -> RateClass:
        return next(p.rate_class for p in reversed(self.periods) if p.start_minute <= minute)


def parse_minute(text: str) -> int:
    """Minutes after midnight of `HH:MM`. Raises `InvalidInput` for anything else or beyond 23:59."""
    hours, _, minutes = text.partition(":")
    if len(hours) == 2 and len(minutes) == 2 and hours.isdecimal() and minutes.isdecimal():
        value = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and value < MINUTES_A_DAY:
            return value
    raise InvalidInput("start", f"a period starts at HH:MM, not {text!r}")


def _period(row: Mapping[str, Any]) -> Period:
    return Period(
        parse_minute(row["start"]), RateClass(row["class"]), Decimal(row["elec_price"]), Decimal(row["service_price"])
    )


def _check(periods: Sequence[Period]) -> None:
    if not periods or periods[0].start_minute != 0:
        raise InvalidInput("periods", "the first period starts at 00:00")
    for earlier, later in itertools.pairwise(periods):
        if later.start_minute <= earlier.start_minute:
            raise InvalidInput(later.start_text, "periods ascend and do not repeat a start")
    for period in periods:
        _check_price(period, period.elec_price)
        _check_price(period, period.service_price)


def _check_price(period: Period, price: Decimal) -> None:
    if price < 0:
        raise InvalidInput(period.start_text, "a price is not negative")
    if price != quantize(price, PRICE_PLACES):
        raise InvalidInput(period.start_text, f"a price has at most {PRICE_PLACES} decimals")
