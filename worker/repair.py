"""What the operator may do to the ledger: look, replay, discard, hold, release, recover. Always in the scope of one tenant.

Each function works inside the caller's transaction, so that the caller can write its audit entry with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, Select, func, select, update

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import NotFound
from worker import destinations
from worker.api import Destination, Outcome, State
from worker.errors import NotRepairable
from worker.model import DeliveryAttempt, DeliveryRow

REPLAYABLE = (State.REJECTED, State.DEAD, State.DELIVERED, State.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries: every given member must fit. `since` and `until` bound the time of the event."""

    destination: Destination | None = None
    interface: str | None = None
    states: tuple[State, ...] = ()
    outcome: Outcome | None = None
    object_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find(session: HubSession, which: Selection, limit: int = 100) -> Sequence[DeliveryRow]:
    """The newest deliveries of a selection, newest first."""
    return session.scalars(_selected(which).order_by(DeliveryRow.id.desc()).limit(limit)).all()


def count(session: HubSession, which: Selection) -> int:
    """How many deliveries a selection holds."""
    return session.scalar(select(func.count()).select_from(_selected(which).subquery())) or 0


def attempts_of(session: HubSession, delivery_id: str) -> Sequence[DeliveryAttempt]:
    """The attempts of one delivery, oldest first."""
    statement = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
    return session.scalars(statement.order_by(DeliveryAttempt.number)).all()


def replay(session: HubSession, delivery_id: str, clock: Clock) -> DeliveryRow:
    """Send a finished delivery again, with the body it had, at the start of its ladder. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state not in REPLAYABLE:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; it will go by itself")
    row.state, row.next_attempt_at, row.failure_count = State.WAITING.value, clock.now(), 0
    row.finished_at, row.dispute, row.expire = None, False, False
    return row


def replay_selection(session: HubSession, which: Selection, clock: Clock) -> int:
    """Replay every dead or rejected delivery of a selection; returns how many."""
    wanted = _selected(which).with_only_columns(DeliveryRow.id)
    done = session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(wanted), DeliveryRow.state.in_([State.DEAD.value, State.REJECTED.value]))
        .values(
            state=State.WAITING.value,
            next_attempt_at=clock.now(),
            failure_count=0,
            finished_at=None,
            dispute=False,
            expire=False,
        )
        .execution_options(synchronize_session=False)
    )
    return done.rowcount if isinstance(done, CursorResult) else 0


def discard(session: HubSession, delivery_id: str, who: str, why: str, clock: Clock) -> DeliveryRow:
    """End an open delivery as `dead (who, why)` and free its lane. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state not in (State.WAITING, State.HELD):
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; only a waiting one can be discarded")
    row.state, row.finished_at = State.DEAD.value, clock.now()
    row.reason = f"discarded by {who}: {why}"[:300]
    return row


def hold_delivery(session: HubSession, delivery_id: str, who: str, why: str) -> DeliveryRow:
    """Keep one delivery back; later ones of its lane wait behind it. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state != State.WAITING:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; only a waiting one can be held")
    row.state, row.reason = State.HELD.value, f"held by {who}: {why}"[:300]
    return row


def release_delivery(session: HubSession, delivery_id: str, clock: Clock) -> DeliveryRow:
    """Let a held delivery go. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state != State.HELD:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}, not held")
    row.state, row.next_attempt_at, row.reason = State.WAITING.value, clock.now(), None
    return row


def hold(session: HubSession, destination: Destination, reason: str, clock: Clock) -> None:
    """Hold a whole destination. Raises `NotRepairable`."""
    destinations.hold(session, destination, reason, clock.now())


def release(session: HubSession, destination: Destination, clock: Clock) -> None:
    """Release a held destination; its deliveries are due again. Raises `NotRepairable`."""
    destinations.release(session, destination, clock.now())


def _selected(which: Selection) -> Select[DeliveryRow]:
    statement = select(DeliveryRow)
    if which.destination is not None:
        statement = statement.where(
            DeliveryRow.destination_kind == which.destination.kind, DeliveryRow.destination_id == which.destination.id
        )
    if which.states:
        statement = statement.where(DeliveryRow.state.in_([state.value for state in which.states]))
    exact = {"interface": which.interface, "outcome": which.outcome, "object_key": which.object_key}
    statement = statement.filter_by(**{name: value for name, value in exact.items() if value is not None})
    if which.since is not None:
        statement = statement.where(DeliveryRow.occurred_at >= which.since)
    if which.until is not None:
        statement = statement.where(DeliveryRow.occurred_at < which.until)
    return statement


def _get(session: HubSession, delivery_id: str) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no delivery {delivery_id}")
    return row
