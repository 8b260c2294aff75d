"""Protocol-neutral facts about a charge, as `piles/` hands them to orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from charging_core.orders.model import StopReason
from charging_core.tariffs.periods import RateClass


@dataclass(frozen=True, slots=True)
class Reading:
    """A sample during a charge: V, A, percent, kWh since the start (none when not told), minutes; `at` is the receive time."""

    at: datetime
    voltage_v: Decimal
    current_a: Decimal
    soc: int
    energy_kwh: Decimal | None
    minutes_charged: int
    minutes_remaining: int
    pile_amount: Decimal


@dataclass(frozen=True, slots=True)
class TradeFacts:
    """A trade record. Times are the pile's own and may be wrong or missing; energies in kWh, the amount in yuan is evidence only."""

    energy_by_class: Mapping[RateClass, Decimal]
    started_at: datetime | None
    ended_at: datetime | None
    meter_start: Decimal
    meter_end: Decimal
    total_energy: Decimal
    pile_amount: Decimal
    stop_code: int
    stop_category: StopReason | None
    vin: str | None
    received_at: datetime
