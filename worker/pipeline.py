"""One delivery's way through the worker, as one visible list of stages.

    prepare   (read)         interrupted? · expire · require · map · supersede · validate      preparation.py
    begin     (transaction)  pace · freeze body, open attempt                                  destinations.py, journal.py
    exchange  (nothing open) send · judge
    record    (transaction)  attempt · next step or end · destination · driver's hook          journal.py, destinations.py

Any stage of `prepare` or `begin` may decide; then the network is not touched and `record` writes the decision.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from charging_core import faultpoints
from charging_core.clock import Clock, SystemClock
from charging_core.db import Database, HubSession
from worker import destinations, journal
from worker.api import DriverDefaults, Exchange, Outcome, Registry, State, Verdict
from worker.decision import Again, Decision, Finish, decide, describe
from worker.errors import UnknownDriver
from worker.ledger import Claim
from worker.metrics import ACCEPTED_SECONDS, ATTEMPT_SECONDS, ATTEMPTS, FINISHED, LATE, LOOP_ERRORS
from worker.model import DeliveryRow
from worker.policy import DeliveryPolicy
from worker.preparation import Preparation
from worker.scope import tenant_scope
from worker.settings import WorkerSettings
from worker.work import Lost, Work, view

log = structlog.get_logger()

UNKNOWN_DRIVER_AGAIN_S = 60.0
"""Business seconds until a delivery is looked at again for which this process has no driver (an older release, mostly)."""


@dataclass
class Pipeline:
    """Processes claimed deliveries. Safe to use from many threads."""

    db: Database
    clock: Clock
    registry: Registry
    settings: WorkerSettings
    real_clock: Clock = field(default_factory=SystemClock)

    def process(self, claim: Claim) -> State | None:
        """Carry one claimed delivery as far as it goes now; returns its state afterwards, None when the claim was lost."""
        with structlog.contextvars.bound_contextvars(delivery_id=claim.delivery_id):
            try:
                return self._run(claim)
            except Lost:
                log.info("delivery_lease_lost")
            except UnknownDriver as error:
                log.error("delivery_without_driver", problem=str(error))
                with self.db.system("worker") as session:
                    at = self.clock.now() + timedelta(seconds=UNKNOWN_DRIVER_AGAIN_S)
                    journal.put_back(session, claim, at, str(error))
            return None

    def _run(self, claim: Claim) -> State:
        work = self._prepare(claim)
        if work.decision is None:
            self._begin(work)
        if work.decision is None:
            self._send(work)
            work.decision = self._judge(work)
        return self._record(work, work.decision)

    def _prepare(self, claim: Claim) -> Work:
        with self.db.read_system("worker") as session:
            row = session.get(DeliveryRow, claim.delivery_id)
            if row is None or row.state != State.LEASED or row.lease_token != claim.token:
                raise Lost
            delivery, driver = view(row), self.registry.driver(row.destination_kind)
            with tenant_scope(session, row.tenant_id):
                work = Work(claim, row, delivery, driver, driver.policy(session, delivery))
                Preparation(self.clock).run(session, work)
        return work

    def _begin(self, work: Work) -> None:
        with self.db.session(work.row.tenant_id) as session:
            slot = destinations.take_slot(session, work.row, work.policy, self.clock.now())
            if slot is not None:
                work.decision = Again(slot, False, None, "paced")
                return
            journal.open_attempt(session, work, self.settings.name, self.clock.now(), self._lease_end(work.policy))
        work.delivery = replace(work.delivery, body=work.body, attempt_count=work.delivery.attempt_count + 1)

    def _lease_end(self, policy: DeliveryPolicy) -> datetime:
        return self.real_clock.now() + timedelta(seconds=policy.timeout_s + self.settings.lease_margin_s)

    def _send(self, work: Work) -> None:
        faultpoints.hit("worker.before_send")
        began = time.monotonic()
        try:
            work.exchange = work.driver.send(work.delivery, work.body)
        except Exception as error:  # a driver's bug must not end the worker; the ladder repeats, the log tells
            log.error("send_failed", kind=work.driver.kind, interface=work.row.interface, exc_info=True)
            took = int((time.monotonic() - began) * 1000)
            work.exchange = Exchange(answer_text=type(error).__name__, error="internal", duration_ms=took)
        ATTEMPT_SECONDS.labels(work.driver.kind).observe(time.monotonic() - began)
        faultpoints.hit("worker.after_send")

    def _judge(self, work: Work) -> Decision:
        work.verdict = verdict = self._verdict(work, work.exchange or Exchange())
        ATTEMPTS.labels(work.driver.kind, verdict.outcome).inc()
        row = work.row
        return decide(work.policy, verdict, row.failure_count, self.clock.now(), row.deadline_at, row.id)

    def _verdict(self, work: Work, exchange: Exchange) -> Verdict:
        if exchange.error == "internal":
            return Verdict(Outcome.RETRYABLE, exchange.error, exchange.answer_text)
        try:
            return work.driver.judge(work.delivery, exchange)
        except Exception as error:  # an answer nobody can read is not an acceptance
            log.error("judge_failed", kind=work.driver.kind, interface=work.row.interface, exc_info=True)
            return Verdict(Outcome.RETRYABLE, "unreadable_answer", type(error).__name__)

    def _record(self, work: Work, decision: Decision) -> State:
        now = self.clock.now()
        with self.db.session(work.row.tenant_id) as session:
            journal.close_attempt(session, work)
            ours = journal.settle(session, work, decision, now)
            if work.verdict is not None:
                destinations.note(session, work.row, work.policy, work.verdict, now, self.settings)
            if ours and isinstance(decision, Finish) and decision.state is not State.SUPERSEDED:
                self._tell_driver(session, work, decision.verdict)
        if not ours:
            raise Lost  # the attempt is recorded all the same
        _count(work, decision, now)
        return decision.state if isinstance(decision, Finish) else State.WAITING

    def _tell_driver(self, session: HubSession, work: Work, verdict: Verdict) -> None:
        if getattr(type(work.driver), "on_finished", None) is DriverDefaults.on_finished:
            return
        # Behind a savepoint: a failing hook must not undo the end of the delivery, or it would be sent for ever.
        try:
            with session.begin_nested():
                work.driver.on_finished(session, work.delivery, verdict)
        except Exception as error:
            log.error("on_finished_failed", kind=work.driver.kind, interface=work.row.interface, exc_info=True)
            LOOP_ERRORS.labels("on_finished").inc()
            journal.add_reason(session, work, f"{verdict.message} (hook failed: {type(error).__name__})".strip())


def _count(work: Work, decision: Decision, now: datetime) -> None:
    kind = work.driver.kind
    if isinstance(decision, Again):
        log.info("delivery_again", kind=kind, at=decision.at.isoformat(), reason=decision.reason)
        return
    FINISHED.labels(kind, decision.state, decision.verdict.outcome).inc()
    if decision.state is State.DELIVERED:
        ACCEPTED_SECONDS.labels(kind).observe((now - work.row.occurred_at).total_seconds())
        LATE.labels(kind).inc(int(work.row.deadline_at is not None and now > work.row.deadline_at))
    log.info(
        "delivery_finished",
        kind=kind,
        destination_id=work.row.destination_id,
        interface=work.row.interface,
        object_key=work.row.object_key,
        state=decision.state.value,
        result=describe(decision.verdict),
    )
