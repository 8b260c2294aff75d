"""What the operator may do to the ledger: look, replay, discard, hold, release, recover. Always in the scope of one tenant.

Each function works inside the caller's transaction and writes into the record of actions (`audit.py`) who did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, and_, func, or_, select, update
from sqlalchemy.orm import aliased

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import NotFound
from worker import destinations
from worker.api import Destination, Outcome, State
from worker.audit import NOBODY, Action, note_action
from worker.decision import EXPIRED, LANE_HELD
from worker.errors import NotRepairable
from worker.model import OPEN_STATES, DeliveryAttempt, DeliveryRow

DISCARDED = "discarded"
"""Code of a delivery that somebody ended by hand."""
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

    def facts(self) -> dict[str, Any]:
        """The selection as the record of actions keeps it."""
        times = {"since": self.since, "until": self.until}
        return {
            "interface": self.interface,
            "states": [state.value for state in self.states] or None,
            "outcome": self.outcome.value if self.outcome else None,
            "object": self.object_key,
            **{name: time.isoformat() for name, time in times.items() if time is not None},
        }


def find(session: HubSession, which: Selection, limit: int = 100) -> Sequence[DeliveryRow]:
    """The newest deliveries of a selection, newest first."""
    return session.scalars(selected(which).order_by(DeliveryRow.id.desc()).limit(limit)).all()


def count(session: HubSession, which: Selection) -> int:
    """How many deliveries a selection holds."""
    return session.scalar(select(func.count()).select_from(selected(which).subquery())) or 0


def attempts_of(session: HubSession, delivery_id: str) -> Sequence[DeliveryAttempt]:
    """The attempts of one delivery, oldest first."""
    statement = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
    return session.scalars(statement.order_by(DeliveryAttempt.number)).all()


def replay(session: HubSession, delivery_id: str, clock: Clock, who: str = NOBODY) -> DeliveryRow:
    """Send a finished delivery again, with the body it had, at the start of its ladder. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state not in REPLAYABLE:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; it will go by itself")
    was = row.state
    row.state, row.next_attempt_at, row.failure_count = State.WAITING.value, clock.now(), 0
    row.finished_at, row.dispute, row.expire = None, False, False
    note_action(session, Action.REPLAYED, row.id, who, clock.now(), was=was, object=row.object_key)
    return row


def replay_selection(session: HubSession, which: Selection, clock: Clock, who: str = NOBODY) -> int:
    """Replay every dead or rejected delivery of a selection, or those of the finished states it names; returns how many."""
    count = _send_again(session, selected(which), _replayable(which), clock)
    note_action(session, Action.SELECTION_REPLAYED, _subject(which), who, clock.now(), count=count, **which.facts())
    return count


def recover(session: HubSession, destination: Destination, since: datetime, clock: Clock, who: str = NOBODY) -> int:
    """Send again everything to a destination that was given up since an instant, oldest first; returns how many.

    For the morning after an outage: lanes that are held for what could not be delivered go on as well. What the destination itself
    contested, what somebody discarded, what came too late and what may be sent only once stays as it is.
    """
    which = Selection(destination=destination, since=since)
    count = _send_again(session, _given_up(which), (State.DEAD, State.HELD), clock)
    note_action(session, Action.RECOVERED, _subject(which), who, clock.now(), count=count, since=since.isoformat())
    return count


def count_replayable(session: HubSession, which: Selection) -> int:
    """How many deliveries `replay_selection` would send again."""
    again = selected(which).where(DeliveryRow.state.in_(_replayable(which)))
    return session.scalar(select(func.count()).select_from(again.subquery())) or 0


def count_recoverable(session: HubSession, destination: Destination, since: datetime) -> int:
    """How many deliveries `recover` would send again."""
    given_up = _given_up(Selection(destination=destination, since=since))
    return session.scalar(select(func.count()).select_from(given_up.subquery())) or 0


def _replayable(which: Selection) -> tuple[State, ...]:
    return tuple(state for state in which.states or (State.DEAD, State.REJECTED) if state in REPLAYABLE)


def _given_up(which: Selection) -> Select[DeliveryRow]:
    kept_back = and_(DeliveryRow.state == State.HELD.value, DeliveryRow.reason.startswith(LANE_HELD))
    return selected(which).where(
        or_(DeliveryRow.state == State.DEAD.value, kept_back),
        or_(DeliveryRow.code.is_(None), DeliveryRow.code.not_in([DISCARDED, EXPIRED])),
        or_(DeliveryRow.outcome.is_(None), DeliveryRow.outcome != Outcome.UNKNOWN.value),
    )


