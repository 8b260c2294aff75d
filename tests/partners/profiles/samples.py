"""Canonical snapshots with plain values, shaped as the core writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from partners.profiles.scope import scope_of

NOW = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)  # 10:30 in China

OPERATOR = {"id": "MA5DEMO01", "name": "示例充电", "tel": "4000000000", "credit_code": None}
CONNECTOR: dict[str, Any] = {
    "code": "3301060000000101",
    "number": 1,
    "name": "1号枪",
    "kind": "dc_plug",
    "voltage_upper_v": 750,
    "voltage_lower_v": 200,
    "current_a": 250,
    "power_kw": Decimal("120.0000"),
    "national_standard": 2,
    "bay": "A01",
    "extra": {},
    "state": "charging",
    "plugged": True,
}
PILE: dict[str, Any] = {
    "code": "33010600000001",
    "name": "1号桩",
    "kind": "dc",
    "power_kw": Decimal("120.0000"),
    "manufacturer": None,
    "model": None,
    "extra": {},
}
STATION_FACTS: dict[str, Any] = {
    "id": "S",
    "code": "330106001",
    "owner_id": None,
    "name": "示例站",
    "area_code": "330106",
    "extra": {},
}


def station() -> dict[str, Any]:
    """One station, one pile, one connector, two periods."""
    return {
        "operator": OPERATOR,
        **STATION_FACTS,
        "address": "杭州市西湖区示例路1号",
        "service_tel": "4000000000",
        "station_tel": None,
        "kind": "public",
        "construction": "office",
        "status": "normal",
        "bays": 10,
        "lng": Decimal("120.155070"),
        "lat": Decimal("30.274085"),
        "texts": {"business_hours": "00:00-24:00", "park_fee": ""},
        "changed_at": NOW,
        "version": 3,
        "tariff": {"version_id": "T", "model_number": "0001", "periods": []},
        "piles": [PILE | {"connectors": [CONNECTOR]}],
    }


def connector(state: str = "charging") -> dict[str, Any]:
    """A connector's status snapshot."""
    return {
        "operator": OPERATOR,
        "station": STATION_FACTS,
        "pile": PILE,
        "connector": CONNECTOR | {"state": state},
        "state": state,
        "plugged": True,
        "since": NOW,
        "sample": None,
    }


def detail(energy: str, elec: str, service: str, start: int = 0) -> dict[str, Any]:
    """One line of a bill; `start` in minutes after 10:30."""
    at = NOW + timedelta(minutes=start)
    return {
        "number": 1,
        "started_at": at,
        "ended_at": at + timedelta(minutes=20),
        "class": "flat",
        "elec_price": Decimal("0.80000"),
        "service_price": Decimal("0.40000"),
        "energy_kwh": Decimal(energy),
        "elec_fee": Decimal(elec),
        "service_fee": Decimal(service),
        "basis": "record",
    }


def order(details: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A settled order whose totals are the sums of its details."""
    lines = [detail("26.0000", "20.80", "10.40"), detail("4.5000", "3.60", "1.80", 20)] if details is None else details

    def total(name: str) -> Decimal:
        return sum((line[name] for line in lines), Decimal("0.0000"))

    return {
        "id": "01ORDER",
        "state": "settled",
        "origin": "partner",
        "link_id": "L",
        "start_charge_seq": "987654321240102030405000001",
        "trade_number": "0" * 32,
        "plate": None,
        "phone": None,
        "vin": None,
        "created_at": NOW - timedelta(seconds=20),
        "started_at": NOW,
        "ended_at": NOW + timedelta(minutes=40),
        "settled_at": NOW + timedelta(minutes=41),
        "stop_asked_by": None,
        "stop_reason": "bms",
        "stop_code": 0x41,
        "failure": None,
        "energy_kwh": total("energy_kwh"),
        "elec_fee": total("elec_fee"),
        "service_fee": total("service_fee"),
        "total_fee": total("elec_fee") + total("service_fee"),
        "energy_by_class": {},
        "details": lines,
        "sample": None,
        "version": 4,
        "operator": OPERATOR,
        "station": STATION_FACTS,
        "pile": PILE,
        "connector": CONNECTOR,
    } | changes


def order_scope(**changes: Any) -> dict[str, Any]:
    """The settled order as profiles see it."""
    return scope_of("order", order(**changes))
