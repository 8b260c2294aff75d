"""The bill, as a pure function: energy per class x the tariff version valid at start (DECISIONS 12, 13).

A pile reports energy per class. A class is cut into the contiguous stretches of its periods between start and end; its energy is
spread over them by the meter samples seen on the way, else by duration, and always sums to what the record says. Each detail's two
fees are rounded half-up to the fen once; every total is a sum of details.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from charging_core.clock import to_china
from charging_core.money import ENERGY_PLACES, ZERO, fen, from_scaled, quantize, to_scaled
from charging_core.tariffs.periods import DayPeriods, Period, RateClass, Stretch

_UNIT = from_scaled(1, ENERGY_PLACES)
_IN_ORDER = attrgetter("started_at", "rate_class")
_WEIGHT_PLACES = 20
"""Decimals of a metered weight that count: more than a meter tells, and few enough to stay exact."""


class Basis(StrEnum):
    """What the energy of a detail rests on."""

    RECORD = "record"
    SAMPLES = "samples"
    DURATION = "duration"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class MeterSample:
    """The energy (kWh) counted since the start, as received at `at`."""

    at: datetime
    energy_kwh: Decimal


class BillDetail(NamedTuple):
    """One line of the bill: a stretch, its prices (yuan/kWh), energy (kWh, 4 decimals) and fees (yuan, 2 decimals)."""

    started_at: datetime
    ended_at: datetime
    rate_class: RateClass
    elec_price: Decimal
    service_price: Decimal
    energy_kwh: Decimal
    elec_fee: Decimal
    service_fee: Decimal
    basis: Basis


@dataclass(frozen=True, slots=True)
class Bill:
    """Details and nothing else; the totals are their sums."""

    details: tuple[BillDetail, ...]

    @property
    def energy_kwh(self) -> Decimal:
        """Sum of the energies."""
        return sum((d.energy_kwh for d in self.details), ZERO)

    @property
    def elec_fee(self) -> Decimal:
        """Sum of the energy fees."""
        return sum((d.elec_fee for d in self.details), ZERO)

    @property
    def service_fee(self) -> Decimal:
        """Sum of the service fees."""
        return sum((d.service_fee for d in self.details), ZERO)

    @property
    def total_fee(self) -> Decimal:
        """Energy fee plus service fee."""
        return self.elec_fee + self.service_fee

    def less(self, amount: Decimal) -> Bill:
        """The bill with `amount` yuan given back: service fees first, the last line first. Raises `ValueError` beyond the total."""
        if amount > self.total_fee:
            raise ValueError(f"{amount} is more than the bill of {self.total_fee}")
        lines = list(self.details)
        for name in ("service_fee", "elec_fee"):
            for index in reversed(range(len(lines))):
                part = min(amount, getattr(lines[index], name))
                lines[index] = lines[index]._replace(**{name: getattr(lines[index], name) - part})
                amount -= part
        return Bill(tuple(lines))


def make_bill(
    energy_by_class: Mapping[RateClass, Decimal],
    start: datetime,
    end: datetime,
    periods: DayPeriods,
    samples: Sequence[MeterSample] = (),
) -> Bill:
    """The bill of one charge. Classes without energy make no line.

    A class that the record names but the clock between start and end never reached (a pile with a wrong clock) is billed at that
    class's price as one line over the whole charge, marked `outside`. Raises `ValueError` when the tariff has no such class.
    """
    own: dict[RateClass, list[Stretch]] = {}
    for stretch in periods.stretches(start, end):
        own.setdefault(stretch.period.rate_class, []).append(stretch)
    lines: list[BillDetail] = []
    for rate_class, energy in energy_by_class.items():
        if energy > 0:
            lines += _lines_of_class(rate_class, energy, own.get(rate_class, []), periods, samples, (start, end))
    return Bill(tuple(sorted(lines, key=_IN_ORDER)))


def bill_of_course(course: Sequence[MeterSample], periods: DayPeriods) -> Bill:
    """The bill of a charge whose course is known instead of its classes: what a quote and a simulation have.

    `course` begins at the start with 0 kWh and ends at the end with the whole energy, ascending in between.
    """
    start, end, energy = course[0].at, course[-1].at, course[-1].energy_kwh
    if energy <= 0:
        return Bill(())
    stretches = list(periods.stretches(start, end))
    if not stretches:  # all of it in one instant
        return Bill((_detail(to_china(start), to_china(end), periods.at(start), energy, Basis.OUTSIDE),))
    weights = _metered(stretches, course)
    # A course may jump at its first instant; what has no time of its own is spread over the time there is.
    parts = _share(energy, weights if any(weights) else [stretch.microseconds for stretch in stretches])
    basis = Basis.SAMPLES if len(stretches) > 1 else Basis.RECORD
    return Bill(
        tuple(
            _detail(s.start, s.end, s.period, part, basis) for s, part in zip(stretches, parts, strict=True) if part > 0
        )
    )


def _lines_of_class(
    rate_class: RateClass,
    energy: Decimal,
    own: Sequence[Stretch],
    periods: DayPeriods,
    samples: Sequence[MeterSample],
    window: tuple[datetime, datetime],
) -> list[BillDetail]:
    if not own:
        period = periods.prices_of(rate_class)
        if period is None:
            raise ValueError(f"the tariff has no {rate_class} price")
        return [_detail(to_china(window[0]), to_china(window[1]), period, energy, Basis.OUTSIDE)]
    if len(own) == 1:
        return [_detail(own[0].start, own[0].end, own[0].period, energy, Basis.RECORD)]
    weights, basis = _weights(own, samples)
    parts = _share(energy, weights)
    return [_detail(s.start, s.end, s.period, part, basis) for s, part in zip(own, parts, strict=True) if part > 0]


def _weights(stretches: Sequence[Stretch], samples: Sequence[MeterSample]) -> tuple[list[int], Basis]:
    metered = _metered(stretches, samples) if len(samples) > 1 else []
    if metered and sum(metered) > 0 and min(metered) >= 0:
        return metered, Basis.SAMPLES
    return [stretch.microseconds for stretch in stretches], Basis.DURATION


def _metered(stretches: Sequence[Stretch], samples: Sequence[MeterSample]) -> list[int]:
    energies = (energy_at(samples, s.end) - energy_at(samples, s.start) for s in stretches)
    return [int(energy.scaleb(_WEIGHT_PLACES)) for energy in energies]


def _share(energy: Decimal, weights: Sequence[int]) -> list[Decimal]:
    """`energy` by weight, whole units of 0.0001 kWh, the units left over to the largest remainders: always the whole of it."""
    units, whole = to_scaled(quantize(energy, ENERGY_PLACES), ENERGY_PLACES), sum(weights)
    shares = [divmod(units * weight, whole) for weight in weights]
    parts = [part for part, _ in shares]
    missing = units - sum(parts)
    if missing:
        order = sorted(range(len(parts)), key=lambda index: (-shares[index][1], index))
        for index in order[:missing]:
            parts[index] += 1
    return [part * _UNIT for part in parts]


def energy_at(samples: Sequence[MeterSample], instant: datetime) -> Decimal:
    """The metered energy at `instant`, straight between the samples around it, flat outside them."""
    earlier = None
    for sample in samples:
        if sample.at > instant:
            if earlier is None:
                return ZERO
            span = Decimal(str((sample.at - earlier.at).total_seconds()))
            passed = Decimal(str((instant - earlier.at).total_seconds()))
            return earlier.energy_kwh + (sample.energy_kwh - earlier.energy_kwh) * passed / span
        earlier = sample
    return earlier.energy_kwh if earlier else ZERO


def _detail(start: datetime, end: datetime, period: Period, energy: Decimal, basis: Basis) -> BillDetail:
    elec_price, service_price = period.elec_price, period.service_price
    # By position: a bill of 48 slots is made in well under a millisecond, and names are a tenth of it.
    return BillDetail(
        start,
        end,
        period.rate_class,
        elec_price,
        service_price,
        energy,
        fen(energy * elec_price),
        fen(energy * service_price),
        basis,
    )
