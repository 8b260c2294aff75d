"""What a pile tells about a charge on its way (DESIGN way 1): start answers, readings, idle frames, stop answers.

Each function runs inside the caller's transaction; it holds the order's row, or is given an order whose row is held. Reports that
come late, twice or in the wrong order change nothing that they should not (P10).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from charging_core.db import HubSession
from charging_core.orders import alarms, limits
from charging_core.orders.facts import Reading
from charging_core.orders.guard import limit_reached, look_ahead
from charging_core.orders.life import lock_order, move, publish, tell_stopped
from charging_core.orders.model import ChargeOrder, ChargeSample
from charging_core.orders.ports import OrderContext
from charging_core.orders.prices import payer_periods
from charging_core.orders.samples import sample_object
from charging_core.orders.service import ask_again, end_charge, send_stop
from charging_core.orders.state import OPEN_STATES, OrderEvent, OrderState
from charging_core.stations.model import Connector, ConnectorState
from charging_core.tariffs.periods import DayPeriods

_TROUBLED = (ConnectorState.FAULT, ConnectorState.OFFLINE)


def start_sent(session: HubSession, context: OrderContext, order_id: str) -> None:
    """The start command has been written to the pile's connection."""
    order = lock_order(session, order_id)
    if order is not None:
        move(session, context, order, OrderEvent.COMMAND_SENT)


def start_not_delivered(session: HubSession, context: OrderContext, order_id: str, why: str) -> None:
    """The start command could not be delivered; the order fails at once."""
    order = lock_order(session, order_id)
    if order is not None and order.started_at is None:
        move(session, context, order, OrderEvent.NOT_DELIVERED, why)


def start_answered(
    session: HubSession, context: OrderContext, order_id: str, *, ok: bool, needs_plug: bool, reason: str
) -> None:
    """The pile's answer to a start: ok, refused, or "not plugged in", which may still turn into ok within a minute."""
    order = lock_order(session, order_id)
    if order is None:
        return
    if ok:
        move(session, context, order, OrderEvent.START_OK)
    elif needs_plug:
        if move(session, context, order, OrderEvent.START_NEEDS_PLUG, reason):
            wait = timedelta(seconds=limits.PLUG_LIMIT_S + limits.PLUG_MARGIN_S)
            order.plug_by = context.clock.now() + wait
    elif order.started_at is None:  # a refusal that comes late says nothing about a charge that was seen
        move(session, context, order, OrderEvent.START_REFUSED, reason)


def reading_seen(session: HubSession, context: OrderContext, order_id: str, reading: Reading) -> None:
    """A "charging" sample that names this order: proves the start, keeps the sample, guards the payer's limits (P12)."""
    order = lock_order(session, order_id)
    if order is None:
        return
    was_away, order.link_lost = order.link_lost, False
    if order.connector.state in _TROUBLED:
        alarms.goes_on(session, order, context.clock.now())
    news = move(session, context, order, OrderEvent.CHARGING_SEEN)
    if order.current_state not in (OrderState.CHARGING, OrderState.STOPPING):
        _stop_again(session, context, order)
        return
    order.started_at = order.started_at or reading.at
    order.idle_seen = 0
    periods = payer_periods(session, order)
    before = order.sample
    sample = _keep(session, order, reading, periods)
    if news:
        publish(session, context, order, "order.started")
    _guard(session, context, order, (before, sample), periods)
    if was_away and not news and order.current_state is OrderState.STOPPING and order.stop_tries == 0:
        _stop_now(session, context, order)


def trouble_seen(
    session: HubSession, context: OrderContext, order: ChargeOrder, status: str, faults: Sequence[str]
) -> None:
    """The pile says "fault" or "off-line" about this charge: it is kept open, and the staff is told (P11)."""
    if order.started_at is not None and order.current_state in OPEN_STATES:
        alarms.interrupted(session, order, status, faults, context.clock.now())


def idle_seen(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """The connector of an open order reports idle: once may be a glitch, so it is asked again; twice ends the charge (P11)."""
    if order.current_state not in (OrderState.CHARGING, OrderState.STOPPING):
        return
    order.idle_seen += 1
    if order.idle_seen < limits.IDLE_FRAMES and order.current_state is OrderState.CHARGING:
        ask_again(session, context, order)
    if order.idle_seen >= limits.IDLE_FRAMES and order.started_at is not None:
        move(session, context, order, OrderEvent.IDLE_SEEN)
        tell_stopped(session, context, order)


def stop_answered(session: HubSession, context: OrderContext, order: ChargeOrder, *, ok: bool, reason: str) -> None:
    """The pile's answer to a stop: done, or refused. A refusal is only noted: the sweep asks again, the record decides."""
    if order.current_state is not OrderState.STOPPING:
        return
    if not ok:
        order.review = order.review or f"pile refused the stop: {reason}"
    elif order.started_at is not None:
        move(session, context, order, OrderEvent.STOP_DONE)
        tell_stopped(session, context, order)


def link_lost(order: ChargeOrder) -> None:
    """The pile's connection is gone; the charge goes on (P7). Stops begin anew when the charge is seen again."""
    order.link_lost = True
    order.stop_tries = 0


def link_renewed(session: HubSession, pile_id: str) -> None:
    """The pile has a new connection, whether the end of the old one was seen or not: nothing is known of its charges until they show."""
    own = select(Connector.id).where(Connector.pile_id == pile_id)
    session.execute(
        update(ChargeOrder)
        .where(ChargeOrder.state.in_(OPEN_STATES), ChargeOrder.connector_id.in_(own))
        .values(link_lost=True, stop_tries=0)
        .execution_options(synchronize_session=False)
    )


def _stop_again(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """The pile charges for an order that has failed, or that was given up while it should stop: the stop got lost, ask again."""
    unwanted = order.current_state is OrderState.FAILED or (
        order.current_state is OrderState.ABNORMAL and order.stop_asked_at is not None
    )
    now = context.clock.now()
    pause = timedelta(seconds=limits.STOP_RETRY_S)
    if unwanted and (order.stop_asked_at is None or now - order.stop_asked_at >= pause):
        _stop_now(session, context, order)


def _stop_now(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    order.stop_asked_at = context.clock.now()
    send_stop(session, context, order)


def _keep(session: HubSession, order: ChargeOrder, reading: Reading, periods: DayPeriods) -> dict[str, Any]:
    sample = sample_object(order.sample, reading, periods)
    order.sample = sample
    session.add(
        ChargeSample(
            tenant_id=order.tenant_id,
            order_id=order.id,
            at=reading.at,
            energy_kwh=sample["energy_kwh"],
            reading=sample,
        )
    )
    return sample


def _guard(
    session: HubSession,
    context: OrderContext,
    order: ChargeOrder,
    samples: tuple[dict[str, Any] | None, dict[str, Any]],
    periods: DayPeriods,
) -> None:
    """End the charge when one of its limits would be passed before the next sample (P12)."""
    if order.current_state is not OrderState.CHARGING:
        return
    before, sample = samples
    ahead = look_ahead(sample, before, periods, context.guard)
    reached = limit_reached(order.allowed, sample, ahead, context.guard)
    if reached is not None:
        end_charge(session, context, order, reached)
