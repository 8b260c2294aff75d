"""The payer's limits of a charge (P12): whether it must be stopped now, so that what is still to come fits under them. Pure.

A pile is heard every few seconds only. So the guard looks ahead: until the next sample can be here and a stop has taken hold, at the
power seen last and the prices of that time. It stops when the limit would be passed by then, and never waits for the pile's own check.
What may still be passed is what the car draws beyond its last power in that time: less than one sample's energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from charging_core.money import ZERO
from charging_core.orders import limits
from charging_core.tariffs.periods import DayPeriods

_HOUR_S = Decimal(3600)
_HOUR_US = 3_600_000_000
_US = timedelta(microseconds=1)


class OverLimit(StrEnum):
    """What a payer is charged when the bill is above his limit all the same."""

    FULL = "full"
    """The whole bill."""
    CAPPED = "capped"
    """The limit; the rest is waived and stands in the bill's explanation."""


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """How far the guard looks ahead, and what happens beyond a limit. Seconds of business time, yuan."""

    margin_yuan: Decimal = Decimal("0.05")
    """Kept free below the limit: a bill rounds each of its lines by itself, half a fen for each of two fees."""
    sample_every_s: int = 15
    """How often piles report while charging (`specs/ykc.md` 4, 0x13)."""
    stop_takes_s: int = 5
    """From the wish to stop until no current flows any more."""
    over_limit: OverLimit = OverLimit.FULL


@dataclass(frozen=True, slots=True)
class ChargeLimits:
    """What ends a charge early: yuan, kWh, minutes, percent of the battery; none: no such limit."""

    yuan: Decimal | None = None
    kwh: Decimal | None = None
    minutes: int | None = None
    soc: int | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is still to come before a stop that is asked at the next sample takes hold."""

    kwh: Decimal
    yuan: Decimal


def look_ahead(
    sample: Mapping[str, Any], before: Mapping[str, Any] | None, periods: DayPeriods, policy: GuardPolicy
) -> Ahead:
    """What is to come after `sample`, by the higher of its own power and the power metered since the sample `before`."""
    metered, passed = _metered(sample, before, policy)
    power = max(sample["power_kw"], metered)
    seconds = max(policy.sample_every_s, min(passed, limits.STEP_S)) + policy.stop_takes_s
    kwh = power * seconds / _HOUR_S
    return Ahead(kwh, sum(priced(periods, sample["at"], sample["at"] + timedelta(seconds=seconds), kwh), ZERO))


def limit_reached(allowed: ChargeLimits, sample: Mapping[str, Any], ahead: Ahead, policy: GuardPolicy) -> str | None:
    """Which limit would be passed before the next sample, in words; none when all of them hold until then."""
    if allowed.yuan is not None and _spent(sample) + ahead.yuan >= allowed.yuan - policy.margin_yuan:
        return "payer's limit reached"
    if allowed.kwh is not None and sample["energy_kwh"] + ahead.kwh >= allowed.kwh:
        return "energy limit reached"
    if allowed.soc is not None and 0 < allowed.soc <= sample["soc"]:  # 0 is what an AC pile says
        return "battery limit reached"
    return None


def time_is_up(allowed: ChargeLimits, started_at: datetime | None, now: datetime) -> bool:
    """Whether the charge has lasted as long as it may."""
    if allowed.minutes is None or started_at is None:
        return False
    return now - started_at >= timedelta(minutes=allowed.minutes)


def priced(periods: DayPeriods, start: datetime, end: datetime, kwh: Decimal) -> tuple[Decimal, Decimal]:
    """Energy fee and service fee (yuan, exact) of energy that flowed evenly from `start` to `end`; of one instant at its own price."""
    stretches = list(periods.stretches(start, end))
    if not stretches:
        period = periods.at(end)
        return kwh * period.elec_price, kwh * period.service_price
    whole = (end - start) // _US
    elec = service = ZERO
    for stretch in stretches:
        part = kwh * stretch.microseconds / whole
        elec += part * stretch.period.elec_price
        service += part * stretch.period.service_price
    return elec, service


def _metered(sample: Mapping[str, Any], before: Mapping[str, Any] | None, policy: GuardPolicy) -> tuple[Decimal, int]:
    """kW by the meter since the last sample, and the seconds since then; samples at one instant count as a usual step."""
    if before is None:
        return ZERO, 0
    step, passed = sample["energy_kwh"] - before["energy_kwh"], sample["at"] - before["at"]
    if passed < timedelta(seconds=1):
        return step * _HOUR_S / policy.sample_every_s, 0
    return step * _HOUR_US / (passed // _US), int(passed.total_seconds())


def _spent(sample: Mapping[str, Any]) -> Decimal:
    """Yuan so far, by our tariff; of a pile that tells no energy at all its own amount is what there is."""
    ours: Decimal = sample["total_fee"]
    return ours if sample["energy_kwh"] > 0 else max(ours, sample["pile_amount"])
