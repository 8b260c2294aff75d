"""Timers of open orders, as a sweep over the few that are open: no order waits for ever, none depends on one process's memory."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from charging_core.db import Database, HubSession
from charging_core.orders import limits
from charging_core.orders.life import lock_order, move, tell_stopped
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import send_stop
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderEvent, OrderState


def sweep_orders(db: Database, context: OrderContext) -> int:
    """Move every order whose time is up; returns how many moved. Each order has its own transaction."""
    now = context.clock.now()
    with db.read_system("order timers") as session:
        waiting = session.execute(
            select(ChargeOrder.id, ChargeOrder.tenant_id).where(
                ChargeOrder.state.in_(OPEN_STATES), ChargeOrder.state != OrderState.CHARGING
            )
        ).all()
    moved = 0
    for order_id, tenant_id in waiting:
        with db.session(tenant_id) as session:
            order = lock_order(session, order_id)
            moved += order is not None and _check(session, context, order, now)
    return moved


def _check(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    if order.current_state in BEFORE_CHARGE:
        return _check_start(session, context, order, now)
    if order.current_state is OrderState.STOPPING:
        return _check_stop(session, context, order, now)
    if order.current_state is OrderState.ENDED_NO_RECORD and _older(order.state_since, limits.RECORD_LIMIT_S, now):
        return _give_up_waiting(session, context, order)
    return False


def _check_start(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    deadline = order.plug_by if order.current_state is OrderState.WAIT_PLUG and order.plug_by else order.start_by
    if now < min(deadline, order.start_by if order.link_id else deadline):
        return False
    was = order.current_state
    if not move(session, context, order, OrderEvent.START_TIMED_OUT, f"no charge seen in time ({was})"):
        return False
    if was is OrderState.CREATED:
        context.commands.cancel_start(session, order.id)
    else:
        # The pile may start after all: stop it, and still bill a record that comes (P4).
        send_stop(session, context, order)
    return True


def _check_stop(session: HubSession, context: OrderContext, order: ChargeOrder, now: datetime) -> bool:
    asked = order.stop_asked_at or order.state_since
    if _older(asked, limits.STOP_RECORD_LIMIT_S, now):
        return _give_up_waiting(session, context, order)
    retry_due = _older(asked, limits.STOP_RETRY_S * order.stop_tries, now)
    if retry_due and order.stop_tries < limits.STOP_TRIES and not order.stop_told:
        send_stop(session, context, order)
        return True
    return False


def _give_up_waiting(session: HubSession, context: OrderContext, order: ChargeOrder) -> bool:
    if order.started_at is None:
        return move(session, context, order, OrderEvent.NEVER_STARTED, "stopped before it charged")
    tell_stopped(session, context, order)
    order.review = order.review or "no trade record"
    return move(session, context, order, OrderEvent.RECORD_TIMED_OUT, "no trade record in time")


def _older(instant: datetime, seconds: int, now: datetime) -> bool:
    return now - instant > timedelta(seconds=seconds)
