"""A trade record as a plain value: what is kept of it beside the frame, so that a parked one can be billed when its order is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from charging_core.piles.events import RateClass, RateReading, StopCategory, TradeRecord

_BESIDE = ("raw", "received_at")
"""Kept in columns of their own."""


def told(record: TradeRecord) -> dict[str, Any]:
    """The stored form: energies in kWh, amounts in yuan, times as the pile told them."""
    return {name: value for name, value in asdict(record).items() if name not in _BESIDE}


def record_of(row: Mapping[str, Any], **beside: Any) -> TradeRecord:
    """The inverse of `told`; `beside` is the raw frame and when it came."""
    rates = tuple(RateReading(**(rate | {"rate_class": RateClass(rate["rate_class"])})) for rate in row["rates"])
    return TradeRecord(**(dict(row) | {"rates": rates, "stop_category": StopCategory(row["stop_category"])} | beside))
