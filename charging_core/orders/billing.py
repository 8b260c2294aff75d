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

from charging_core.clock import to_china
from charging_core.money import ENERGY_PLACES, ZERO, fen, quantize, spread_largest_remainder
from charging_core.tariffs.periods import DayPeriods, Period, RateClass, Stretch


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


@dataclass(frozen=True, slots=True)
class BillDetail:
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
    stretches = list(periods.stretches(start, end))
    lines = [
        line
        for rate_class, energy in energy_by_class.items()
        if energy > 0
        for line in _lines_of_class(rate_class, energy, stretches, periods, samples, (start, end))
    ]
    return Bill(tuple(sorted(lines, key=lambda line: (line.started_at, line.rate_class))))


def _lines_of_class(
    rate_class: RateClass,
    energy: Decimal,
    stretches: Sequence[Stretch],
    periods: DayPeriods,
    samples: Sequence[MeterSample],
    window: tuple[datetime, datetime],
) -> list[BillDetail]:
    own = [stretch for stretch in stretches if stretch.period.rate_class is rate_class]
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


def _weights(stretches: Sequence[Stretch], samples: Sequence[MeterSample]) -> tuple[list[Decimal], Basis]:
    metered = [energy_at(samples, s.end) - energy_at(samples, s.start) for s in stretches] if len(samples) > 1 else []
    if metered and sum(metered, ZERO) > 0 and min(metered) >= 0:
        return metered, Basis.SAMPLES
    return [stretch.seconds for stretch in stretches], Basis.DURATION


def _share(energy: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    whole = sum(weights, ZERO)
    exact = [energy * weight / whole for weight in weights]
    parts = spread_largest_remainder(exact, ENERGY_PLACES)
    # Division can leave the sum a hair off the record; the last line takes it, so that a class always sums to its record.
    parts[-1] += quantize(energy, ENERGY_PLACES) - sum(parts, ZERO)
    return parts


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
    return BillDetail(
        started_at=start,
        ended_at=end,
        rate_class=period.rate_class,
        elec_price=period.elec_price,
        service_price=period.service_price,
        energy_kwh=energy,
        elec_fee=fen(energy * period.elec_price),
        service_fee=fen(energy * period.service_price),
        basis=basis,
    )
