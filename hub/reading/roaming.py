"""Other operators' stations as we mirror them, and our drivers' charges there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from charging_core.db import HubSession
from hub.reading.links import require_link
from hub.reading.paging import Page, Window, read_page
from hub.reading.values import mask
from partners.roaming.model import RoamingConnector, RoamingOrder, RoamingStation
from partners.roaming.orders import find_roaming_order

_STATION = ("id", "link_id", "operator_id", "station_id", "name", "fees", "changed_at", "seen_at", "gone_at")
_CONNECTOR = ("connector_id", "equipment_id", "status", "park_status", "lock_status", "status_at", "policy", "gone_at")
_ORDER = (
    "id", "link_id", "start_charge_seq", "connector_id", "request_id", "state", "failure", "created_at", "started_at", "ended_at",
    "energy_kwh", "elec_fee", "service_fee", "total_fee", "confirm_result", "billed_at", "sample",
)  # fmt: skip


def list_roaming_stations(session: HubSession, window: Window, link: str | None = None) -> Page:
    """Mirrored stations with their connectors. Raises `NotFound` for an unknown link."""
    query = select(RoamingStation)
    if link is not None:
        query = query.where(RoamingStation.link_id == require_link(session, link).id)
    page = read_page(session, query, RoamingStation.id, window, _station)
    ids = [station["id"] for station in page.items]
    found = session.scalars(select(RoamingConnector).where(RoamingConnector.station_row_id.in_(ids)))
    by_station: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(found, key=lambda one: one.connector_id):
        told = {name: getattr(row, name) for name in _CONNECTOR}
        by_station.setdefault(row.station_row_id, []).append(told)
    for station in page.items:
        station["connectors"] = by_station.get(station["id"], [])
    return page


def list_roaming_orders(session: HubSession, window: Window, link: str | None = None, state: str | None = None) -> Page:
    """Our drivers' charges elsewhere, newest first. Raises `NotFound` for an unknown link."""
    query = select(RoamingOrder)
    if link is not None:
        query = query.where(RoamingOrder.link_id == require_link(session, link).id)
    if state is not None:
        query = query.where(RoamingOrder.state == state)
    key: InstrumentedAttribute[str] = RoamingOrder.id
    return read_page(session, query, key, window, _order, newest_first=True)


def roaming_order_view(session: HubSession, name: str) -> dict[str, Any]:
    """One of them with its bill and what happened. Raises `NotFound`."""
    row = find_roaming_order(session, name)
    return _order(row) | {"bill": row.bill, "policy": row.policy, "history": row.history}


def _station(row: RoamingStation) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _STATION}


def _order(row: RoamingOrder) -> dict[str, Any]:
    members = {name: getattr(row, name) for name in _ORDER}
    return members | {"plate": mask(row.plate), "phone": mask(row.phone)}
