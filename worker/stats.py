"""How the destinations are served: what waits and for how long, how attempts end, how fast and how punctually events are accepted.

For people (`hub delivery stats`, the console); the same signals leave continuously as metrics. Reads the scope of its session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from charging_core.db import HubSession
from worker.api import State
from worker.model import OPEN_STATES, DeliveryAttempt, DeliveryRow, DestinationState, in_state

Key = tuple[str, str]
MOST_MEASURED = 50_000
"""Deliveries per look whose times are read; more would not move a percentile."""


@dataclass(frozen=True, slots=True)
class DestinationStats:
    """One destination over a window. Times in seconds of business time; percentiles None when nothing was accepted.

    `oldest_s` is the age of the oldest open delivery, held and paced ones included; `in_time` the share of acceptances before
    their deadline, of those that had one.
    """

    kind: str
    destination_id: str
    waiting: int
    oldest_s: float
    held: str | None
    failing_since: datetime | None
    last_accepted_at: datetime | None
    attempts_per_s: float
    outcomes: Mapping[str, int]
    ended: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    in_time: float | None


@dataclass
class _Seen:
    took: list[float] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    on_time: int = 0
    with_deadline: int = 0


def destination_stats(session: HubSession, now: datetime, window: timedelta) -> list[DestinationStats]:
    """Every destination that anything was ever planned for, over the last `window`; sorted by kind and id."""
    backlog, seen = _backlog(session), _ended(session, now - window)
    outcomes = _outcomes(session, now - window)
    states = session.scalars(select(DestinationState).order_by(DestinationState.kind, DestinationState.destination_id))
    return [_one(state, backlog, seen, outcomes, now, window) for state in states]


def _one(
    state: DestinationState,
    backlog: Mapping[Key, tuple[int, datetime]],
    seen: Mapping[Key, _Seen],
    outcomes: Mapping[Key, Counter[str]],
    now: datetime,
    window: timedelta,
) -> DestinationStats:
    key = (state.kind, state.destination_id)
    waiting, oldest = backlog.get(key, (0, now))
    known, tried = seen.get(key, _Seen()), outcomes.get(key, Counter())
    took = sorted(known.took)
    return DestinationStats(
        kind=state.kind,
        destination_id=state.destination_id,
        waiting=waiting,
        oldest_s=max(0.0, (now - oldest).total_seconds()),
        held=(state.hold_reason or "") if state.held else None,
        failing_since=state.failing_since,
        last_accepted_at=state.last_accepted_at,
        attempts_per_s=tried.total() / window.total_seconds(),
        outcomes=dict(tried),
        ended=dict(known.ended),
        p50_s=percentile(took, 0.50),
        p95_s=percentile(took, 0.95),
        p99_s=percentile(took, 0.99),
        in_time=known.on_time / known.with_deadline if known.with_deadline else None,
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value that `share` of the ordered values do not exceed; None of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def _backlog(session: HubSession) -> dict[Key, tuple[int, datetime]]:
    row = DeliveryRow
    statement = select(row.destination_kind, row.destination_id, func.count(), func.min(row.created_at))
    found = session.execute(
        statement.where(in_state(row, *OPEN_STATES)).group_by(row.destination_kind, row.destination_id)
    )
    return {(kind, destination): (count, oldest) for kind, destination, count, oldest in found}


def _ended(session: HubSession, since: datetime) -> dict[Key, _Seen]:
    row = DeliveryRow
    statement = (
        select(row.destination_kind, row.destination_id, row.state, row.occurred_at, row.finished_at, row.deadline_at)
        .where(row.finished_at >= since)
        .order_by(row.finished_at.desc())
        .limit(MOST_MEASURED)
    )
    seen: dict[Key, _Seen] = {}
    for kind, destination, state, occurred, finished, deadline in session.execute(statement):
        one = seen.setdefault((kind, destination), _Seen())
        one.ended[state] += 1
        if state == State.DELIVERED and finished is not None:
            one.took.append((finished - occurred).total_seconds())
            one.with_deadline += deadline is not None
            one.on_time += deadline is not None and finished <= deadline
    return seen


def _outcomes(session: HubSession, since: datetime) -> dict[Key, Counter[str]]:
    row, attempt = DeliveryRow, DeliveryAttempt
    statement = (
        select(row.destination_kind, row.destination_id, attempt.outcome, func.count())
        .join(attempt, attempt.delivery_id == row.id)
        # A delivery with an attempt in the window is open, or ended in it: both are small sets with an index.
        .where(attempt.started_at >= since, (row.finished_at >= since) | in_state(row, *OPEN_STATES))
        .group_by(row.destination_kind, row.destination_id, attempt.outcome)
    )
    found: dict[Key, Counter[str]] = {}
    for kind, destination, outcome, count in session.execute(statement):
        found.setdefault((kind, destination), Counter())[outcome or "under way"] += count
    return found
