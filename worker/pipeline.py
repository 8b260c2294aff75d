"""The way of deliveries through the worker, as one visible list of stages. Three of them work on many deliveries at once.

    prepare   (read)         interrupted? · expire · window · require · map · supersede · validate      preparation.py
    begin     (transaction)  pace · freeze body, open attempt                                  destinations.py, journal.py
    exchange  (nothing open) combine · send · judge             one call, in a thread of its own
    record    (transaction)  attempt · next step or end · destination · driver's hook          journal.py, destinations.py

Any stage of `prepare` or `begin` may decide; then the network is not touched and `record` writes the decision.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from charging_core import faultpoints
from charging_core.clock import Clock, SystemClock
from charging_core.db import Database, HubSession
from worker import calls, destinations, journal
from worker.api import DriverDefaults, Exchange, Outcome, Registry, State, Verdict
from worker.audit import Action, note_action
from worker.decision import Again, Finish, Hold, describe
from worker.errors import UnknownDriver
from worker.ledger import PACED_TOGETHER_S, Claim, Ledger
from worker.metrics import (
    ACCEPTED_SECONDS,
    ATTEMPT_SECONDS,
    ATTEMPTS,
    DESTINATION_ACCEPTED_SECONDS,
    DESTINATION_ATTEMPTS,
    DESTINATION_PUNCTUAL,
    FINISHED,
    LATE,
    LOOP_ERRORS,
)
from worker.model import DeliveryRow
from worker.preparation import Preparation
from worker.scope import tenant_scope
from worker.settings import WorkerSettings
from worker.work import Work, log_facts, view

log = structlog.get_logger()

NOT_PREPARED_AGAIN_S = 60.0
"""Business seconds until a delivery is looked at again for which this process has no driver (an older release, mostly), or whose driver
failed to say how it is delivered."""


@dataclass
class Pipeline:
    """Processes claimed deliveries. Safe to use from many threads."""

    db: Database
    clock: Clock
    registry: Registry
    settings: WorkerSettings
    ledger: Ledger
    real_clock: Clock = field(default_factory=SystemClock)
    _health: destinations.Health = field(default_factory=destinations.Health)

    def process(self, claim: Claim) -> State | None:
        """Carry one claimed delivery, and what shares its call, as far as it goes now.

        Returns its state afterwards, None when the claim was lost.
        """
        works = self.prepare([claim])
        for work in works:
            if work.decision is None:
                self.exchange(work)
        whole = [one for work in works for one in work.whole_call]
        self.record(whole)
        done = next((work for work in whole if work.ours and work.row.id == claim.delivery_id), None)
        return None if done is None else _state_after(done)

    def prepare(self, claims: Collection[Claim]) -> list[Work]:
        """Map and check claimed deliveries and open their attempts; one work per call, and those that are decided.

        Lost claims are left out; decided ones only need their record.
        """
        rows = self.ledger.rows(claims)
        for claim in {*claims} - {claim for claim, _ in rows}:
            log.info("delivery_lease_lost", delivery_id=claim.delivery_id)
        works = []
        with self.db.read_system("worker") as session:
            for claim, row in rows:
                work = self._prepared(session, claim, row)
                if work is not None:
                    works.append(work)
        self._begin([work for work in works if work.decision is None])
        return calls.led([work for work in works if work.ours])

    def exchange(self, work: Work) -> None:
        """Send and judge; decides for all that share the call. No transaction is open, nothing is written."""
        with structlog.contextvars.bound_contextvars(**log_facts(work.row)):
            self._send(work)
            for one in work.whole_call:
                one.exchange = work.exchange
                one.verdict = self._verdict(one, one.exchange or Exchange())
        calls.decide(work, self.clock.now())
        for one in work.whole_call:
            outcome = one.verdict.outcome if one.verdict else Outcome.UNKNOWN
            ATTEMPTS.labels(work.driver.kind, outcome).inc()
            DESTINATION_ATTEMPTS.labels(work.driver.kind, one.row.destination_id, outcome).inc()

    def record(self, works: Sequence[Work]) -> None:
        """Write what became of decided deliveries, in one transaction."""
        if not works:
            return
        faultpoints.hit("worker.before_record")
        now = self.clock.now()
        with self.db.system("worker") as session:
            journal.record(session, works, now)
            destinations.note(session, works, now, self.settings, self._health)
            self._tell_drivers(session, [work for work in works if _to_be_told(work)])
            _note_holds(session, works, now)
        faultpoints.hit("worker.after_record")
        for work in works:
            _count(work, now)

    def _prepared(self, session: HubSession, claim: Claim, row: DeliveryRow) -> Work | None:
        try:
            delivery, driver = view(row), self.registry.driver(row.destination_kind)
            with tenant_scope(session, row.tenant_id), structlog.contextvars.bound_contextvars(**log_facts(row)):
                work = Work(claim, row, delivery, driver, driver.policy(session, delivery))
                Preparation(self.clock).run(session, work)
            return work
        except UnknownDriver as error:
            log.error("delivery_without_driver", problem=str(error), **log_facts(row))
            self._put_back(claim, str(error))
        except Exception as error:  # one delivery's trouble is not that of the others in its claim
            log.error("prepare_failed", exc_info=True, **log_facts(row))
            LOOP_ERRORS.labels("prepare").inc()
            self._put_back(claim, f"prepare failed: {type(error).__name__}")
        return None

    def _put_back(self, claim: Claim, reason: str) -> None:
        with self.db.system("worker") as session:
            at = self.clock.now() + timedelta(seconds=NOT_PREPARED_AGAIN_S)
            journal.put_back(session, claim, at, reason)

    def _begin(self, works: Sequence[Work]) -> None:
        if not works:
            return
        now = self.clock.now()
        with self.db.system("worker") as session:
            together = calls.grouped(works)
            intervals = destinations.take_slots(session, [call[0] for call in together], now, PACED_TOGETHER_S)
            for first, *others in together:
                for other in others:
                    other.decision, other.start_at = first.decision, first.start_at
            going = [work for work in works if work.decision is None]
            journal.open_attempts(session, going, self.settings.name, now, [self._lease_end(work) for work in going])
        for key, interval_s in intervals.items():
            self.ledger.pace(key, interval_s)
        for work in going:
            work.delivery = replace(work.delivery, body=work.body, attempt_count=work.delivery.attempt_count + 1)
        faultpoints.hit("worker.after_begin")

    def _lease_end(self, work: Work) -> datetime:
        return self.real_clock.now() + timedelta(seconds=work.policy.timeout_s + self.settings.lease_margin_s)

    def _send(self, work: Work) -> None:
        faultpoints.hit("worker.before_send", work.row.interface)
        began = time.monotonic()
        try:
            work.exchange = work.driver.send(work.delivery, calls.body_of(work))
        except Exception as error:  # a driver's bug must not end the worker; the ladder repeats, the log tells
            log.error("send_failed", exc_info=True)
            took = int((time.monotonic() - began) * 1000)
            work.exchange = Exchange(answer_text=type(error).__name__, error="internal", duration_ms=took)
        ATTEMPT_SECONDS.labels(work.driver.kind).observe(time.monotonic() - began)
        faultpoints.hit("worker.after_send", work.row.interface)

    def _verdict(self, work: Work, exchange: Exchange) -> Verdict:
        if exchange.error == "internal":
            return Verdict(Outcome.RETRYABLE, exchange.error, exchange.answer_text)
        try:
            return work.driver.judge(work.delivery, exchange)
        except Exception as error:  # an answer nobody can read is not an acceptance
            log.error("judge_failed", exc_info=True)
            return Verdict(Outcome.RETRYABLE, "unreadable_answer", type(error).__name__)

    def _tell_drivers(self, session: HubSession, works: Sequence[Work]) -> None:
        # Behind a savepoint: a failing hook must not undo the end of its delivery, or it would be sent for ever. All share one; only
        # when it fails does each get its own.
        if not works:
            return
        try:
            with session.begin_nested():
                for work in works:
                    _tell(session, work)
        except Exception:
            for work in works:
                self._tell_alone(session, work)

    def _tell_alone(self, session: HubSession, work: Work) -> None:
        try:
            with session.begin_nested():
                _tell(session, work)
        except Exception as error:
            log.error("on_finished_failed", exc_info=True, **log_facts(work.row))
            LOOP_ERRORS.labels("on_finished").inc()
            message = work.verdict.message if work.verdict else ""
            journal.add_reason(session, work, f"{message} (hook failed: {type(error).__name__})".strip())


def _note_holds(session: HubSession, works: Sequence[Work], now: datetime) -> None:
    for work in works:
        if work.ours and isinstance(work.decision, Hold):
            with tenant_scope(session, work.row.tenant_id):
                facts = {"why": work.decision.reason, "object": work.row.object_key}
                note_action(session, Action.HELD, work.row.id, destinations.WORKER, now, **facts)


def _to_be_told(work: Work) -> bool:
    ended = isinstance(work.decision, Finish) and work.decision.state is not State.SUPERSEDED
    return work.ours and ended and getattr(type(work.driver), "on_finished", None) is not DriverDefaults.on_finished


def _tell(session: HubSession, work: Work) -> None:
    if isinstance(work.decision, Finish):
        with tenant_scope(session, work.row.tenant_id), structlog.contextvars.bound_contextvars(**log_facts(work.row)):
            work.driver.on_finished(session, work.delivery, work.decision.verdict)


def _state_after(work: Work) -> State:
    match work.decision:
        case Finish(state=state):
            return state
        case Hold():
            return State.HELD
        case _:
            return State.WAITING


def _count(work: Work, now: datetime) -> None:
    row, kind, decision = work.row, work.driver.kind, work.decision
    told = log_facts(row)
    if not work.ours or decision is None:
        log.info("delivery_lease_lost", **told)  # the attempt is recorded all the same
        return
    if isinstance(decision, Again):
        log.info("delivery_again", at=decision.at.isoformat(), reason=decision.reason, **told)
        return
    if isinstance(decision, Hold):
        log.warning("delivery_held", reason=decision.reason, **told)
        return
    FINISHED.labels(kind, decision.state, decision.verdict.outcome).inc()
    if decision.state is State.DELIVERED:
        _count_acceptance(row, now)
    log.info("delivery_finished", state=decision.state.value, result=describe(decision.verdict), **told)


def _count_acceptance(row: DeliveryRow, now: datetime) -> None:
    kind, destination, took_s = row.destination_kind, row.destination_id, (now - row.occurred_at).total_seconds()
    ACCEPTED_SECONDS.labels(kind).observe(took_s)
    DESTINATION_ACCEPTED_SECONDS.labels(kind, destination).observe(took_s)
    if row.deadline_at is not None:
        in_time = now <= row.deadline_at
        LATE.labels(kind).inc(int(not in_time))
        DESTINATION_PUNCTUAL.labels(kind, destination, "yes" if in_time else "no").inc()
