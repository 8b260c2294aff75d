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
    """A sample during a charge: V, A, percent, kWh since the start (none when not told), minutes; `at` is when it was measured, by the
    pile where its protocol tells that, else when it was received."""

    at: datetime
    voltage_v: Decimal
    current_a: Decimal
    soc: int
    energy_kwh: Decimal | None
    minutes_charged: int
    minutes_remaining: int
    pile_amount: Decimal


@dataclass(frozen=True, slots=True)
class PileRate:
    """What the pile says of one class: unit price (yuan/kWh, whatever it puts there), kWh, kWh with loss, amount in yuan."""

    rate_class: RateClass
    price: Decimal
    energy_kwh: Decimal
    with_loss_kwh: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TradeFacts:
    """A trade record. Times are the pile's own and may be wrong or missing; energies in kWh, amounts in yuan are evidence only."""

    energy_by_class: Mapping[RateClass, Decimal]
    started_at: datetime | None
    ended_at: datetime | None
    meter_start: Decimal
    meter_end: Decimal
    total_energy: Decimal
    pile_amount: Decimal | None
    """None: a pile that knows no prices."""
    stop_code: int
    stop_category: StopReason | None
    vin: str | None
    received_at: datetime
    rates: tuple[PileRate, ...] = ()
