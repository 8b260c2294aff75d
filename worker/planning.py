"""Writes planned deliveries into the ledger: one row per (destination, interface, object, version), twice is harmless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.ids import new_id
from worker.api import PlannedDelivery, State
from worker.errors import PlanInvalid
from worker.judging import expression
from worker.metrics import PLANNED
from worker.model import DeliveryRow, DestinationState
from worker.policy import deadline_of, fit_window, urgent_from

ROWS_PER_INSERT = 200
"""SQLite allows 32 766 parameters in a statement; a delivery has about 30."""

SUPERSEDED_BY_NEWER = "a newer version exists"
_LIMITS = {"destination_kind": 32, "destination_id": 64, "interface": 64, "object_key": 128, "lane": 300}


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
    plans = list(planned)
    rows = [delivery_row(plan, now, tenant_id, occurred_at or now, event_id, snapshot or {}) for plan in plans]
    if not rows:
        return []
    _ensure_destinations(session, rows)
    fresh = set()
    for start in range(0, len(rows), ROWS_PER_INSERT):
        fresh |= _insert_new(session, rows[start : start + ROWS_PER_INSERT])
    new = [(plan, row) for plan, row in zip(plans, rows, strict=True) if row["id"] in fresh]
    for plan, row in new:
        PLANNED.labels(plan.destination.kind).inc()
        if plan.policy.coalesce == "newest":
            _supersede_older(session, row, now)
    return [row["id"] for _, row in new]


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
        "state": State.WAITING.value,
        "next_attempt_at": fit_window(policy, max(now, plan.not_before or now)),
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


def _insert_new(session: HubSession, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    statement = insert_ignore(session, DeliveryRow).values(rows).returning(DeliveryRow.id)
    return set(session.execute(statement).scalars())


def _ensure_destinations(session: HubSession, rows: Iterable[Mapping[str, Any]]) -> None:
    wanted = sorted({(row["tenant_id"], row["destination_kind"], row["destination_id"]) for row in rows})
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
    session.execute(insert_ignore(session, DestinationState).values(values))


def _supersede_older(session: HubSession, row: Mapping[str, Any], now: datetime) -> None:
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.tenant_id == row["tenant_id"],
            DeliveryRow.destination_kind == row["destination_kind"],
            DeliveryRow.destination_id == row["destination_id"],
            DeliveryRow.interface == row["interface"],
            DeliveryRow.object_key == row["object_key"],
            DeliveryRow.object_version < row["object_version"],
            DeliveryRow.state == State.WAITING,
        )
        .values(state=State.SUPERSEDED.value, reason=SUPERSEDED_BY_NEWER, finished_at=now)
        .execution_options(synchronize_session=False)
    )


def insert_ignore(session: HubSession, table: type[DeclarativeBase]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that leaves an existing row alone, in the dialect of the session."""
    if session.dialect_name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
