"""What a charge would cost, and what past charges would have cost: the engine of the bill on a charge that was not, or not so. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from charging_core.errors import InvalidInput
from charging_core.money import ENERGY_PLACES, ZERO, quantize
from charging_core.orders.billing import Bill, BillDetail, MeterSample, bill_of_course
from charging_core.tariffs.periods import DayPeriods

MOST_KWH = Decimal(1000)
"""More than any battery takes in one charge."""
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Wish:
    """A charge that is thought of: kWh from `start` on at an even power (kW)."""

    start: datetime
    energy_kwh: Decimal
    power_kw: Decimal

    def __post_init__(self) -> None:
        """Raises `InvalidInput` for an energy or a power that no charge has."""
        if not 0 < self.energy_kwh <= MOST_KWH or self.energy_kwh != quantize(self.energy_kwh, ENERGY_PLACES):
            raise InvalidInput("energy", f"kWh above 0 up to {MOST_KWH}, at most {ENERGY_PLACES} decimals")
        if not 0 < self.power_kw <= MOST_KWH:
            raise InvalidInput("power", f"kW above 0 up to {MOST_KWH}")

    @property
    def end(self) -> datetime:
        """When it is over, to the second."""
        return self.start + timedelta(seconds=max(1, round(self.energy_kwh / self.power_kw * _HOUR_S)))


def quote(wish: Wish, periods: DayPeriods) -> Bill:
    """The bill of such a charge."""
    return bill_of_course([MeterSample(wish.start, ZERO), MeterSample(wish.end, wish.energy_kwh)], periods)


def rebill(details: Sequence[BillDetail], periods: DayPeriods) -> Bill:
    """What a charge with these lines would have cost by other periods: each line's energy is taken as even over its stretch.

    Lines that overlap (a pile whose classes do not fit its clock) are laid one after the other by their energies.
    """
    if not details:
        return Bill(())
    return bill_of_course(_course(details), periods)


def _course(details: Sequence[BillDetail]) -> list[MeterSample]:
    course = [MeterSample(details[0].started_at, ZERO)]
    for line in details:
        before = course[-1]
        if line.started_at > before.at:  # a pause: a stretch without energy makes no line
            course.append(MeterSample(line.started_at, before.energy_kwh))
        end = max(line.ended_at, course[-1].at)
        if end > course[-1].at:
            course.append(MeterSample(end, before.energy_kwh + line.energy_kwh))
        else:
            course[-1] = MeterSample(end, before.energy_kwh + line.energy_kwh)
    return course