def _send_again(session: HubSession, which: Select[DeliveryRow], states: Sequence[State], clock: Clock) -> int:
    now = clock.now()
    ended = DeliveryRow.state.in_([state.value for state in states])
    count = _make_due(session, which.where(ended).with_only_columns(DeliveryRow.id), now)
    _make_due(session, _told_since(now), now)
    return count


def _make_due(session: HubSession, ids: Select[str], now: datetime) -> int:
    done = session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(ids))
        .values(
            state=State.WAITING.value,
            next_attempt_at=now,
            failure_count=0,
            finished_at=None,
            dispute=False,
            expire=False,
        )
        .execution_options(synchronize_session=False)
    )
    return done.rowcount if isinstance(done, CursorResult) else 0


def _told_since(now: datetime) -> Select[str]:
    """The last accepted version of objects of which older versions were made due at `now`.

    Whoever is told what was missed, oldest first, is told the present once more at the end, or an old state would be the last word.
    """
    older, last, later = aliased(DeliveryRow), aliased(DeliveryRow), aliased(DeliveryRow)
    again = (older.state == State.WAITING.value, older.next_attempt_at == now, older.attempt_count > 0)
    open_or_told = later.state.in_([State.DELIVERED.value, *(state.value for state in OPEN_STATES)])
    newer_yet = select(later.id).where(*_is_newer(later, last), open_or_told).exists()
    return (
        select(last.id)
        .join(older, and_(*_is_newer(last, older)))
        .where(*again, older.lane.is_not(None), last.state == State.DELIVERED.value, ~newer_yet)
    )


def _is_newer(one: type[DeliveryRow], other: type[DeliveryRow]) -> tuple[ColumnElement[bool], ...]:
    return (
        one.tenant_id == other.tenant_id,
        one.destination_kind == other.destination_kind,
        one.destination_id == other.destination_id,
        one.interface == other.interface,
        one.object_key == other.object_key,
        one.object_version > other.object_version,
    )


def discard(session: HubSession, delivery_id: str, who: str, why: str, clock: Clock) -> DeliveryRow:
    """End an open delivery as `dead (who, why)` and free its lane. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state not in (State.WAITING, State.HELD):
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; only a waiting one can be discarded")
    row.state, row.finished_at = State.DEAD.value, clock.now()
    row.code, row.reason = DISCARDED, f"discarded by {who}: {why}"[:300]
    note_action(session, Action.DISCARDED, row.id, who, clock.now(), why=why, object=row.object_key)
    return row


def hold_delivery(session: HubSession, delivery_id: str, who: str, why: str, clock: Clock) -> DeliveryRow:
    """Keep one delivery back; later ones of its lane wait behind it. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state != State.WAITING:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}; only a waiting one can be held")
    row.state, row.reason = State.HELD.value, f"held by {who}: {why}"[:300]
    note_action(session, Action.HELD, row.id, who, clock.now(), why=why, object=row.object_key)
    return row


def release_delivery(session: HubSession, delivery_id: str, clock: Clock, who: str = NOBODY) -> DeliveryRow:
    """Let a held delivery go, at the start of its ladder. Raises `NotFound`, `NotRepairable`."""
    row = _get(session, delivery_id)
    if row.state != State.HELD:
        raise NotRepairable(f"delivery {delivery_id} is {row.state}, not held")
    row.state, row.next_attempt_at, row.reason, row.failure_count = State.WAITING.value, clock.now(), None, 0
    note_action(session, Action.RELEASED, row.id, who, clock.now(), object=row.object_key)
    return row


def hold(session: HubSession, destination: Destination, reason: str, clock: Clock, who: str = NOBODY) -> None:
    """Hold a whole destination. Raises `NotRepairable`."""
    destinations.hold(session, destination, reason, clock.now(), who)


def release(session: HubSession, destination: Destination, clock: Clock, who: str = NOBODY) -> None:
    """Release a held destination; its deliveries are due again. Raises `NotRepairable`."""
    destinations.release(session, destination, clock.now(), who)


def _subject(which: Selection) -> str:
    return f"{which.destination.kind}:{which.destination.id}" if which.destination else "deliveries"


def selected(which: Selection) -> Select[DeliveryRow]:
    """The statement that reads a selection, in no order."""
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
