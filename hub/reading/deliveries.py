"""Deliveries and their attempts: who was told what, when, and what they answered; how destinations are served; who repaired what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.events import DomainEvent
from hub.reading.destinations import Destinations
from hub.reading.paging import Page, Window, read_page
from partners.tcec102.masking import mask
from worker.audit import actions
from worker.model import DeliveryAttempt, DeliveryRow
from worker.repair import Selection, selected
from worker.stats import destination_stats

_LINE = (
    "id", "destination_kind", "destination_id", "interface", "object_key", "object_version", "state", "outcome", "code",
    "reason", "dispute", "attempt_count", "occurred_at", "next_attempt_at", "deadline_at", "finished_at",
)  # fmt: skip
_MORE = ("lane", "lane_order", "priority", "policy_name", "policy_version", "event_id", "created_at")
_ATTEMPT = (
    "number", "started_at", "duration_ms", "http_status", "outcome", "code", "message", "error", "call_id", "request_text",
    "answer_text",
)  # fmt: skip


def list_deliveries(session: HubSession, window: Window, wanted: Selection) -> Page:
    """Deliveries of a selection, newest first."""
    names = Destinations(session)
    return read_page(
        session, selected(wanted), DeliveryRow.id, window, lambda row: _line(row, names), newest_first=True
    )


def delivery_view(session: HubSession, delivery_id: str) -> dict[str, Any]:
    """One delivery with its attempts, its frozen body (masked), and what people did to it. Raises `NotFound`."""
    row = session.scalars(select(DeliveryRow).where(DeliveryRow.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound(f"delivery {delivery_id}")
    names = Destinations(session)
    return {
        **_line(row, names),
        **{name: getattr(row, name) for name in _MORE},
        "body": mask(row.body),
        "attempts": _attempts(session, [row]).get(row.id, []),
        "actions": list_actions(session, 50, subject=row.id),
    }


def deliveries_about(session: HubSession, subject_ids: list[str]) -> list[dict[str, Any]]:
    """Every delivery about these objects (by event or by object key), oldest first, with attempts."""
    events = select(DomainEvent.id).where(DomainEvent.subject_id.in_(subject_ids))
    query = (
        select(DeliveryRow)
        .where(or_(DeliveryRow.event_id.in_(events), DeliveryRow.object_key.in_(subject_ids)))
        .order_by(DeliveryRow.id)
    )
    rows = session.scalars(query).all()
    names, attempts = Destinations(session), _attempts(session, rows)
    return [_line(row, names) | {"attempts": attempts.get(row.id, [])} for row in rows]


def list_stats(session: HubSession, now: datetime, window: timedelta) -> list[dict[str, Any]]:
    """How every destination was served during the last `window`, by the names people know; times in seconds."""
    names = Destinations(session)
    return [
        {"destination": names.label(one.kind, one.destination_id), "name": names.title(one.kind, one.destination_id)}
        | asdict(one)
        for one in destination_stats(session, now, window)
    ]


def list_actions(session: HubSession, limit: int, *, subject: str | None = None) -> list[dict[str, Any]]:
    """What was done to deliveries and destinations by hand, newest first. `subject`: a delivery's id, or `kind:id`."""
    names = Destinations(session)
    return [
        {**action, "subject": names.subject(str(action["subject"]))}
        for action in actions(session, limit, subject_id=subject)
    ]


def _attempts(session: HubSession, rows: Iterable[DeliveryRow]) -> dict[str, list[dict[str, Any]]]:
    ids = [row.id for row in rows]
    found: dict[str, list[dict[str, Any]]] = {}
    for attempt in _attempt_rows(session, ids):
        line = {name: getattr(attempt, name) for name in _ATTEMPT}
        found.setdefault(attempt.delivery_id, []).append(line)
    return found


def _attempt_rows(session: HubSession, ids: Sequence[str]) -> Iterable[DeliveryAttempt]:
    query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(ids)).order_by(DeliveryAttempt.number)
    return session.scalars(query)


def _line(row: DeliveryRow, names: Destinations) -> dict[str, Any]:
    named = {"destination": names.label(row.destination_kind, row.destination_id)}
    return {name: getattr(row, name) for name in _LINE} | named
