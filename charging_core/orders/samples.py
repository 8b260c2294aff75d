"""One sample of a charge with its running fees: what an order shows while it charges, and what its guard looks at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from charging_core.money import ZERO, fen
from charging_core.orders.facts import Reading
from charging_core.orders.guard import priced
from charging_core.tariffs.periods import DayPeriods


def sample_object(before: Mapping[str, Any] | None, reading: Reading, periods: DayPeriods) -> dict[str, Any]:
    """The sample after `before`: energy that came since then is priced at the periods it came in (an estimate, not a bill).

    Its energy never falls: a value that is missing or smaller than the last one is a glitch of the pile's.
    """
    last = before or {}
    counted = Decimal(last.get("energy_kwh", ZERO))
    energy = counted if reading.energy_kwh is None else max(reading.energy_kwh, counted)
    since = min(last.get("at", reading.at), reading.at)
    elec, service = priced(periods, since, reading.at, energy - counted)
    elec, service = Decimal(last.get("elec_exact", ZERO)) + elec, Decimal(last.get("service_exact", ZERO)) + service
    return {
        "at": reading.at,
        "voltage_v": reading.voltage_v,
        "current_a": reading.current_a,
        "power_kw": (reading.voltage_v * reading.current_a / 1000).quantize(Decimal("0.0001")),
        "soc": reading.soc,
        "energy_kwh": energy,
        "minutes_charged": reading.minutes_charged,
        "minutes_remaining": reading.minutes_remaining,
        "pile_amount": reading.pile_amount,
        "elec_exact": elec,
        "service_exact": service,
        "elec_fee": fen(elec),
        "service_fee": fen(service),
        "total_fee": fen(elec) + fen(service),
    }
