"""Stations, piles, connectors and refused logins as the operator's staff see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.stations.model import Connector, Pile, RefusedLogin, Station
from charging_core.stations.service import find_connector
from charging_core.stations.snapshot import connector_facts, connector_snapshot, station_snapshot
from charging_core.tenants import Tenant
from hub.reading.paging import Page, Window, read_page


def list_stations(session: HubSession, window: Window) -> Page:
    """Stations in the order they were made."""
    return read_page(session, select(Station), Station.id, window, _station_line)


def station_view(session: HubSession, station_id: str, now: datetime) -> dict[str, Any]:
    """One station with piles, connectors and the tariff valid at `now`. Raises `NotFound`."""
    station = session.scalars(select(Station).where(Station.id == station_id)).one_or_none()
    if station is None:
        raise NotFound(f"station {station_id}")
    return station_snapshot(session, station, now) | {"enabled": station.enabled}


def list_piles(session: HubSession, window: Window, online: bool | None = None) -> Page:
    """Piles by code."""
    query = select(Pile).options(joinedload(Pile.station), joinedload(Pile.connectors))
    if online is not None:
        query = query.where(Pile.online == online)
    return read_page(session, query, Pile.code, window, _pile_line)


def pile_view(session: HubSession, code: str) -> dict[str, Any]:
    """One pile with its connectors. Raises `NotFound`."""
    pile = session.scalars(select(Pile).where(Pile.code == code)).one_or_none()
    if pile is None:
        raise NotFound(f"pile {code}")
    connectors = [connector_facts(connector) | {"since": connector.state_since} for connector in pile.connectors]
    return _pile_line(pile) | {
        "power_kw": pile.power_kw,
        "manufacturer": pile.manufacturer,
        "model": pile.model,
        "protocol_options": pile.protocol_options,
        "confirmed_tariff_version_id": pile.confirmed_tariff_version_id,
        "connectors": connectors,
    }


def list_connectors(session: HubSession, window: Window, state: str | None = None) -> Page:
    """Connectors by code, with their live status."""
    query = select(Connector).options(joinedload(Connector.pile).joinedload(Pile.station))
    if state is not None:
        query = query.where(Connector.state == state)
    return read_page(session, query, Connector.code, window, _connector_line)


def connector_view(session: HubSession, code: str) -> dict[str, Any]:
    """One connector with its last reading. Raises `NotFound`."""
    connector = find_connector(session, code)
    if connector is None:
        raise NotFound(f"connector {code}")
    return connector_snapshot(session, connector)


def list_refused_logins(session: HubSession, limit: int, tenant_id: str | None) -> list[dict[str, Any]]:
    """Piles that were not let in, the latest first; all of them when `tenant_id` is none.

    A tenant sees its own piles. A knock with a code nobody owns is shown to a tenant only where it is the only one of the hub.
    """
    query = select(RefusedLogin).order_by(RefusedLogin.last_at.desc()).limit(limit)
    if tenant_id is not None:
        alone = session.scalar(select(func.count()).select_from(Tenant)) == 1
        own = RefusedLogin.tenant_id == tenant_id
        query = query.where(or_(own, RefusedLogin.tenant_id.is_(None)) if alone else own)
    return [_refused_line(row) for row in session.scalars(query)]


def _station_line(station: Station) -> dict[str, Any]:
    names = ("id", "code", "operator_id", "name", "area_code", "address", "status", "enabled", "version")
    return {name: getattr(station, name) for name in names}


def _pile_line(pile: Pile) -> dict[str, Any]:
    names = ("code", "name", "kind", "protocol", "online", "firmware", "last_login_at", "enabled")
    return {name: getattr(pile, name) for name in names} | {
        "station_id": pile.station_id,
        "station": pile.station.name,
        "states": {connector.code: connector.state for connector in pile.connectors},
    }


def _connector_line(connector: Connector) -> dict[str, Any]:
    return {
        "code": connector.code,
        "name": connector.name,
        "kind": connector.kind,
        "state": connector.state,
        "plugged": connector.plugged,
        "since": connector.state_since,
        "enabled": connector.enabled,
        "pile": connector.pile.code,
        "station_id": connector.pile.station_id,
        "station": connector.pile.station.name,
    }


def _refused_line(row: RefusedLogin) -> dict[str, Any]:
    names = ("pile_code", "address", "protocol", "firmware", "reason", "first_at", "last_at", "count")
    return {name: getattr(row, name) for name in names}
