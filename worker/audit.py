"""The record of what people did to the ledger: who replayed, discarded, held or released what, when and why.

Each action is one domain event, written in the transaction of the action itself, so that neither exists without the other. Nobody
subscribes to these events; they are kept with all others and never pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select

from charging_core.db import HubSession
from charging_core.events import DomainEvent, record_event


class Action(StrEnum):
    """What can be done by hand; the text is the event's type."""

    REPLAYED = "delivery.replayed"
    DISCARDED = "delivery.discarded"
    HELD = "delivery.held"
    RELEASED = "delivery.released"
    SELECTION_REPLAYED = "deliveries.replayed"
    RECOVERED = "deliveries.recovered"
    DESTINATION_HELD = "destination.held"
    DESTINATION_RELEASED = "destination.released"


NOBODY = "unknown"
"""Who did it, when the caller could not say."""


def note_action(
    session: HubSession, action: Action, subject_id: str, who: str, now: datetime, **facts: Any
) -> DomainEvent:
    """Write one action by `who` on a delivery or destination (`kind:id`) into the running transaction of its tenant."""
    subject = subject_id[:64]
    last = session.scalar(select(func.max(DomainEvent.version)).where(DomainEvent.subject_id == subject)) or 0
    snapshot = {"by": who, **{name: value for name, value in facts.items() if value is not None}}
    return record_event(session, action.value, subject, last + 1, snapshot, now)


def actions(session: HubSession, limit: int = 100, *, subject_id: str | None = None) -> Sequence[Mapping[str, Any]]:
    """The newest actions, newest first. Destinations that the worker held by itself are among them, by `worker`."""
    statement = select(DomainEvent).where(DomainEvent.type.in_([action.value for action in Action]))
    if subject_id is not None:
        statement = statement.where(DomainEvent.subject_id == subject_id[:64])
    found = session.scalars(statement.order_by(DomainEvent.id.desc()).limit(limit))
    return [
        {
            "at": event.occurred_at,
            "action": event.type,
            "subject": event.subject_id,
            "by": event.snapshot.get("by", "worker"),
            "facts": {name: value for name, value in event.snapshot.items() if name != "by"},
        }
        for event in found
    ]
