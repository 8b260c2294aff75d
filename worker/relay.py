"""From domain event to deliveries (DECISIONS 18): lock events, ask the drivers, insert, mark done, all in one transaction.

Facts about one subject are planned in the order of their versions, also when several relays run. An event whose planning keeps failing
becomes `stuck`, visibly, and lets the others pass; the drivers that could plan it have done so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Select, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from charging_core import faultpoints
from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.events import DONE, PENDING, STUCK, DomainEvent, log_ids
from worker.api import Driver, Registry
from worker.metrics import RELAYED
from worker.metrics import STUCK as STUCK_EVENTS
from worker.planning import NewRow, rows_of, write
from worker.scope import tenant_scope
from worker.settings import WorkerSettings

log = structlog.get_logger()

# Written into the statement, not bound: SQLite uses a partial index only when it can read the value.
_PENDING_ROWS = DomainEvent.state == literal(PENDING, literal_execute=True)
_BACKOFF_S = 0.5  # doubles per failure: five tries are over after 8 s, long enough for a restarting database


@dataclass(frozen=True)
class _Pause:
    subject_id: str
    until: float


@dataclass
class Relay:
    """Plans the deliveries of committed events. Several may run at once, in threads or processes."""

    db: Database
    clock: Clock
    registry: Registry
    settings: WorkerSettings
    _paused: dict[str, _Pause] = field(default_factory=dict)

    def run_batch(self) -> int:
        """Plan up to one batch and return how many events were done. A failing batch is repeated event by event."""
        try:
            return self._transaction(self.settings.batch)
        except Exception:  # the culprit is unknown: find it below, with its own transaction and log line
            log.warning("relay_batch_failed", exc_info=True)
            return self._one_by_one()

    def _transaction(self, limit: int) -> int:
        with self.db.system("relay") as session:
            events = self._lock(session, limit)
            now = self.clock.now()
            planned: list[NewRow] = []
            for event in events:
                for driver in self.registry.subscribers(event.type):
                    planned += self._planned(session, event, driver, now)
            write(session, planned, now)
            for event in events:
                event.state = DONE
            session.flush()
            faultpoints.hit("relay.before_commit")
        RELAYED.inc(len(events))
        return len(events)

    def _planned(self, session: HubSession, event: DomainEvent, driver: Driver, now: datetime) -> list[NewRow]:
        with tenant_scope(session, event.tenant_id), _told(event):
            return rows_of(
                driver.plan(session, event), now, event.tenant_id, event.occurred_at, event.id, event.snapshot
            )

    def _one_by_one(self) -> int:
        with self.db.read_system("relay") as session:
            ids = list(session.scalars(self._due(self.settings.batch).with_only_columns(DomainEvent.id)))
        return sum(self._careful(event_id) for event_id in ids)

    def _careful(self, event_id: str) -> int:
        with self.db.system("relay") as session:
            found = self._lock(session, 1, event_id)
            if not found:
                return 0
            event = found[0]
            problems = [self._try_driver(session, event, driver) for driver in self.registry.subscribers(event.type)]
            failure = next((problem for problem in problems if problem), None)
            if failure is None:
                event.state = DONE
                return 1
            self._failed(event, failure)
            return 0

    def _try_driver(self, session: HubSession, event: DomainEvent, driver: Driver) -> str | None:
        try:
            with session.begin_nested():
                now = self.clock.now()
                write(session, self._planned(session, event, driver, now), now)
        except Exception as error:  # a driver's failure belongs to this event alone
            with _told(event):
                log.error("plan_failed", event_type=event.type, kind=driver.kind, exc_info=True)
            return f"{driver.kind}: {type(error).__name__}: {_short(error)}"
        return None

    def _failed(self, event: DomainEvent, problem: str) -> None:
        event.tries += 1
        event.problem = problem[:500]
        if event.tries >= self.settings.event_tries:
            event.state = STUCK
            self._paused.pop(event.id, None)
            STUCK_EVENTS.labels(event.type).inc()
            with _told(event):
                log.error("event_stuck", event_type=event.type, subject_id=event.subject_id)
            return
        self._paused[event.id] = _Pause(event.subject_id, time.monotonic() + _BACKOFF_S * 2 ** (event.tries - 1))

    def _lock(self, session: HubSession, limit: int, event_id: str | None = None) -> Sequence[DomainEvent]:
        statement = self._due(limit)
        if event_id is not None:
            statement = statement.where(DomainEvent.id == event_id)
        events = session.scalars(statement.with_for_update(skip_locked=True)).all()
        return _in_order(session, events)

    def _due(self, limit: int) -> Select[DomainEvent]:
        now = time.monotonic()
        self._paused = {key: pause for key, pause in self._paused.items() if pause.until > now}
        statement = select(DomainEvent).where(_PENDING_ROWS)
        if self._paused:
            statement = statement.where(DomainEvent.subject_id.not_in({p.subject_id for p in self._paused.values()}))
        return statement.order_by(DomainEvent.id).limit(limit)


def _in_order(session: HubSession, events: Sequence[DomainEvent]) -> list[DomainEvent]:
    """The events that no earlier pending fact of the same subject, locked by another relay, should precede."""
    if not events:
        return []
    earlier = (
        select(DomainEvent.subject_id, func.min(DomainEvent.version))
        .where(
            _PENDING_ROWS,
            DomainEvent.subject_id.in_({event.subject_id for event in events}),
            DomainEvent.id.not_in([event.id for event in events]),
        )
        .group_by(DomainEvent.subject_id)
    )
    first = dict(session.execute(earlier).all())
    ready = [event for event in events if event.version <= first.get(event.subject_id, event.version)]
    return sorted(ready, key=lambda event: (event.subject_id, event.version, event.id))


def _short(error: Exception) -> str:
    # A statement's text holds the bound values, which may be personal: only the driver's own words are kept.
    return str(error.__cause__ or "")[:200] if isinstance(error, SQLAlchemyError) else str(error)[:300]


def _told(event: DomainEvent) -> AbstractContextManager[Any]:
    """Every log line meanwhile names the event, and the order and pile it is about."""
    return structlog.contextvars.bound_contextvars(event_id=event.id, **log_ids(event.snapshot))
