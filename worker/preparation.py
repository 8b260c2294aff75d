"""The stages before the network: each may let the delivery pass, postpone it, or end it. All read, none writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, exists, select

from charging_core.clock import Clock
from charging_core.db import HubSession
from worker.api import Outcome, State, Verdict
from worker.decision import EXPIRED, Again, Finish, decide
from worker.errors import BodyRefused, NotReady
from worker.model import DeliveryRow, in_state
from worker.planning import SUPERSEDED_BY_NEWER
from worker.policy import fit_window
from worker.work import INTERRUPTED, Work

log = structlog.get_logger()

REQUIRE_AGAIN_S = 15.0
"""Business seconds between looks whether a required delivery has been accepted."""

OUTSIDE_WINDOW = "outside its daily window"
STALE = "stale, and a newer version exists"
UNCHANGED = "unchanged since last accepted"
WHOLE_BODY = "all_mapped"
"""In `on_change`: compare every member of the body."""


@dataclass
class Preparation:
    """The preparing stages; `stages` is their order."""

    clock: Clock

    def run(self, session: HubSession, work: Work) -> None:
        """Pass the stages in order until one decides."""
        stages = (self.interrupted, self.expire, self.window, self.require, self.map, self.supersede, self.validate)
        for stage in stages:
            stage(session, work)
            if work.decision is not None:
                return

    def interrupted(self, _session: HubSession, work: Work) -> None:
        """An attempt found open was cut off by a crash: not repeated when the policy says at most once."""
        if work.row.attempt_id is not None and work.policy.at_most_once and not work.policy.retry_unknown:
            self._judge(work, Verdict(Outcome.UNKNOWN, INTERRUPTED, "the attempt was cut off; its effect is not known"))

    def expire(self, _session: HubSession, work: Work) -> None:
        """A deadline ends only what says so."""
        deadline = work.row.deadline_at
        if work.row.expire and deadline is not None and deadline <= self.clock.now():
            last = Outcome(work.row.outcome) if work.row.outcome else Outcome.TIMEOUT
            work.decision = Finish(State.DEAD, Verdict(last, EXPIRED, "its deadline has passed"))

    def window(self, _session: HubSession, work: Work) -> None:
        """Outside of the daily window nobody is called, however long the queue was that brought it here."""
        now = self.clock.now()
        opening = fit_window(work.policy, now)
        if opening > now:
            work.decision = Again(opening, False, None, OUTSIDE_WINDOW)

    def require(self, session: HubSession, work: Work) -> None:
        """Waits until the required delivery has been accepted by the same destination."""
        if work.row.requires_interface is None:
            return
        accepted = exists().where(
            *_same_destination(work.row),
            DeliveryRow.interface == work.row.requires_interface,
            DeliveryRow.object_key == work.row.requires_key,
            in_state(DeliveryRow, State.DELIVERED),
        )
        if not session.scalar(select(accepted)):
            self._postpone(work, REQUIRE_AGAIN_S, f"waits for {work.row.requires_interface} of {work.row.requires_key}")

    def map(self, session: HubSession, work: Work) -> None:
        """The frozen body, or the first and only mapping of the snapshot."""
        if work.row.body is not None:
            work.body = work.row.body
            return
        try:
            work.body = work.driver.render(session, work.delivery)
        except NotReady as waiting:
            self._postpone(work, waiting.retry_after_s, str(waiting))
        except BodyRefused as refused:
            work.decision = Finish(State.DEAD, Verdict(Outcome.PERMANENT, refused.code, refused.message))
        except Exception as error:  # a mapping that fails stays visible and is tried again by the ladder
            log.error("render_failed", exc_info=True)
            self._judge(work, Verdict(Outcome.RETRYABLE, "render_failed", f"{type(error).__name__}: {error}"[:300]))

    def supersede(self, session: HubSession, work: Work) -> None:
        """Newest replaces older; and what the destination has already accepted is not said again."""
        reason = self._why_newer_replaces(work)
        if reason is not None and session.scalar(select(exists().where(*_newer(work.row)))):
            work.decision = Finish(State.SUPERSEDED, Verdict(Outcome.IGNORED, "", reason))
        elif work.policy.on_change is not None and _unchanged(session, work, work.policy.on_change):
            work.decision = Finish(State.SUPERSEDED, Verdict(Outcome.IGNORED, "", UNCHANGED))

    def _why_newer_replaces(self, work: Work) -> str | None:
        if work.policy.coalesce == "newest":
            return SUPERSEDED_BY_NEWER
        stale_s = work.policy.stale_after_s
        if stale_s is not None and self.clock.now() - work.row.occurred_at > timedelta(seconds=stale_s):
            return STALE
        return None

    def validate(self, _session: HubSession, work: Work) -> None:
        """Local rules before the network; the first problem names the end."""
        problems = work.driver.validate(work.delivery, work.body)
        if problems:
            words = "; ".join(f"{one.code} {one.member} {one.message}".strip() for one in problems)
            work.decision = Finish(State.DEAD, Verdict(Outcome.PERMANENT, problems[0].code, words[:300]))

    def _judge(self, work: Work, verdict: Verdict) -> None:
        row = work.row
        work.decision = decide(work.policy, verdict, row.failure_count, self.clock.now(), row.deadline_at, row.id)

    def _postpone(self, work: Work, seconds: float, reason: str) -> None:
        work.decision = Again(self.clock.now() + timedelta(seconds=seconds), False, None, reason)


def _unchanged(session: HubSession, work: Work, names: Sequence[str]) -> bool:
    accepted = (
        select(DeliveryRow.body)
        .where(
            *_same_object(work.row),
            DeliveryRow.object_version < work.row.object_version,
            in_state(DeliveryRow, State.DELIVERED),
            DeliveryRow.outcome == Outcome.OK.value,
        )
        .order_by(DeliveryRow.object_version.desc())
        .limit(1)
    )
    last = session.scalar(accepted)
    if last is None:
        return not work.policy.send_first
    return _picked(work.body, names) == _picked(last, names)


def _picked(body: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return dict(body) if WHOLE_BODY in names else {name: body.get(name) for name in names}


def _same_destination(row: DeliveryRow) -> tuple[ColumnElement[bool], ...]:
    return (
        DeliveryRow.tenant_id == row.tenant_id,
        DeliveryRow.destination_kind == row.destination_kind,
        DeliveryRow.destination_id == row.destination_id,
    )


def _same_object(row: DeliveryRow) -> tuple[ColumnElement[bool], ...]:
    return (
        *_same_destination(row),
        DeliveryRow.interface == row.interface,
        DeliveryRow.object_key == row.object_key,
    )


def _newer(row: DeliveryRow) -> tuple[ColumnElement[bool], ...]:
    return (*_same_object(row), DeliveryRow.object_version > row.object_version)
