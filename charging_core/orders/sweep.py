"""Timers of open orders, as a sweep over the few that are open: no order waits for ever, none depends on one process's memory."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select

from charging_core.db import Database, HubSession
from charging_core.orders import limits, metrics
from charging_core.orders.guard import time_is_up
from charging_core.orders.life import lock_order, move, tell_stopped
from charging_core.orders.model import NO_RECORD, ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import end_charge, send_stop
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderEvent, OrderState

log = structlog.get_logger()


def sweep_orders(db: Database, context: OrderContext) -> int:
    """Move every order whose time is up; returns how many moved. Each order has its own transaction, and its own failure."""
    now = context.clock.now()
    old = now - timedelta(seconds=limits.CHARGE_SILENCE_S)
    with db.read_system("order timers") as session:
        waiting = session.execute(
            select(ChargeOrder.id, ChargeOrder.tenant_id).where(
                ChargeOrder.state.in_(OPEN_STATES),
                or_(
                    ChargeOrder.state != OrderState.CHARGING,
                    ChargeOrder.state_since < old,
                    ChargeOrder.limit_minutes.is_not(None),
                ),
            )
        ).all()
    return sum(_guarded(db, context, order_id, tenant_id, now) for order_id, tenant_id in waiting)


def _guarded(db: Database, context: OrderContext, order_id: str, tenant_id: str, now: datetime) -> bool:
    """One order that cannot be moved must not keep all those behind it waiting."""
    try:
        with db.session(tenant_id) as session:
            order = lock_order(session, order_id)
            return order is not None and _check(session, context, order, now)
    except Exception:
        metrics.TIMER_ERRORS.inc()
        log.exception("order.timer_failed", order_id=order_id)
        return False


def _check(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    if order.current_state in BEFORE_CHARGE:
        return _check_start(session, context, order, now)
    if order.current_state is OrderState.CHARGING:
        return _check_charge(session, context, order, now)
    if order.current_state is OrderState.STOPPING:
        return _check_stop(session, context, order, now)
    if order.current_state is OrderState.ENDED_NO_RECORD:
        return _check_record(session, context, order, now)
    return False


def _check_start(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    if now < _start_deadline(order):
        return False
    if not move(session, context, order, OrderEvent.START_TIMED_OUT, f"no charge seen in time ({order.state})"):
        return False
    if not context.commands.cancel_start(session, order.id):
        # The pile may start after all: stop it, and still bill a record that comes (P4).
        order.stop_asked_at = now
        send_stop(session, context, order)
    return True


def _start_deadline(order: ChargeOrder) -> datetime:
    """A partner's deadline is hard (DECISIONS 16); anybody else who was asked to plug in gets the time for it."""
    if order.plug_by is None:
        return order.start_by
    if order.origin == Origin.PARTNER:
        return min(order.start_by, order.plug_by) if order.current_state is OrderState.WAIT_PLUG else order.start_by
    return order.plug_by if order.current_state is OrderState.WAIT_PLUG else max(order.start_by, order.plug_by)


def _check_charge(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    if time_is_up(order.allowed, order.started_at, now):
        end_charge(session, context, order, "time limit reached")
        return True
    return _check_silence(session, context, order, now)


def _check_silence(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    heard: datetime = (order.sample or {}).get("at", order.state_since)
    if not _older(heard, limits.CHARGE_SILENCE_S, now):
        return False
    order.ended_at = heard
    return _give_up_waiting(session, context, order)


def _check_stop(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    asked = order.stop_asked_at or order.state_since
    if _older(asked, limits.STOP_RECORD_LIMIT_S, now):
        return _give_up_waiting(session, context, order)
    # Idle once: the charge is probably over, and a stop could only meet the next one. Away: its next sample asks again.
    if order.idle_seen or order.link_lost:
        return False
    retry_due = _older(asked, limits.STOP_RETRY_S * order.stop_tries, now)
    if retry_due and order.stop_tries < limits.STOP_TRIES:
        send_stop(session, context, order)
        return True
    return False


def _check_record(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    stopping = order.stop_asked_at is not None and not _older(order.stop_asked_at, limits.STOP_RECORD_LIMIT_S, now)
    patience = limits.RECORD_LIMIT_AFTER_LINK_S if order.link_lost else limits.RECORD_LIMIT_S
    if stopping or not _older(order.state_since, patience, now):
        return False
    return _give_up_waiting(session, context, order)


def _give_up_waiting(session: HubSession, context: OrderContext, order: ChargeOrder) -> bool:
    if order.started_at is None:
        return move(session, context, order, OrderEvent.NEVER_STARTED, "stopped before it charged")
    tell_stopped(session, context, order)
    order.review = order.review or NO_RECORD
    return move(session, context, order, OrderEvent.RECORD_TIMED_OUT, "no trade record in time")


def _older(instant: datetime, seconds: int, now: datetime) -> bool:
    return now - instant > timedelta(seconds=seconds)
