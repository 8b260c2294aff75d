"""Tables of the ledger: destinations, deliveries, attempts; and of the scheduler: leases and ticks.

Times named `*_until` and `*_real_at` are real time (leases); all others are business time of the clock that was passed in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    bindparam,
    literal,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, UtcDateTime
from worker.api import State

OPEN_STATES = (State.WAITING, State.LEASED, State.HELD)
_WAITING = text("state = 'waiting'")
_RETRYING = text("state = 'waiting' AND failure_count > 0")
_URGENT = text("state = 'waiting' AND urgent_at IS NOT NULL")
_LEASED = text("state = 'leased'")
_FINISHED = text("finished_at IS NOT NULL")
_OPEN = text("state IN ('waiting', 'leased', 'held')")


class DestinationState(TenantScoped, Base):
    """What the worker knows about one destination: held or not, how it has answered lately, when it may be called again."""

    __tablename__ = "destination_state"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    destination_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    held: Mapped[bool] = mapped_column(Boolean, default=False)
    hold_reason: Mapped[str | None] = mapped_column(String(300))
    held_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    configuration_failures: Mapped[int] = mapped_column(Integer, default=0)
    consecutive_failures: Mapped[int] = mapped_column(Integer, default=0)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    open_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The breaker: until then only retries whose time has come are sent, as probes."""
    next_call_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Pacing: not called before; set for destinations whose policy paces them."""
    concurrency: Mapped[int | None] = mapped_column(Integer)
    """Deliveries under way at once; the setting's default when null."""
    last_accepted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The last acceptance, to within a few seconds (writing it every time would make one row the bottleneck)."""
    event_version: Mapped[int] = mapped_column(Integer, default=0)


class DeliveryRow(TenantScoped, Base):
    """One delivery. The unique key makes planning twice harmless; the partial indexes keep claiming flat as history grows."""

    __tablename__ = "delivery"

    tenant_id: Mapped[str] = mapped_column(String(64))  # the first column of several indexes; it needs none of its own
    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    destination_kind: Mapped[str] = mapped_column(String(32))
    destination_id: Mapped[str] = mapped_column(String(64))
    interface: Mapped[str] = mapped_column(String(64))
    object_key: Mapped[str] = mapped_column(String(128))
    object_version: Mapped[int] = mapped_column(BigInteger)
    lane: Mapped[str | None] = mapped_column(String(300))
    lane_order: Mapped[int] = mapped_column(BigInteger)
    priority: Mapped[int] = mapped_column(Integer)
    deadline_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    urgent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expire: Mapped[bool] = mapped_column(Boolean, default=False)
    requires_interface: Mapped[str | None] = mapped_column(String(64))
    requires_key: Mapped[str | None] = mapped_column(String(128))
    batch_count: Mapped[int | None] = mapped_column(Integer)
    """Most deliveries that share its call; null when it goes alone."""
    batch_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From when on it may go along with others, before its own time has come."""
    call_id: Mapped[str | None] = mapped_column(String(26))
    """While leased: the call that it shares with others of the same `call_id`."""
    state: Mapped[str] = mapped_column(String(16), default=State.WAITING)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_token: Mapped[str | None] = mapped_column(String(26))
    """Fresh for every claim: whoever holds an old one has lost the delivery."""
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    failure_count: Mapped[int] = mapped_column(Integer, default=0)
    """The step on the ladder: failures that count against it (a wrong key of ours does not)."""
    attempt_id: Mapped[str | None] = mapped_column(String(26))
    """The attempt under way, written before the network is touched; still there at the next attempt, it was cut off."""
    attempt_started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempt_worker: Mapped[str | None] = mapped_column(String(64))
    event_id: Mapped[str | None] = mapped_column(String(26))
    snapshot: Mapped[dict[str, Any]] = mapped_column(Json)
    body: Mapped[dict[str, Any] | None] = mapped_column(Json)
    policy_name: Mapped[str] = mapped_column(String(64))
    policy_version: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str | None] = mapped_column(String(24))
    code: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(300))
    dispute: Mapped[bool] = mapped_column(Boolean, default=False)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "destination_kind",
            "destination_id",
            "interface",
            "object_key",
            "object_version",
            name="uq_delivery_object",
        ),
        Index(
            "ix_delivery_due",
            "tenant_id",
            "destination_kind",
            "destination_id",
            "priority",
            "next_attempt_at",
            "id",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(
            "ix_delivery_urgent",
            "tenant_id",
            "destination_kind",
            "destination_id",
            "priority",
            "urgent_at",
            "lane_order",
            "id",
            postgresql_where=_URGENT,
            sqlite_where=_URGENT,
        ),
        Index(
            "ix_delivery_urgent_at",
            "tenant_id",
            "destination_kind",
            "destination_id",
            "urgent_at",
            postgresql_where=_URGENT,
            sqlite_where=_URGENT,
        ),
        Index(
            "ix_delivery_next",
            "tenant_id",
            "destination_kind",
            "destination_id",
            "next_attempt_at",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(
            "ix_delivery_retrying",
            "tenant_id",
            "destination_kind",
            "destination_id",
            "next_attempt_at",
            postgresql_where=_RETRYING,
            sqlite_where=_RETRYING,
        ),
        # By owner, who stays the same while a lease is prolonged: that update then touches no index (PostgreSQL's HOT).
        Index("ix_delivery_leased", "lease_owner", postgresql_where=_LEASED, sqlite_where=_LEASED),
        Index("ix_delivery_lane", "lane", "lane_order", "id", postgresql_where=_OPEN, sqlite_where=_OPEN),
        Index("ix_delivery_object_key", "object_key"),
        Index("ix_delivery_finished_at", "finished_at", postgresql_where=_FINISHED, sqlite_where=_FINISHED),
        # Room for the versions of a row on its own page, and its texts beside it: a delivery is written four times.
        {"postgresql_with": {"fillfactor": 70, "toast_tuple_target": 256}},
    )


class DeliveryAttempt(TenantScoped, Base):
    """One attempt that has ended: with the answer and its meaning, or cut off (`interrupted`). Rows are only added.

    On PostgreSQL partitioned by the month of its beginning (`history.py`), which is therefore a part of its key.
    """

    __tablename__ = "delivery_attempt"

    __table_args__ = ({"postgresql_partition_by": "RANGE (started_at)"},)

    tenant_id: Mapped[str] = mapped_column(String(64))  # read by delivery; an index by tenant would only cost
    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    delivery_id: Mapped[str] = mapped_column(String(26), index=True)
    number: Mapped[int] = mapped_column(Integer)
    call_id: Mapped[str | None] = mapped_column(String(26))
    """The attempt of the delivery that led the call, when several deliveries shared it; that one keeps the texts."""
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    _request_text: Mapped[str | None] = mapped_column("request_text", Text)
    _answer_text: Mapped[str | None] = mapped_column("answer_text", Text)
    http_status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(String(32))
    outcome: Mapped[str | None] = mapped_column(String(24))
    code: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(String(300))
    worker: Mapped[str] = mapped_column(String(64))

    _leading: Mapped[DeliveryAttempt | None] = relationship(
        primaryjoin="and_(foreign(DeliveryAttempt.call_id) == remote(DeliveryAttempt.id),"
        " foreign(DeliveryAttempt.started_at) == remote(DeliveryAttempt.started_at))",
        viewonly=True,
        lazy="selectin",
        join_depth=1,
    )

    @property
    def request_text(self) -> str | None:
        """The request as it was sent, secrets masked; that of the whole call when several deliveries shared it."""
        return self._spoken._request_text

    @property
    def answer_text(self) -> str | None:
        """The answer as it came."""
        return self._spoken._answer_text

    @property
    def _spoken(self) -> DeliveryAttempt:
        return self if self.call_id is None or self._leading is None else self._leading


class WorkerLease(Base):
    """Who leads a job that only one process may do, until when in real time."""

    __tablename__ = "worker_lease"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)


class ScheduleTick(Base):
    """The last tick of a scheduled job, so that a new leader neither repeats nor invents one."""

    __tablename__ = "schedule_tick"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    origin: Mapped[datetime] = mapped_column(UtcDateTime)
    last_tick: Mapped[datetime] = mapped_column(UtcDateTime)


def in_state(table: type[DeliveryRow], *states: State) -> ColumnElement[bool]:
    """`state` is one of `states`, written into the statement: SQLite uses a partial index only when it can read the value."""
    values = [state.value for state in states]
    if len(values) == 1:
        return table.state == literal(values[0], literal_execute=True)
    return table.state.in_(bindparam(None, values, expanding=True, literal_execute=True))
