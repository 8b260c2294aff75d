"""Trade records: kept as they came, billed once, parked when they fit nothing (P1–P4)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DataError, DBAPIError, StatementError

from charging_core.db import HubSession
from charging_core.errors import Conflict, CoreError
from charging_core.ids import new_id
from charging_core.money import ZERO
from charging_core.orders.bills.keep import samples_of
from charging_core.orders.facts import PileRate, TradeFacts
from charging_core.orders.life import lock_order
from charging_core.orders.model import ChargeOrder, StopReason
from charging_core.orders.ports import OrderContext
from charging_core.orders.settlement import settle
from charging_core.orders.state import OrderState
from charging_core.piles.events import RateReading, StopCategory, TradeRecord
from charging_core.piles.model import APPLIED, CONFLICT, DISMISSED, PARKED, RECEIVED, TradeRecordRow
from charging_core.piles.store.course import energy_by_course
from charging_core.piles.store.matching import BY_NUMBER, match
from charging_core.piles.store.offline import paid_by_card
from charging_core.piles.store.told import told
from charging_core.tariffs.periods import RateClass
from charging_core.tariffs.service import periods_of, version_by_id

log = structlog.get_logger()

_STOP_REASONS = {
    StopCategory.FULL: StopReason.BMS,
    StopCategory.UNPLUGGED: StopReason.UNPLUGGED,
    StopCategory.EMERGENCY_STOP: StopReason.FAULT,
    StopCategory.POWER_LOSS: StopReason.FAULT,
    StopCategory.VEHICLE: StopReason.FAULT,
    StopCategory.PILE: StopReason.FAULT,
}
"""DECISIONS 15: full is the vehicle's word, unplugged its own, faults are faults; everything else is "other" with the raw code."""

SECOND = "the order was billed by a record under another number before this one came"
"""Why a record is parked although its order is known."""

_RATE_ORDER = ("sharp", "peak", "flat", "valley")


def take_record(session: HubSession, context: OrderContext, record: TradeRecord, tenant_id: str) -> None:
    """Keep the record, then bill its order inside a savepoint: what fails there is rolled back and the record stays, parked.

    The first record that can be billed counts. A repeat is only counted, one with other content is kept beside it; a parked one gives
    way, and is tried again when it comes again.
    """
    order, matched_by = _find(session, context, record, tenant_id)
    problem = _why_not_billable(record, order)
    content = hashlib.sha256(_billing_content(record).encode()).hexdigest()
    rows = _rows(session, record)
    first = next((row for row in rows if row.state != CONFLICT), None)
    same = next((row for row in rows if row.content == content), None)
    if first is not None:
        first.seen += 1
        gives_way = first.state == DISMISSED and same is None
        stays = first.state in (APPLIED, DISMISSED) or problem is not None or (same is not None and same is not first)
        if stays and not gives_way:
            _note_conflict(session, first, same, _row(record, content, tenant_id, CONFLICT))
            return
    if first is None or first is not same:
        first = _take_the_place(session, first, _row(record, content, tenant_id, RECEIVED))
    _apply(session, context, first, record, order, problem)
    _recognised(first, order, matched_by)


def take_again(
    session: HubSession, context: OrderContext, row: TradeRecordRow, record: TradeRecord, tenant_id: str
) -> None:
    """Look once more for the order of a parked record, whose row is held, and bill it."""
    order, matched_by = _find(session, context, record, tenant_id)
    problem = _why_not_billable(record, order)
    if problem is None:
        _apply(session, context, row, record, order, problem)
        _recognised(row, order, matched_by)


def _find(
    session: HubSession, context: OrderContext, record: TradeRecord, tenant_id: str
) -> tuple[ChargeOrder | None, str]:
    """The record's order, its row held, and what it was recognised by; a repeat belongs to the order that the first one billed."""
    billed = session.execute(
        select(TradeRecordRow.order_id, TradeRecordRow.matched_by).where(
            TradeRecordRow.trade_number == record.trade_number,
            TradeRecordRow.pile_code == record.pile_code,
            TradeRecordRow.state == APPLIED,
        )
    ).first()
    if billed is not None and billed.order_id is not None:
        return lock_order(session, billed.order_id), billed.matched_by or BY_NUMBER
    order = paid_by_card(session, context, record, _order_of(session, record), tenant_id)
    if order is None and record.complete and has_energy(record):
        return match(session, record, tenant_id) or (None, BY_NUMBER)
    return order, BY_NUMBER


def _recognised(row: TradeRecordRow, order: ChargeOrder | None, matched_by: str) -> None:
    """Whoever looks at the order must see that its record came under another number."""
    if row.state != APPLIED or order is None:
        return
    row.matched_by = matched_by
    if matched_by != BY_NUMBER:
        order.review = order.review or f"its record came under another number: {matched_by} fits"


def has_energy(record: TradeRecord) -> bool:
    """Whether anything was charged. Firmware exists that fills only the total or only the rates."""
    return bool(record.total_energy_kwh) or any(rate.energy_kwh for rate in record.rates)


def has_record(session: HubSession, trade_number: str, pile_code: str) -> bool:
    """Whether any record of this charge has come."""
    query = select(TradeRecordRow.id).where(
        TradeRecordRow.trade_number == trade_number, TradeRecordRow.pile_code == pile_code
    )
    return session.scalars(query.limit(1)).first() is not None


