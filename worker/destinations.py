"""What is known about a destination: pacing, hold on a configuration failure, the breaker, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_, select, tuple_

from charging_core.db import HubSession
from charging_core.events import record_event
from worker.api import Destination, Outcome, Verdict
from worker.claiming import Key
from worker.decision import Again
from worker.errors import NotRepairable
from worker.model import DestinationState
from worker.policy import DeliveryPolicy
from worker.settings import WorkerSettings
from worker.work import Work

log = structlog.get_logger()

HELD, RELEASED = "destination.held", "destination.released"
FAILING, RECOVERED = "destination.failing", "destination.recovered"
WORKER = "worker"
"""Who holds a destination that refused our keys."""
ACCEPTED_WITHIN = timedelta(seconds=5)
"""How exact `last_accepted_at` is; a write per acceptance would make this row the bottleneck of its destination."""

_KEY = (DestinationState.tenant_id, DestinationState.kind, DestinationState.destination_id)
ANSWERED = frozenset({Outcome.OK, Outcome.IGNORED, Outcome.BUSINESS_REFUSED, Outcome.PERMANENT})


def take_slots(session: HubSession, works: Sequence[Work], now: datetime, ahead_s: float) -> dict[Key, float]:
    """Reserve the next calls of paced destinations: sets `start_at`, or the decision to come back when the turn is too far away.

    Turns of up to `ahead_s` seconds from now are taken at once, so that a fast pace does not need a claim per call. Returns the
    interval of every paced destination.
    """
    paced = [work for work in works if work.policy.interval_s is not None]
    if not paced:
        return {}
    states = _lock(session, {work.key for work in paced})
    intervals = {}
    for work in paced:
        interval_s = work.policy.interval_s or 0.0
        state = states[work.key]
        turn = max(now, state.next_call_at or now)
        if turn > now + timedelta(seconds=ahead_s if interval_s < ahead_s else 0.0):
            work.decision = Again(turn, False, None, "paced")
            continue
        state.next_call_at = turn + timedelta(seconds=interval_s)
        work.start_at = turn if turn > now else None
        intervals[work.key] = interval_s
    return intervals


@dataclass
class Health:
    """What this process has lately seen of destinations, so that an ordinary acceptance costs the database nothing."""

    _accepted_at: dict[Key, datetime] = field(default_factory=dict)

    def lately(self, key: Key, now: datetime) -> bool:
        """Whether an acceptance was looked at a moment ago, and no failure since."""
        noted = self._accepted_at.get(key)
        return noted is not None and now - ACCEPTED_WITHIN < noted <= now

    def seen(self, answering: Iterable[Key], troubled: Iterable[Key], now: datetime) -> None:
        """These were looked at now; after trouble the next acceptance counts."""
        self._accepted_at.update(dict.fromkeys(answering, now))
        for key in troubled:
            self._accepted_at.pop(key, None)


def note(session: HubSession, works: Iterable[Work], now: datetime, settings: WorkerSettings, health: Health) -> None:
    """Remember how destinations answered, in the order of `works`. Writes only when something changes."""
    judged = [work for work in works if work.verdict is not None and work.speaks]
    troubled = {work.key for work in judged if work.verdict and work.verdict.outcome not in ANSWERED}
    stale = {work.key for work in judged} - troubled
    stale = {key for key in stale if not health.lately(key, now)}
    health.seen(stale, troubled, now)
    changing = troubled | _worth_noting(session, stale, now)
    if not changing:
        return
    states = _lock(session, changing)
    for work in judged:
        if work.key in states and work.verdict is not None:
            _note(session, states[work.key], work.policy, work.verdict, now, settings)


def _note(
    session: HubSession,
    state: DestinationState,
    policy: DeliveryPolicy,
    verdict: Verdict,
    now: datetime,
    settings: WorkerSettings,
) -> None:
    if verdict.outcome in ANSWERED:
        _answered(session, state, now, settings)
    elif verdict.outcome is Outcome.CONFIGURATION:
        state.configuration_failures += 1
        if state.configuration_failures >= policy.hold_after and not state.held:
            _hold(session, state, f"{verdict.code} {verdict.message}".strip() or "configuration", now)
    else:
        _failed(session, state, verdict, now, settings)


def hold(session: HubSession, destination: Destination, reason: str, now: datetime, who: str = WORKER) -> None:
    """Keep every delivery of a destination waiting, by hand. Raises `NotRepairable` when it is unknown or held already."""
    state = _known(session, destination)
    if state.held:
        raise NotRepairable(f"{destination.kind} {destination.id} is held already: {state.hold_reason}")
    _hold(session, state, reason, now, who)


def release(session: HubSession, destination: Destination, now: datetime, who: str = WORKER) -> None:
    """Let a held destination's deliveries go again. Raises `NotRepairable` when it is not held."""
    state = _known(session, destination)
    if not state.held:
        raise NotRepairable(f"{destination.kind} {destination.id} is not held")
    state.held, state.hold_reason, state.held_at = False, None, None
    state.configuration_failures = 0
    state.consecutive_failures, state.open_until, state.failing_since = 0, None, None
    _tell(session, state, RELEASED, now, {"by": who})


