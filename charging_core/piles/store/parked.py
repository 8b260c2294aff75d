"""Parked records: billed later, when their order appears or when somebody of the staff says which one it is; or put away by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Select, select

from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, NotFound
from charging_core.events import record_event
from charging_core.orders.bills import staff
from charging_core.orders.bills.model import StaffAction
from charging_core.orders.bills.staff import Staff
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.settlement import ByHand, settle
from charging_core.piles import metrics
from charging_core.piles.events import TradeRecord
from charging_core.piles.model import APPLIED, DISMISSED, PARKED, TradeRecordRow
from charging_core.piles.store.matching import AWAITING, BY_STAFF
from charging_core.piles.store.records import facts_of, has_energy, take_again
from charging_core.piles.store.told import record_of
from charging_core.stations.model import Connector, Pile

log = structlog.get_logger()

LOOKED_AT_FOR = timedelta(days=1)
"""A record that fits nothing for so long is a matter for people."""
_PROBLEM_CHARS = 500
AT_ONCE = 200
"""Records looked at in one sweep; the others wait for the next."""


def sweep_parked(db: Database, context: OrderContext) -> int:
    """Look again at parked records whose connector now has an order that waits for one; returns how many were billed."""
    with db.read_system("parked records") as session:
        found = session.execute(_promising(context.clock.now() - LOOKED_AT_FOR)).all()
    return sum(look_again(db, context, record_id, tenant_id) for record_id, tenant_id in found)


def attach_record(
    session: HubSession, context: OrderContext, record_id: str, order_id: str, by: Staff
) -> TradeRecordRow:
    """Bill an order by a parked record that somebody knows to be its own, a dismissed one too. Both stay in the audit of the order.

    Raises `NotFound`, `Conflict` for a record that is not parked, too short or empty, an order that has a record, and one that it cannot
    bill.
    """
    row = _held(session, record_id)
    order, before = staff.held(session, order_id)
    if row.state not in (PARKED, DISMISSED):
        raise Conflict(f"record {row.id} is {row.state}, not parked")
    record = _record(row)
    if not record.complete:
        raise Conflict(f"record {row.id} is shorter than published: nobody may bill by it")
    if not has_energy(record):
        raise Conflict(f"record {row.id} holds no energy: there is nothing to bill by it")
    has_one = select(TradeRecordRow.id).where(TradeRecordRow.order_id == order.id, TradeRecordRow.state == APPLIED)
    if session.scalars(has_one).first() is not None:
        raise Conflict(f"order {order.id} has a record")
    try:
        settled = settle(session, context, order.id, facts_of(session, record, order), ByHand(by.by, by.reason))
    except (ValueError, ArithmeticError) as error:
        raise Conflict(f"order {order.id} cannot be billed by record {row.id}: {error}") from error
    if not settled:
        raise Conflict(f"order {order.id} takes no record any more: {order.state}")
    row.state, row.problem, row.order_id, row.matched_by = APPLIED, None, order.id, BY_STAFF
    staff.note(session, context, order, StaffAction.ATTACH, by, before)
    return row


def dismiss_record(session: HubSession, context: OrderContext, record_id: str, by: Staff) -> TradeRecordRow:
    """Put a parked record away that nobody is to pay by: a test of the installer, a charge that was settled otherwise. Kept with who
    and why; the same record coming again changes nothing, and it can still be attached.

    Raises `NotFound`, `Conflict` for a record that is not parked.
    """
    row = _held(session, record_id)
    if row.state != PARKED:
        raise Conflict(f"record {row.id} is {row.state}, not parked")
    told = {
        "by": by.by,
        "reason": by.reason,
        "was": row.problem,
        "pile": row.pile_code,
        "trade_number": row.trade_number,
    }
    row.state, row.problem = DISMISSED, f"{by.by}: {by.reason}"[:_PROBLEM_CHARS]
    record_event(session, "trade_record.dismissed", row.id, 1, told, context.clock.now())
    return row


def _held(session: HubSession, record_id: str) -> TradeRecordRow:
    row = session.scalars(_row(record_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"record {record_id}")
    return row


def _promising(since: datetime) -> Select[str, str]:
    waiting = (
        select(ChargeOrder.id)
        .join(Connector, Connector.id == ChargeOrder.connector_id)
        .join(Pile, Pile.id == Connector.pile_id)
        .where(
            Pile.code == TradeRecordRow.pile_code,
            Connector.number == TradeRecordRow.connector_no,
            ChargeOrder.state.in_(AWAITING),
        )
    )
    return (
        select(TradeRecordRow.id, TradeRecordRow.tenant_id)
        .where(
            TradeRecordRow.state == PARKED,
            TradeRecordRow.order_id.is_(None),
            TradeRecordRow.received_at > since,
            waiting.exists(),
        )
        .order_by(TradeRecordRow.id)
        .limit(AT_ONCE)
    )


def look_again(db: Database, context: OrderContext, record_id: str, tenant_id: str) -> bool:
    """One parked record in a transaction of its own; whether it was billed now.

    Its row is held before any order's, as `attach_record` does; one that somebody attaches just then is left to him. The edge of a
    sweep's loop: a record that cannot be looked at is counted and logged, and must not keep the others waiting.
    """
    try:
        with db.session(tenant_id) as session:
            row = session.scalars(_row(record_id).with_for_update(skip_locked=True)).one_or_none()
            if row is None or row.state != PARKED:
                return False
            take_again(session, context, row, _record(row), tenant_id)
            return row.state == APPLIED
    except Exception:
        metrics.LOOP_ERRORS.labels("parked").inc()
        log.exception("pile.record.not_looked_at", record_id=record_id)
        return False


def _row(record_id: str) -> Select[TradeRecordRow]:
    return select(TradeRecordRow).where(TradeRecordRow.id == record_id)


def _record(row: TradeRecordRow) -> TradeRecord:
    return record_of(row.told, raw=row.raw, received_at=row.received_at)