def _order_of(session: HubSession, record: TradeRecord) -> ChargeOrder | None:
    """The record's order, its row held: two servers that got the same record go one after the other."""
    order_id = session.scalars(
        select(ChargeOrder.id).where(ChargeOrder.trade_number == record.trade_number)
    ).one_or_none()
    return None if order_id is None else lock_order(session, order_id)


def _rows(session: HubSession, record: TradeRecord) -> Sequence[TradeRecordRow]:
    query = select(TradeRecordRow).where(
        TradeRecordRow.trade_number == record.trade_number, TradeRecordRow.pile_code == record.pile_code
    )
    return session.scalars(query.order_by(TradeRecordRow.id)).all()


def _note_conflict(
    session: HubSession, first: TradeRecordRow, same: TradeRecordRow | None, fresh: TradeRecordRow
) -> None:
    if same is None:
        fresh.order_id, fresh.problem = first.order_id, "a repeat with other content; another one counts"
        session.add(fresh)
    elif same is not first:
        same.seen += 1


def _take_the_place(session: HubSession, parked: TradeRecordRow | None, fresh: TradeRecordRow) -> TradeRecordRow:
    """The fresh row counts from now on."""
    if parked is not None:
        parked.state = CONFLICT
        session.flush()  # frees the place
    session.add(fresh)
    session.flush()
    return fresh


def _apply(
    session: HubSession,
    context: OrderContext,
    row: TradeRecordRow,
    record: TradeRecord,
    order: ChargeOrder | None,
    problem: str | None,
) -> None:
    if problem is not None or order is None:
        row.state, row.problem = PARKED, problem
        log.warning("pile.record.parked", problem=problem, order_id=order.id if order else None)
        return
    row.order_id = order.id
    try:
        with session.begin_nested():
            settled = settle(session, context, order.id, facts_of(session, record, order))
            if not settled and order.current_state is OrderState.SETTLED:
                raise Conflict(SECOND)
            row.state, row.problem = APPLIED, None
            context.commands.release_starts(session, order.connector.code)
    except (ValueError, ArithmeticError, CoreError, StatementError) as error:
        if _database_is_away(error):
            raise
        # Not the whole of a StatementError: it repeats the statement with the customer's data.
        why = str(error.orig if isinstance(error, StatementError) else error)[:500]
        row.state, row.problem = PARKED, why
        if why == SECOND:  # one of the two is another charge's, and nobody but a person can say which
            order.review = order.review or SECOND
        log.warning("pile.record.parked", problem=why, order_id=order.id)


def _database_is_away(error: Exception) -> bool:
    """Whether it is the database that failed, and not the record's values that no column takes."""
    return isinstance(error, DBAPIError) and not isinstance(error, DataError)


def _why_not_billable(record: TradeRecord, order: ChargeOrder | None) -> str | None:
    if not record.complete:
        return "the record is shorter than published"
    if order is None:
        return "no order has this trade number"
    if order.connector.code != f"{record.pile_code}{record.connector_no:02d}":
        return "the order of this trade number is on another connector"
    return None


def _row(record: TradeRecord, content: str, tenant_id: str, state: str) -> TradeRecordRow:
    return TradeRecordRow(
        id=new_id(),
        tenant_id=tenant_id,
        trade_number=record.trade_number,
        pile_code=record.pile_code,
        connector_no=record.connector_no,
        state=state,
        content=content,
        raw=record.raw,
        told=told(record),
        received_at=record.received_at,
    )


def _billing_content(record: TradeRecord) -> str:
    """What two records must share to be the same one; the frame's sequence number and CRC may differ."""
    rates = [(r.rate_class, r.energy_kwh, r.amount_yuan) for r in record.rates]
    totals = (record.total_energy_kwh, record.total_amount_yuan, record.started_at, record.ended_at)
    return repr((record.connector_no, record.complete, rates, totals))


def facts_of(session: HubSession, record: TradeRecord, order: ChargeOrder) -> TradeFacts:
    """Neutral facts: the pile's four rates get the classes that the tariff version of the order gave them.

    A pile that counts in total only has its energy split by the course of its meter.
    """
    periods = periods_of(version_by_id(session, order.tariff_version_id))
    classes = periods.pile_rates().classes if record.rates else ()
    rates = [_rate(classes[_RATE_ORDER.index(r.rate_class)] or RateClass(r.rate_class), r) for r in record.rates]
    energies = {rate.rate_class: rate.energy_kwh for rate in rates}
    return TradeFacts(
        energy_by_class=energies if record.rates else energy_by_course(record, samples_of(session, order.id), periods),
        started_at=record.started_at,
        ended_at=record.ended_at,
        meter_start=record.meter_start_kwh or ZERO,
        meter_end=record.meter_end_kwh or ZERO,
        total_energy=record.total_energy_kwh or ZERO,
        pile_amount=record.total_amount_yuan,
        stop_code=record.stop_code or 0,
        stop_category=_STOP_REASONS.get(record.stop_category),
        vin=record.vin,
        received_at=record.received_at,
        rates=tuple(rates),
    )


def _rate(rate_class: RateClass, reading: RateReading) -> PileRate:
    return PileRate(rate_class, reading.price, reading.energy_kwh, reading.energy_with_loss_kwh, reading.amount_yuan)