def _worth_noting(session: HubSession, keys: Collection[Key], now: datetime) -> set[Key]:
    if not keys:
        return set()
    state = DestinationState
    changed = or_(
        state.consecutive_failures > 0,
        state.configuration_failures > 0,
        state.last_accepted_at.is_(None),
        state.last_accepted_at < now - ACCEPTED_WITHIN,
    )
    found = session.connection().execute(select(*_KEY).where(tuple_(*_KEY).in_(list(keys)), changed))
    return {(tenant, kind, destination) for tenant, kind, destination in found}


def _answered(session: HubSession, state: DestinationState, now: datetime, settings: WorkerSettings) -> None:
    if state.consecutive_failures >= settings.break_after:
        since = state.failing_since.isoformat() if state.failing_since else None
        _tell(session, state, RECOVERED, now, {"failing_since": since})
    state.consecutive_failures = state.configuration_failures = 0
    state.open_until = state.failing_since = None
    state.last_accepted_at = now


def _failed(
    session: HubSession, state: DestinationState, verdict: Verdict, now: datetime, settings: WorkerSettings
) -> None:
    state.consecutive_failures += 1
    state.failing_since = state.failing_since or now
    if state.consecutive_failures >= settings.break_after:
        state.open_until = now + timedelta(seconds=settings.break_s)
    if state.consecutive_failures == settings.break_after:
        _tell(session, state, FAILING, now, {"outcome": verdict.outcome.value, "code": verdict.code})


def _hold(session: HubSession, state: DestinationState, reason: str, now: datetime, who: str = WORKER) -> None:
    state.held, state.hold_reason, state.held_at = True, reason[:300], now
    log.error("destination_held", kind=state.kind, destination_id=state.destination_id, reason=reason[:300])
    _tell(session, state, HELD, now, {"reason": reason[:300], "by": who})


def _tell(session: HubSession, state: DestinationState, kind: str, now: datetime, more: dict[str, Any]) -> None:
    state.event_version += 1
    snapshot = {"kind": state.kind, "destination_id": state.destination_id, **more}
    subject = f"{state.kind}:{state.destination_id}"[:64]
    record_event(session, kind, subject, state.event_version, snapshot, now, tenant_id=state.tenant_id)


def _known(session: HubSession, destination: Destination) -> DestinationState:
    state = session.get(DestinationState, (session.tenant_id, destination.kind, destination.id), with_for_update=True)
    if state is None:
        raise NotRepairable(f"nothing was ever planned for {destination.kind} {destination.id}")
    return state


def _lock(session: HubSession, keys: Collection[Key]) -> dict[Key, DestinationState]:
    statement = select(DestinationState).where(tuple_(*_KEY).in_(sorted(keys))).order_by(*_KEY)
    locked = session.scalars(statement.with_for_update().execution_options(populate_existing=True))
    return {(state.tenant_id, state.kind, state.destination_id): state for state in locked}
