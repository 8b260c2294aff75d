"""Canonical objects of stations and connectors: what events carry and profiles map from."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.stations.model import Connector, Pile, Station
from charging_core.tariffs.service import current_version
from charging_core.tenants import Operator


def operator_object(session: HubSession, operator_id: str) -> dict[str, Any]:
    """The operator as others see it."""
    operator = session.scalars(select(Operator).where(Operator.operator_id == operator_id)).one()
    return {
        "id": operator.operator_id,
        "name": operator.name,
        "tel": operator.tel,
        "credit_code": operator.credit_code,
        "registered_address": operator.registered_address,
    }


def station_snapshot(session: HubSession, station: Station, now: datetime) -> dict[str, Any]:
    """A station with all its piles, connectors and the tariff valid at `now`."""
    version = current_version(session, station.tariff_id, now)
    return {
        "operator": operator_object(session, station.operator_id),
        **station_facts(station),
        "address": station.address,
        "service_tel": station.service_tel,
        "station_tel": station.station_tel,
        "kind": station.kind,
        "construction": station.construction,
        "status": station.status,
        "bays": station.bays,
        "lng": Decimal(station.location["lng"]),
        "lat": Decimal(station.location["lat"]),
        "texts": station.texts,
        "changed_at": station.changed_at,
        "version": station.version,
        "tariff": {
            "version_id": version.id,
            "model_number": version.model_number,
            "valid_from": version.valid_from,
            "periods": version.periods,
        },
        "piles": [_pile_object(pile) for pile in station.piles if pile.enabled],
    }


def connector_snapshot(session: HubSession, connector: Connector) -> dict[str, Any]:
    """A connector with its present state and its last reading."""
    pile = connector.pile
    return {
        "operator": operator_object(session, pile.station.operator_id),
        "station": station_facts(pile.station),
        "pile": pile_facts(pile),
        "connector": connector_facts(connector),
        "state": connector.state,
        "plugged": connector.plugged,
        "since": connector.state_since,
        "sample": connector.sample,
        "version": connector.version,
    }


def station_facts(station: Station) -> dict[str, Any]:
    """The few facts of a station that other objects carry along."""
    return {
        "id": station.id,
        "code": station.code,
        "owner_id": station.owner_id,
        "name": station.name,
        "area_code": station.area_code,
        "extra": station.extra,
    }


def pile_facts(pile: Pile) -> dict[str, Any]:
    """The facts of a pile that other objects carry along. `power_kw` in kW."""
    return {
        "code": pile.code,
        "name": pile.name,
        "kind": pile.kind,
        "power_kw": pile.power_kw,
        "manufacturer": pile.manufacturer,
        "model": pile.model,
        "extra": pile.extra,
    }


def connector_facts(connector: Connector) -> dict[str, Any]:
    """The facts of a connector that other objects carry along."""
    return {
        "code": connector.code,
        "number": connector.number,
        "name": connector.name,
        "kind": connector.kind,
        "voltage_upper_v": connector.voltage_upper_v,
        "voltage_lower_v": connector.voltage_lower_v,
        "current_a": connector.current_a,
        "power_kw": connector.power_kw,
        "national_standard": connector.national_standard,
        "bay": connector.bay,
        "extra": connector.extra,
        "state": connector.state,
        "plugged": connector.plugged,
    }


def _pile_object(pile: Pile) -> dict[str, Any]:
    connectors = [connector_facts(connector) for connector in pile.connectors if connector.enabled]
    return pile_facts(pile) | {"connectors": connectors}
