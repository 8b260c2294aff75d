"""Writes planned deliveries into the ledger: one row per (destination, interface, object, version), twice is harmless."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.dml import ReturningInsert

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.types import UtcDateTime
from worker import batching
from worker.api import PlannedDelivery, State
from worker.claiming import DELIVERY, DESTINATION, still_waiting
from worker.errors import PlanInvalid
from worker.judging import expression
from worker.metrics import PLANNED
from worker.policy import deadline_of, first_attempt, urgent_from

SUPERSEDED_BY_NEWER = "a newer version exists"
_OBJECT = ("tenant_id", "destination_kind", "destination_id", "interface", "object_key", "object_version")
_SUPERSEDE = (
    update(DELIVERY)
    .where(
        *(DELIVERY.c[name] == bindparam(f"new_{name}") for name in _OBJECT[:-1]),
        DELIVERY.c.object_version < bindparam("new_object_version"),
        still_waiting,
    )
    .values(
        state=State.SUPERSEDED.value,
        reason=SUPERSEDED_BY_NEWER,
        finished_at=bindparam("new_finished_at", type_=UtcDateTime()),
    )
)
_LIMITS = {"destination_kind": 32, "destination_id": 64, "interface": 64, "object_key": 128, "lane": 300}


@dataclass(frozen=True, slots=True)
class NewRow:
    """A planned delivery with its columns."""

    plan: PlannedDelivery
    row: dict[str, Any]


def enqueue(
    session: HubSession,
    planned: Iterable[PlannedDelivery],
    clock: Clock,
    tenant_id: str,
    *,
    occurred_at: datetime | None = None,
    event_id: str | None = None,
    snapshot: Mapping[str, Any] | None = None,
) -> list[str]:
    """Insert deliveries into the running transaction and return the ids of those that are new.

    `occurred_at` and `snapshot` are the defaults for plans that bring none. Raises `PlanInvalid` for keys the ledger cannot hold.
    """
    now = clock.now()
    return write(session, rows_of(planned, now, tenant_id, occurred_at or now, event_id, snapshot or {}), now)


def rows_of(
    planned: Iterable[PlannedDelivery],
    now: datetime,
    tenant_id: str,
    occurred_at: datetime,
    event_id: str | None,
    snapshot: Mapping[str, Any],
) -> list[NewRow]:
    """The rows of planned deliveries, for `write`. Raises `PlanInvalid`."""
    return [NewRow(plan, delivery_row(plan, now, tenant_id, occurred_at, event_id, snapshot)) for plan in planned]


def write(session: HubSession, rows: Sequence[NewRow], now: datetime) -> list[str]:
    """Insert rows, of any tenants, and return the ids of those that are new. Older waiting versions make way where the policy says so."""
    if not rows:
        return []
    _ensure_destinations(session, rows)
    inserted = session.connection().execute(_insert_new(session.dialect_name), [new.row for new in rows])
    fresh = set(inserted.scalars())
    added = [new for new in rows if new.row["id"] in fresh]
    for kind, count in Counter(new.plan.destination.kind for new in added).items():
        PLANNED.labels(kind).inc(count)
    newest = [new.row for new in added if new.plan.policy.coalesce == "newest"]
    if newest:
        keys = [{f"new_{name}": row[name] for name in _OBJECT} for row in newest]
        session.connection().execute(_SUPERSEDE, [one | {"new_finished_at": now} for one in keys])
    batching.hasten_full(session, [new for new in added if new.plan.policy.batch is not None], now)
    return [new.row["id"] for new in added]


def delivery_row(
    plan: PlannedDelivery,
    now: datetime,
    tenant_id: str,
    occurred_at: datetime,
    event_id: str | None,
    snapshot: Mapping[str, Any],
) -> dict[str, Any]:
    """The columns of a new delivery (pure but for its id). Raises `PlanInvalid`."""
    policy, happened = plan.policy, plan.occurred_at or occurred_at
    facts = dict(snapshot if plan.snapshot is None else plan.snapshot)
    ready = max(now, plan.not_before or now)
    row = {
        "id": new_id(),
        "tenant_id": tenant_id,
        "destination_kind": plan.destination.kind,
        "destination_id": plan.destination.id,
        "interface": plan.interface,
        "object_key": plan.object_key,
        "object_version": plan.object_version,
        "lane": lane_of(plan, tenant_id, facts),
        "lane_order": plan.object_version if plan.lane_order is None else plan.lane_order,
        "priority": policy.priority,
        "deadline_at": deadline_of(policy, happened),
        "urgent_at": urgent_from(policy, happened),
        "expire": policy.expire,
        "requires_interface": plan.requires.interface if plan.requires else None,
        "requires_key": plan.requires.object_key if plan.requires else None,
        "batch_count": policy.batch.count if policy.batch else None,
        "batch_from": ready if policy.batch else None,
        "state": State.WAITING.value,
        "next_attempt_at": first_attempt(policy, ready, happened),
        "attempt_count": 0,
        "failure_count": 0,
        "event_id": event_id,
        "snapshot": facts,
        "policy_name": policy.name,
        "policy_version": policy.version,
        "dispute": False,
        "occurred_at": happened,
        "created_at": now,
    }
    _check_lengths(row)
    return row


def lane_of(plan: PlannedDelivery, tenant_id: str, snapshot: Mapping[str, Any]) -> str | None:
    """The lane in which the delivery keeps its place; None when it needs none. Lanes of different destinations never meet."""
    match plan.policy.lane:
        case "none":
            return None
        case "per_object":
            key = plan.object_key
        case "per_connector":
            key = plan.lane_key or plan.object_key
        case text:
            key = str(expression(text).evaluate(snapshot) or plan.object_key)
    return f"{tenant_id}|{plan.destination.kind}|{plan.destination.id}|{key}"


def _check_lengths(row: Mapping[str, Any]) -> None:
    for name, limit in _LIMITS.items():
        value = row[name]
        if value is not None and not 0 < len(value) <= limit:
            raise PlanInvalid(f"{name} has 1 to {limit} characters, not {len(value)}: {value[:40]!r}")


def _ensure_destinations(session: HubSession, rows: Iterable[NewRow]) -> None:
    wanted = sorted({tuple(new.row[name] for name in _OBJECT[:3]) for new in rows})
    values = [
        {
            "tenant_id": tenant,
            "kind": kind,
            "destination_id": destination,
            "held": False,
            "configuration_failures": 0,
            "consecutive_failures": 0,
            "event_version": 0,
        }
        for tenant, kind, destination in wanted
    ]
    session.connection().execute(_insert_destinations(session.dialect_name), values)


@lru_cache(maxsize=2)
def _insert_new(dialect: str) -> ReturningInsert[Any]:
    return _ignoring(dialect, DELIVERY).returning(DELIVERY.c.id)


@lru_cache(maxsize=2)
def _insert_destinations(dialect: str) -> postgresql.Insert | sqlite.Insert:
    return _ignoring(dialect, DESTINATION)


def insert_ignore(session: HubSession, table: type[DeclarativeBase]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that leaves an existing row alone, in the dialect of the session."""
    return _ignoring(session.dialect_name, table)


def _ignoring(dialect: str, table: type[DeclarativeBase] | Table) -> postgresql.Insert | sqlite.Insert:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
