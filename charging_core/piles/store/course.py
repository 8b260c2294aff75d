"""The energy of a charge by class of its tariff, for a pile that counts in total only. Pure.

The rule: between two samples energy grows straight, so a border between periods takes its share of the step that it cuts. The course
begins at the start with nothing and ends at the end with the record's total, whatever the samples say; what they say beyond that, or
outside that time, is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from charging_core.money import ENERGY_PLACES, ZERO, quantize
from charging_core.orders.billing import MeterSample, bill_of_course
from charging_core.piles.events import TradeRecord
from charging_core.tariffs.periods import DayPeriods, RateClass


def energy_by_course(
    record: TradeRecord, samples: Sequence[MeterSample], periods: DayPeriods
) -> dict[RateClass, Decimal]:
    """kWh per class, summing to the record's total; empty for a record without energy or times. `samples` in order of time."""
    total, start, end = record.total_energy_kwh, record.started_at, record.ended_at
    if not total or start is None or end is None:
        return {}
    course, total = [MeterSample(start, ZERO)], quantize(total, ENERGY_PLACES)
    for sample in samples:
        if start < sample.at < end:
            course.append(MeterSample(sample.at, min(max(sample.energy_kwh, course[-1].energy_kwh), total)))
    course.append(MeterSample(end, total))
    energies: dict[RateClass, Decimal] = {}
    for line in bill_of_course(course, periods).details:
        energies[line.rate_class] = energies.get(line.rate_class, ZERO) + line.energy_kwh
    return energies
