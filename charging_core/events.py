"""The transactional outbox: domain events, written in the transaction of the state they tell of (DECISIONS 17, 18).

An event is a past-tense fact with a full snapshot, so that a subscriber never has to look at a state that has moved on. Samples are
never events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, HubSession, TenantScoped
from charging_core.ids import new_id
from charging_core.types import Json, UtcDateTime

PENDING, DONE, STUCK = "pending", "done", "stuck"


class DomainEvent(TenantScoped, Base):
    """One fact. `state` is `pending` until the relay has planned its deliveries, `stuck` when planning keeps failing."""

    __tablename__ = "domain_event"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    type: Mapped[str] = mapped_column(String(64))
    subject_id: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    snapshot: Mapped[dict[str, Any]] = mapped_column(Json)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16), default=PENDING)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    problem: Mapped[str | None] = mapped_column(String(500))

    __table_args__ = (
        Index(
            "ix_domain_event_pending",
            "id",
            postgresql_where=text("state = 'pending'"),
            sqlite_where=text("state = 'pending'"),
        ),
        Index("ix_domain_event_subject", "subject_id", "version"),
    )


def log_ids(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """The order and the pile that a snapshot is about, as every log line about it names them (`order_id`, `pile_code`)."""
    order = snapshot.get("order_id") or (snapshot.get("id") if "start_charge_seq" in snapshot else None)
    pile = snapshot.get("pile")
    code = snapshot.get("pile_code") or (pile.get("code") if isinstance(pile, Mapping) else None)
    return {name: str(value) for name, value in (("order_id", order), ("pile_code", code)) if value}


def record_event(
    session: HubSession,
    kind: str,
    subject_id: str,
    version: int,
    snapshot: dict[str, Any],
    occurred_at: datetime,
    tenant_id: str | None = None,
) -> DomainEvent:
    """Write the fact `kind` about `subject_id` into the outbox of the running transaction.

    `version` orders facts about one subject; the caller assigns it under the subject's row lock. `tenant_id` is needed only in a
    system session.
    """
    happened = DomainEvent(
        id=new_id(), type=kind, subject_id=subject_id, version=version, snapshot=snapshot, occurred_at=occurred_at
    )
    if tenant_id is not None:
        happened.tenant_id = tenant_id
    session.add(happened)
    return happened
