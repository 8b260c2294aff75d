"""The canonical order: what order events carry, what profiles map from, what `hub order show` prints."""

from __future__ import annotations

from typing import Any

from charging_core.db import HubSession
from charging_core.orders.model import ChargeOrder, OrderDetail
from charging_core.stations.snapshot import connector_facts, operator_object, pile_facts, station_facts
from charging_core.tariffs.periods import RateClass

_PLAIN = (
    "id", "state", "origin", "link_id", "start_charge_seq", "trade_number", "plate", "phone", "vin", "created_at",
    "started_at", "ended_at", "settled_at", "stop_asked_by", "stop_reason", "stop_code", "failure", "review",
    "energy_kwh", "elec_fee", "service_fee", "total_fee", "meter_start", "meter_end", "pile_amount",
    "tariff_version_id", "sample", "version",
)  # fmt: skip


def order_snapshot(session: HubSession, order: ChargeOrder) -> dict[str, Any]:
    """Everything a subscriber may need about the order at this instant. Energy in kWh, money in yuan, times UTC."""
    connector = order.connector
    return {
        **{name: getattr(order, name) for name in _PLAIN},
        "operator": operator_object(session, order.operator_id),
        "station": station_facts(connector.pile.station),
        "pile": pile_facts(connector.pile),
        "connector": connector_facts(connector),
        "energy_by_class": {c.value: (order.energy_by_class or {}).get(c.value, 0) for c in RateClass},
        "details": [detail_object(detail) for detail in order.details],
    }


def detail_object(detail: OrderDetail) -> dict[str, Any]:
    """One line of the bill."""
    return {
        "number": detail.number,
        "started_at": detail.started_at,
        "ended_at": detail.ended_at,
        "class": detail.rate_class,
        "elec_price": detail.elec_price,
        "service_price": detail.service_price,
        "energy_kwh": detail.energy_kwh,
        "elec_fee": detail.elec_fee,
        "service_fee": detail.service_fee,
        "basis": detail.basis,
    }
