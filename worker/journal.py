"""Writes what happens to claimed deliveries, for many of them in one transaction: the opened attempts, their results, what became of them.

Plain statements on the session's connection, not objects: this is the path every push takes twice, and objects cost it threefold. Rows
are locked in the order of their ids before anything is written, so that two workers never wait for each other in a circle.

An attempt is opened by writing its id and beginning into the delivery, and becomes a row of `delivery_attempt` when it has ended. One that
is found open at the next attempt was cut off; it becomes a row `interrupted` then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from charging_core.db import Base, HubSession
from charging_core.ids import new_id
from worker.api import Exchange, Outcome, State, Verdict
from worker.claiming import DELIVERY
from worker.decision import Again, Decision, Finish, Hold
from worker.ledger import Claim
from worker.model import DeliveryAttempt, DeliveryRow
from worker.planning import insert_ignore
from worker.work import INTERRUPTED, Work

ATTEMPT = Base.metadata.tables[DeliveryAttempt.__tablename__]


def _is(state: State) -> ColumnElement[bool]:
    return DELIVERY.c.state == literal(state.value, literal_execute=True)


_THIS = DELIVERY.c.id == bindparam(
    "this_id"
)  # and nothing more: no planner shall find another way than the primary key
_LOCK = (
    select(DELIVERY.c.id, DELIVERY.c.state, DELIVERY.c.lease_token)
    .where(DELIVERY.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(DELIVERY.c.id)
    .with_for_update()
)
_OPENED = ("lease_owner", "lease_until", "attempt_count", "attempt_id", "attempt_started_at", "attempt_worker")
_OPEN = update(DELIVERY).where(_THIS).values({name: bindparam(f"new_{name}") for name in _OPENED})
_OPEN_WITH_BODY = _OPEN.values(body=bindparam("new_body", type_=DELIVERY.c.body.type))
_SETTLED = (
    "state", "next_attempt_at", "failure_count", "attempt_count", "attempt_id", "reason", "finished_at", "outcome", "code", "dispute",
    "batch_count",
)  # fmt: skip
_SETTLE = (
    update(DELIVERY)
    .where(_THIS)
    .values({name: bindparam(f"new_{name}") for name in _SETTLED})
    .values(lease_owner=None, lease_token=None, lease_until=None, call_id=None)
)


def open_attempts(
    session: HubSession, works: Sequence[Work], worker: str, now: datetime, leases: Sequence[datetime]
) -> None:
    """Freeze bodies, prolong leases and open an attempt each, before the network is touched. Sets `ours` and `attempt_id`."""
    ours = _still_ours(session, works)
    opened: list[dict[str, Any]] = []
    cut_off = []
    for work, lease_until in zip(works, leases, strict=True):
        work.ours = work.row.id in ours
        if not work.ours:
            continue
        if work.row.attempt_id is not None:
            cut_off.append(_cut_off(work))
        work.attempt_id, work.started_at, work.worker = new_id(), work.start_at or now, worker
        opened.append(_opening(work, worker, lease_until))
    _insert_cut_off(session, cut_off)
    connection = session.connection()
    with_body = [one for one in opened if "new_body" in one]
    if with_body:
        connection.execute(_OPEN_WITH_BODY, with_body)
    if len(with_body) < len(opened):
        connection.execute(_OPEN, [one for one in opened if "new_body" not in one])


def record(session: HubSession, works: Sequence[Work], now: datetime) -> None:
    """Write the results of attempts and what became of the deliveries (each work has its decision). Sets `ours`.

    An end also counts when the lease has run out but nobody else has begun: the answer is known, asking again would be wrong.
    """
    states = _lock(session, works)
    attempts, cut_off, settled = [], [], []
    for work in works:
        state, token = states.get(work.row.id, (None, None))
        decision = _decision(work)
        held = state == State.LEASED and token == work.claim.token
        work.ours = held or (state == State.WAITING and not isinstance(decision, Again))
        if work.exchange is not None and work.attempt_id is not None:
            attempts.append(_result(work, work.attempt_id, work.exchange))
        elif work.ours and work.row.attempt_id is not None and not isinstance(decision, Again):
            cut_off.append(_cut_off(work))
        if work.ours:
            settled.append(_settling(work, decision, now))
    _insert_attempts(session, attempts)
    _insert_cut_off(session, cut_off)
    if settled:
        session.connection().execute(_SETTLE, settled)


def add_reason(session: HubSession, work: Work, reason: str) -> None:
    """Replace the reason of a delivery that was settled in this transaction."""
    keys = {"this_id": work.row.id}
    session.connection().execute(update(DELIVERY).where(_THIS).values(reason=_clean(reason, 300)), keys)


def put_back(session: HubSession, claim: Claim, at: datetime, reason: str) -> None:
    """Let a claimed delivery wait until `at`, whoever's it is (system session): nobody here can work on it."""
    changed = {"state": State.WAITING.value, "next_attempt_at": at, "reason": _clean(reason, 300), "lease_token": None}
    changed["call_id"] = None
    this = and_(DELIVERY.c.id == claim.delivery_id, _is(State.LEASED), DELIVERY.c.lease_token == claim.token)
    session.connection().execute(update(DELIVERY).where(this).values(changed))


def _still_ours(session: HubSession, works: Collection[Work]) -> set[str]:
    states = _lock(session, works)
    held = ((work, states.get(work.row.id)) for work in works)
    return {work.row.id for work, state in held if state == (State.LEASED.value, work.claim.token)}


