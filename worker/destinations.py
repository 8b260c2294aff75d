"""What is known about a destination: pacing, hold on a configuration failure, the breaker, and the events that tell of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import and_, or_, select

from charging_core.db import HubSession
from charging_core.events import record_event
from worker.api import Destination, Outcome, Verdict
from worker.errors import NotRepairable
from worker.model import DeliveryRow, DestinationState
from worker.policy import DeliveryPolicy
from worker.settings import WorkerSettings

log = structlog.get_logger()

HELD, RELEASED = "destination.held", "destination.released"
FAILING, RECOVERED = "destination.failing", "destination.recovered"
ACCEPTED_WITHIN = timedelta(seconds=5)
"""How exact `last_accepted_at` is; a write per acceptance would make this row the bottleneck of its destination."""

_ANSWERED = frozenset({Outcome.OK, Outcome.IGNORED, Outcome.BUSINESS_REFUSED, Outcome.PERMANENT})


def take_slot(session: HubSession, row: DeliveryRow, policy: DeliveryPolicy, now: datetime) -> datetime | None:
    """Reserve the next paced call; returns None when it may go now, else when to come back."""
    if policy.min_interval_s is None:
        return None
    state = _lock(session, row.tenant_id, Destination(row.destination_kind, row.destination_id))
    if state.next_call_at is not None and state.next_call_at > now:
        return state.next_call_at
    state.next_call_at = now + timedelta(seconds=policy.min_interval_s)
    return None


def note(
    session: HubSession,
    row: DeliveryRow,
    policy: DeliveryPolicy,
    verdict: Verdict,
    now: datetime,
    settings: WorkerSettings,
) -> None:
    """Remember how the destination answered. Writes only when something changes."""
    destination = Destination(row.destination_kind, row.destination_id)
    if verdict.outcome in _ANSWERED:
        if _worth_noting(session, row, now):
            _answered(session, _lock(session, row.tenant_id, destination), now, settings)
        return
    state = _lock(session, row.tenant_id, destination)
    if verdict.outcome is Outcome.CONFIGURATION:
        state.configuration_failures += 1
        if state.configuration_failures >= policy.hold_after and not state.held:
            _hold(session, state, f"{verdict.code} {verdict.message}".strip() or "configuration", now)
    else:
        _failed(session, state, verdict, now, settings)


def hold(session: HubSession, destination: Destination, reason: str, now: datetime) -> None:
    """Keep every delivery of a destination waiting, by hand. Raises `NotRepairable` when it is unknown or held already."""
    state = _known(session, destination)
    if state.held:
        raise NotRepairable(f"{destination.kind} {destination.id} is held already: {state.hold_reason}")
    _hold(session, state, reason, now)


def release(session: HubSession, destination: Destination, now: datetime) -> None:
    """Let a held destination's deliveries go again. Raises `NotRepairable` when it is not held."""
    state = _known(session, destination)
    if not state.held:
        raise NotRepairable(f"{destination.kind} {destination.id} is not held")
    state.held, state.hold_reason, state.held_at = False, None, None
    state.configuration_failures = 0
    state.consecutive_failures, state.open_until, state.failing_since = 0, None, None
    _tell(session, state, RELEASED, now, {})


def _worth_noting(session: HubSession, row: DeliveryRow, now: datetime) -> bool:
    state = DestinationState
    changed = or_(
        state.consecutive_failures > 0,
        state.configuration_failures > 0,
        state.last_accepted_at.is_(None),
        state.last_accepted_at < now - ACCEPTED_WITHIN,
    )
    this = and_(
        state.tenant_id == row.tenant_id,
        state.kind == row.destination_kind,
        state.destination_id == row.destination_id,
    )
    return session.connection().execute(select(state.kind).where(this, changed)).first() is not None


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


def _hold(session: HubSession, state: DestinationState, reason: str, now: datetime) -> None:
    state.held, state.hold_reason, state.held_at = True, reason[:300], now
    log.error("destination_held", kind=state.kind, destination_id=state.destination_id, reason=reason[:300])
    _tell(session, state, HELD, now, {"reason": reason[:300]})


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


def _lock(session: HubSession, tenant_id: str, destination: Destination) -> DestinationState:
    key = (tenant_id, destination.kind, destination.id)
    return session.get_one(DestinationState, key, with_for_update=True, populate_existing=True)
