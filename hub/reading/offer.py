"""What a driver may see: stations by distance, free connectors, prices now and over the day."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.service import find_connector, why_unusable
from charging_core.tariffs.periods import Period
from charging_core.tariffs.service import current_version, periods_of, version_in_use

EARTH_KM = 6371.0088  # mean radius; at city distances the error stays below half a percent
_QR = re.compile(r"(?<![0-9A-Za-z])([0-9A-Za-z]{3,26})(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Near:
    """Around which place (GCJ-02 degrees), and how far."""

    lng: float
    lat: float
    within_km: float | None = None


def offered_stations(session: HubSession, near: Near | None, limit: int, now: datetime) -> list[dict[str, Any]]:
    """Stations in use, nearest first when a place is given, else by name."""
    query = select(Station).where(Station.enabled, Station.status == "normal")
    query = query.options(joinedload(Station.piles).joinedload(Pile.connectors))
    found = [(_distance_km(station, near), station) for station in session.scalars(query).unique()]
    if near is not None and near.within_km is not None:
        found = [(km, station) for km, station in found if km is not None and km <= near.within_km]
    found.sort(key=lambda pair: (pair[0] or 0.0, pair[1].name))
    return [_station_line(session, station, km, now) for km, station in found[:limit]]


def offered_station(session: HubSession, station_id: str, now: datetime) -> dict[str, Any]:
    """One station in use with its connectors and prices. Raises `NotFound`."""
    station = session.scalars(select(Station).where(Station.id == station_id, Station.enabled)).one_or_none()
    if station is None:
        raise NotFound(f"station {station_id}")
    connectors = [_connector(c) for pile in station.piles if pile.enabled for c in pile.connectors if c.enabled]
    periods = periods_of(current_version(session, station.tariff_id, now)).periods
    return _station_line(session, station, None, now) | {
        "service_tel": station.service_tel,
        "texts": station.texts,
        "connectors": connectors,
        "periods": [_price(period) for period in periods],
    }


def offered_connector(session: HubSession, code: str) -> dict[str, Any]:
    """One connector and whether a charge can start there now. Raises `NotFound`."""
    connector = find_connector(session, code)
    if connector is None:
        raise NotFound(f"connector {code}")
    return _connector(connector) | {
        "station_id": connector.pile.station_id,
        "station": connector.pile.station.name,
        "power_kw": connector.power_kw,
    }


def connector_in_qr(session: HubSession, text: str) -> str:
    """The code of the connector that a QR text names: bare, `hlht://code.operator/`, or somewhere in a URL. Raises `NotFound`."""
    words = _QR.findall(text)
    known = session.scalars(select(Connector.code).where(Connector.code.in_(words[:20]))).all() if words else []
    if len(known) != 1:
        raise NotFound("connector in this QR text")
    return known[0]


def quote(session: HubSession, code: str, now: datetime) -> dict[str, Any]:
    """Prices in yuan per kWh by which a charge started now would be billed. Raises `NotFound`."""
    connector = find_connector(session, code)
    if connector is None:
        raise NotFound(f"connector {code}")
    pile = connector.pile
    version = version_in_use(session, pile.confirmed_tariff_version_id, pile.station.tariff_id, now)
    periods = periods_of(version)
    return {
        "connector": connector.code,
        "tariff_version_id": version.id,
        "now": _price(periods.at(now)),
        "periods": [_price(period) for period in periods.periods],
        "park_fee": pile.station.texts.get("park_fee"),
    }


def _station_line(session: HubSession, station: Station, km: float | None, now: datetime) -> dict[str, Any]:
    states = Counter(c.state for pile in station.piles if pile.enabled for c in pile.connectors if c.enabled)
    period = periods_of(current_version(session, station.tariff_id, now)).at(now)
    return {
        "id": station.id,
        "code": station.code,
        "name": station.name,
        "address": station.address,
        "lng": station.location["lng"],
        "lat": station.location["lat"],
        "distance_km": None if km is None else str(round(Decimal(km), 2)),
        "connectors_total": sum(states.values()),
        "connectors_free": states["idle"] + states["plugged"],
        "price_now": _price(period),
    }


def _connector(connector: Connector) -> dict[str, Any]:
    names = ("code", "name", "kind", "state", "plugged", "bay")
    return {name: getattr(connector, name) for name in names} | {"unusable": why_unusable(connector)}


def _price(period: Period) -> dict[str, Any]:
    return {
        "start": period.start_text,
        "class": period.rate_class,
        "elec_price": period.elec_price,
        "service_price": period.service_price,
        "price": period.elec_price + period.service_price,
    }


def _distance_km(station: Station, near: Near | None) -> float | None:
    if near is None:
        return None
    lat1, lat2 = math.radians(near.lat), math.radians(float(station.location["lat"]))
    dlng = math.radians(float(station.location["lng"]) - near.lng)
    chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(dlng / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))
