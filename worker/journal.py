"""Writes what happens to a claimed delivery: the opened attempt, its result, and what became of the delivery.

Plain statements on the session's connection, not objects: this is the path every push takes twice, and objects cost it threefold.
Each statement names the tenant and the claim's token, so it changes nothing when the claim was lost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, insert, literal, or_, update

from charging_core.db import Base, HubSession
from charging_core.ids import new_id
from worker.api import Exchange, Outcome, State, Verdict
from worker.decision import Again, Decision, Finish
from worker.ledger import Claim
from worker.model import DeliveryAttempt, DeliveryRow
from worker.work import INTERRUPTED, Lost, Work


def _table(mapped: type[Base]) -> Table:
    return Base.metadata.tables[mapped.__tablename__]


_DELIVERY, _ATTEMPT = _table(DeliveryRow), _table(DeliveryAttempt)


def _is(state: State) -> ColumnElement[bool]:
    return _DELIVERY.c.state == literal(state.value, literal_execute=True)


_THIS = and_(_DELIVERY.c.id == bindparam("this_id"), _DELIVERY.c.tenant_id == bindparam("this_tenant"))
_OURS = and_(_is(State.LEASED), _DELIVERY.c.lease_token == bindparam("this_token"))
_CUT_OFF = (
    update(_ATTEMPT)
    .where(
        _ATTEMPT.c.delivery_id == bindparam("this_id"),
        _ATTEMPT.c.tenant_id == bindparam("this_tenant"),
        _ATTEMPT.c.outcome.is_(None),
    )
    .values(outcome=Outcome.UNKNOWN.value, error=INTERRUPTED)
)
_RESULT = update(_ATTEMPT).where(
    _ATTEMPT.c.id == bindparam("this_attempt"), _ATTEMPT.c.tenant_id == bindparam("this_tenant")
)


def open_attempt(session: HubSession, work: Work, worker: str, now: datetime, lease_until: datetime) -> None:
    """Freeze the body, prolong the lease and open an attempt, before the network is touched. Raises `Lost`."""
    row, connection = work.row, session.connection()
    if row.attempt_count:
        _close_cut_off(connection, work)
    changed = {"lease_owner": worker, "lease_until": lease_until, "attempt_count": row.attempt_count + 1}
    if row.body is None:
        changed["body"] = work.body
    if not connection.execute(update(_DELIVERY).where(_THIS, _OURS).values(changed), _keys(work)).rowcount:
        raise Lost
    work.attempt_id = new_id()
    opened = {
        "id": work.attempt_id,
        "tenant_id": row.tenant_id,
        "delivery_id": row.id,
        "number": row.attempt_count + 1,
        "started_at": now,
        "worker": worker,
    }
    connection.execute(insert(_ATTEMPT).values(opened))


def close_attempt(session: HubSession, work: Work) -> None:
    """Write the result of the attempt; without one (nothing was sent this time), close those that a crash left open."""
    if work.attempt_id:
        result = _result(work.exchange or Exchange(), work.verdict or Verdict(Outcome.UNKNOWN))
        keys = {"this_attempt": work.attempt_id, "this_tenant": work.row.tenant_id}
        session.connection().execute(_RESULT.values(result), keys)
    elif work.row.attempt_count:
        _close_cut_off(session.connection(), work)


def settle(session: HubSession, work: Work, decision: Decision, now: datetime) -> bool:
    """Write what became of the delivery; false when it is not ours any more.

    An end also counts when the lease has run out but nobody else has begun: the answer is known, asking again would be wrong.
    """
    ours = or_(_OURS, _is(State.WAITING)) if isinstance(decision, Finish) else _OURS
    changed = _again(work, decision) if isinstance(decision, Again) else _finish(decision, now)
    changed |= {"lease_owner": None, "lease_token": None, "lease_until": None}
    if decision.verdict is not None:
        changed |= _verdict(decision.verdict)
    return bool(
        session.connection().execute(update(_DELIVERY).where(_THIS, ours).values(changed), _keys(work)).rowcount
    )


def add_reason(session: HubSession, work: Work, reason: str) -> None:
    """Replace the reason of a delivery that was settled in this transaction."""
    keys = {"this_id": work.row.id, "this_tenant": work.row.tenant_id}
    session.connection().execute(update(_DELIVERY).where(_THIS).values(reason=reason[:300]), keys)


def put_back(session: HubSession, claim: Claim, at: datetime, reason: str) -> None:
    """Let a claimed delivery wait until `at`, whoever's it is (system session): nobody here can work on it."""
    changed = {"state": State.WAITING.value, "next_attempt_at": at, "reason": reason[:300], "lease_token": None}
    this = and_(_DELIVERY.c.id == claim.delivery_id, _OURS)
    session.connection().execute(update(_DELIVERY).where(this).values(changed), {"this_token": claim.token})


def _keys(work: Work) -> dict[str, Any]:
    return {"this_id": work.row.id, "this_tenant": work.row.tenant_id, "this_token": work.claim.token}


def _close_cut_off(connection: Connection, work: Work) -> None:
    connection.execute(_CUT_OFF, {"this_id": work.row.id, "this_tenant": work.row.tenant_id})


def _result(exchange: Exchange, verdict: Verdict) -> dict[str, Any]:
    return {
        "duration_ms": exchange.duration_ms,
        "request_text": exchange.request_text,
        "answer_text": exchange.answer_text,
        "http_status": exchange.http_status,
        "error": exchange.error[:32] or None,
        "outcome": verdict.outcome.value,
        "code": verdict.code[:64] or None,
        "message": verdict.message[:300] or None,
    }


def _again(work: Work, decision: Again) -> dict[str, Any]:
    return {
        "state": State.WAITING.value,
        "next_attempt_at": decision.at,
        "failure_count": work.row.failure_count + int(decision.counts),
        "reason": decision.reason[:300],
    }


def _finish(decision: Finish, now: datetime) -> dict[str, Any]:
    return {"state": decision.state.value, "finished_at": now, "reason": decision.verdict.message[:300] or None}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"outcome": verdict.outcome.value, "code": verdict.code[:64] or None, "dispute": verdict.dispute}
