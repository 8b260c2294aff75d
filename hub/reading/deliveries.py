"""Deliveries and their attempts: who was told what, when, and what they answered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.events import DomainEvent
from hub.reading.paging import Page, Window, read_page
from worker.model import DeliveryAttempt, DeliveryRow

_LINE = (
    "id", "destination_kind", "destination_id", "interface", "object_key", "object_version", "state", "outcome", "code",
    "reason", "dispute", "attempt_count", "occurred_at", "next_attempt_at", "deadline_at", "finished_at",
)  # fmt: skip
_ATTEMPT = (
    "number", "started_at", "duration_ms", "http_status", "outcome", "code", "message", "error", "request_text", "answer_text",
)  # fmt: skip


def list_deliveries(
    session: HubSession,
    window: Window,
    *,
    state: str | None = None,
    destination_id: str | None = None,
    object_key: str | None = None,
) -> Page:
    """Deliveries, newest first."""
    query = select(DeliveryRow)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    if destination_id is not None:
        query = query.where(DeliveryRow.destination_id == destination_id)
    if object_key is not None:
        query = query.where(DeliveryRow.object_key == object_key)
    return read_page(session, query, DeliveryRow.id, window, _line, newest_first=True)


def delivery_view(session: HubSession, delivery_id: str) -> dict[str, Any]:
    """One delivery with its attempts. Raises `NotFound`."""
    row = session.scalars(select(DeliveryRow).where(DeliveryRow.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound(f"delivery {delivery_id}")
    return _with_attempts(session, row)


def deliveries_about(session: HubSession, subject_ids: list[str]) -> list[dict[str, Any]]:
    """Every delivery about these objects (by event or by object key), oldest first, with attempts."""
    events = select(DomainEvent.id).where(DomainEvent.subject_id.in_(subject_ids))
    query = (
        select(DeliveryRow)
        .where(or_(DeliveryRow.event_id.in_(events), DeliveryRow.object_key.in_(subject_ids)))
        .order_by(DeliveryRow.id)
    )
    return [_with_attempts(session, row) for row in session.scalars(query)]


def _with_attempts(session: HubSession, row: DeliveryRow) -> dict[str, Any]:
    query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == row.id).order_by(DeliveryAttempt.number)
    attempts = [{name: getattr(attempt, name) for name in _ATTEMPT} for attempt in session.scalars(query)]
    return _line(row) | {"attempts": attempts}


def _line(row: DeliveryRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _LINE}