def _lock(session: HubSession, works: Iterable[Work]) -> dict[str, tuple[str, str | None]]:
    locked = session.connection().execute(_LOCK, {"ids": sorted({work.row.id for work in works})})
    return {found: (state, token) for found, state, token in locked}


def _opening(work: Work, worker: str, lease_until: datetime) -> dict[str, Any]:
    opened = {
        "this_id": work.row.id,
        "new_lease_owner": worker,
        "new_lease_until": lease_until,
        "new_attempt_count": work.row.attempt_count + 1,
        "new_attempt_id": work.attempt_id,
        "new_attempt_started_at": work.started_at,
        "new_attempt_worker": worker,
    }
    return opened if work.row.body is not None else opened | {"new_body": work.body}


def _result(work: Work, attempt_id: str, exchange: Exchange) -> dict[str, Any]:
    verdict = work.verdict or Verdict(Outcome.UNKNOWN)
    leads = work.call_attempt_id in (None, attempt_id)
    return {
        "id": attempt_id,
        "tenant_id": work.row.tenant_id,
        "delivery_id": work.row.id,
        "number": work.row.attempt_count + 1,
        "started_at": work.started_at,
        "worker": work.worker,
        "duration_ms": exchange.duration_ms,
        "call_id": work.call_attempt_id,
        # What several deliveries said in one call is kept once, with the first of them.
        "request_text": _clean(exchange.request_text) if leads else None,
        "answer_text": _clean(exchange.answer_text) if leads else None,
        "http_status": exchange.http_status,
        "error": exchange.error[:32] or None,
        "outcome": verdict.outcome.value,
        "code": _clean(verdict.code, 64) or None,
        "message": _clean(verdict.message, 300) or None,
    }


def _cut_off(work: Work) -> dict[str, Any]:
    row = work.row
    return {
        "id": row.attempt_id,
        "tenant_id": row.tenant_id,
        "delivery_id": row.id,
        "number": row.attempt_count,
        "started_at": row.attempt_started_at,
        "worker": row.attempt_worker,
        "outcome": Outcome.UNKNOWN.value,
        "error": INTERRUPTED,
    }


def _insert_cut_off(session: HubSession, rows: Sequence[dict[str, Any]]) -> None:
    # Left alone when it is there: its worker was only slow, and its answer arrived after all.
    if rows:
        session.connection().execute(insert_ignore(session, DeliveryAttempt), rows)


def _insert_attempts(session: HubSession, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        session.connection().execute(_upsert(session.dialect_name), rows)


@lru_cache(maxsize=2)
def _upsert(dialect: str) -> postgresql.Insert | sqlite.Insert:
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(ATTEMPT)
    known = (
        "duration_ms",
        "call_id",
        "request_text",
        "answer_text",
        "http_status",
        "error",
        "outcome",
        "code",
        "message",
    )
    # The answer of a worker that was taken for dead replaces `interrupted`.
    return insert.on_conflict_do_update(
        index_elements=list(ATTEMPT.primary_key.columns), set_={name: insert.excluded[name] for name in known}
    )


def _decision(work: Work) -> Decision:
    if work.decision is None:
        raise ValueError(f"delivery {work.row.id} was not decided")
    return work.decision


def _settling(work: Work, decision: Decision, now: datetime) -> dict[str, Any]:
    row, verdict = work.row, decision.verdict
    sent = work.exchange is not None
    match decision:
        case Again():
            changed = _again(row, decision)
        case Hold():
            changed = _hold(row, decision)
        case _:
            changed = _finish(row, decision, now)
    changed |= {
        "attempt_count": row.attempt_count + int(sent),
        # An attempt found open stays marked when nothing was sent: the next one, or the end, makes its row.
        "attempt_id": row.attempt_id if isinstance(decision, Again) and not sent else None,
        "outcome": row.outcome if verdict is None else verdict.outcome.value,
        "code": row.code if verdict is None else _clean(verdict.code, 64) or None,
        "dispute": row.dispute if verdict is None else verdict.dispute,
        "batch_count": None if isinstance(decision, Again) and decision.alone else row.batch_count,
    }
    named = {f"new_{name}": value for name, value in changed.items()}
    return named | {"this_id": row.id}


def _again(row: DeliveryRow, decision: Again) -> dict[str, Any]:
    return {
        "state": State.WAITING.value,
        "next_attempt_at": decision.at,
        "failure_count": row.failure_count + int(decision.counts),
        "reason": _clean(decision.reason, 300),
        "finished_at": None,
    }


def _hold(row: DeliveryRow, decision: Hold) -> dict[str, Any]:
    return {
        "state": State.HELD.value,
        "next_attempt_at": row.next_attempt_at,
        "failure_count": row.failure_count,
        "reason": _clean(decision.reason, 300),
        "finished_at": None,
    }


def _finish(row: DeliveryRow, decision: Finish, now: datetime) -> dict[str, Any]:
    return {
        "state": decision.state.value,
        "next_attempt_at": row.next_attempt_at,
        "failure_count": row.failure_count,
        "reason": _clean(decision.verdict.message, 300) or None,
        "finished_at": now,
    }


def _clean(text: str, limit: int | None = None) -> str:
    """What any database takes: a lying destination may answer NUL or halves of characters."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:limit]
