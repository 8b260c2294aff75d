"""What a pile tells about a charge on its way (DESIGN way 1): start answers, readings, idle frames, stop answers.

Each function runs inside the caller's transaction; it holds the order's row, or is given an order whose row is held. Reports that
come late, twice or in the wrong order change nothing that they should not (P10).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from charging_core.db import HubSession
from charging_core.money import ZERO, fen
from charging_core.orders import limits
from charging_core.orders.facts import Reading
from charging_core.orders.life import lock_order, move, publish, tell_stopped
from charging_core.orders.model import ChargeOrder, ChargeSample, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import send_stop
from charging_core.orders.state import OrderEvent, OrderState
from charging_core.tariffs.service import periods_of, version_by_id


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
    """A "charging" sample that names this order: proves the start, keeps the sample, guards the payer's limit (P12)."""
    order = lock_order(session, order_id)
    if order is None:
        return
    news = move(session, context, order, OrderEvent.CHARGING_SEEN)
    if order.current_state not in (OrderState.CHARGING, OrderState.STOPPING):
        _stop_again(session, context, order)
        return
    order.started_at = order.started_at or reading.at
    order.idle_seen = 0
    order.link_lost = False
    _keep(session, order, reading)
    if news:
        publish(session, context, order, "order.started")
    _guard_limit(session, context, order)


def idle_seen(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """The connector of an open order reports idle: once may be a glitch, twice ends the charge (P11)."""
    if order.current_state not in (OrderState.CHARGING, OrderState.STOPPING):
        return
    order.idle_seen += 1
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
    """The pile's connection is gone; the charge goes on (P7)."""
    order.link_lost = True


def _stop_again(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """The pile charges for an order that has failed, or that was given up while it should stop: the stop got lost, ask again."""
    unwanted = order.current_state is OrderState.FAILED or (
        order.current_state is OrderState.ABNORMAL and order.stop_asked_at is not None
    )
    now = context.clock.now()
    pause = timedelta(seconds=limits.STOP_RETRY_S)
    if unwanted and (order.stop_asked_at is None or now - order.stop_asked_at >= pause):
        order.stop_asked_at = now
        send_stop(session, context, order)


def _keep(session: HubSession, order: ChargeOrder, reading: Reading) -> None:
    order.sample = _sample_object(session, order, reading)
    session.add(
        ChargeSample(
            tenant_id=order.tenant_id,
            order_id=order.id,
            at=reading.at,
            energy_kwh=order.sample["energy_kwh"],
            reading=order.sample,
        )
    )


def _sample_object(session: HubSession, order: ChargeOrder, reading: Reading) -> dict[str, Any]:
    """The sample with running fees: what came since the last sample is priced at the period it came in (an estimate, not a bill).

    Its energy never falls: a value that is missing or smaller than the last one is a glitch of the pile's.
    """
    before = order.sample or {}
    period = periods_of(version_by_id(session, order.tariff_version_id)).at(reading.at)
    counted = Decimal(before.get("energy_kwh", ZERO))
    energy = counted if reading.energy_kwh is None else max(reading.energy_kwh, counted)
    delta = energy - counted
    elec = Decimal(before.get("elec_exact", ZERO)) + delta * period.elec_price
    service = Decimal(before.get("service_exact", ZERO)) + delta * period.service_price
    return {
        "at": reading.at,
        "voltage_v": reading.voltage_v,
        "current_a": reading.current_a,
        "power_kw": (reading.voltage_v * reading.current_a / 1000).quantize(Decimal("0.0001")),
        "soc": reading.soc,
        "energy_kwh": energy,
        "minutes_charged": reading.minutes_charged,
        "minutes_remaining": reading.minutes_remaining,
        "pile_amount": reading.pile_amount,
        "elec_exact": elec,
        "service_exact": service,
        "elec_fee": fen(elec),
        "service_fee": fen(service),
        "total_fee": fen(elec) + fen(service),
        "next_step": _next_step(delta * (period.elec_price + period.service_price), before.get("at"), reading.at),
    }


def _next_step(step: Decimal, since: datetime | None, at: datetime) -> Decimal:
    """What may be spent until the next sample: as much as since the last one, but no more than `STEP_S` of it."""
    passed = Decimal(0) if since is None else Decimal(str((at - since).total_seconds()))
    return step if passed <= limits.STEP_S else step * limits.STEP_S / passed


def _guard_limit(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    if order.limit_yuan is None or order.sample is None or order.current_state is not OrderState.CHARGING:
        return
    # One more step like the last must still fit under the limit, since the next sample comes only after it is spent.
    if order.sample["total_fee"] + order.sample["next_step"] < order.limit_yuan:
        return
    move(session, context, order, OrderEvent.STOP_ASKED, "payer's limit reached")
    order.stop_asked_at = context.clock.now()
    order.stop_asked_by = Origin.PLATFORM
    send_stop(session, context, order)
