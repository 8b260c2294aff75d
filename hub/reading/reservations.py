"""Reservations: who keeps which connector until when, and how earlier ones ended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.orders.reservations.model import Reservation
from hub.reading.paging import Page, Window, read_page

_LINE = (
    "id", "request_id", "state", "until", "plate", "phone", "member_id", "order_id", "desk", "asked_by", "reason",
    "ended_by", "created_at", "changed_at",
)  # fmt: skip


def list_reservations(session: HubSession, window: Window, state: str | None = None) -> Page:
    """Reservations, newest first."""
    query = select(Reservation).options(joinedload(Reservation.connector))
    if state is not None:
        query = query.where(Reservation.state == state)
    return read_page(session, query, Reservation.id, window, reservation_view, newest_first=True)


def reservation_view(row: Reservation) -> dict[str, Any]:
    """One reservation."""
    return {name: getattr(row, name) for name in _LINE} | {"connector": row.connector.code}
