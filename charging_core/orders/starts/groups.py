"""Parallel charges (并充): one vehicle at several connectors of a pile, an order for each, joined by a group.

The pile asks for each connector by itself (0xA1), or is told to start them all (0xA4). It charges only when all may; when one of them
ends or fails, the others are stopped by the sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog
from sqlalchemy import select

from charging_core.clock import to_china
from charging_core.db import Database, HubSession
from charging_core.errors import InvalidInput
from charging_core.ids import new_id
from charging_core.orders import metrics
from charging_core.orders.life import lock_order, move
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import (
    Group,
    Refusal,
    StartRequest,
    find_by_seq,
    request_stop,
    start_order,
)
from charging_core.orders.starts.funds import RUNNING, halved
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderEvent
from charging_core.stations.model import Connector

log = structlog.get_logger()

MOST_CONNECTORS = 2
"""双枪并充: the specification speaks of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelRequest:
    """A wish to charge one vehicle at several connectors of one pile. `limit_yuan` is for all of them together, in equal parts."""

    connectors: tuple[str, ...]
    origin: Origin
    link_id: str
    request_id: str
    plate: str | None = None
    phone: str | None = None
    limit_yuan: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ParallelOutcome:
    """The orders, or why there are none, and at which connector."""

    orders: tuple[ChargeOrder, ...]
    refusal: Refusal | None = None
    connector: str | None = None
    repeated: bool = False


class _RefusedError(Exception):
    """Raised to take back what was begun for the connectors before."""

    def __init__(self, refusal: Refusal | None, connector: str) -> None:
        super().__init__()
        self.outcome = ParallelOutcome((), refusal or Refusal.BUSY, connector)


def start_parallel(session: HubSession, context: OrderContext, request: ParallelRequest) -> ParallelOutcome:
    """Create an order and a start command for each connector in one transaction, or none of them.

    Idempotent on (`link_id`, `request_id`). Raises `InvalidInput` for connectors that are not two of one pile.
    """
    codes = request.connectors
    if len(codes) != MOST_CONNECTORS or len(set(codes)) != len(codes) or len({code[:-2] for code in codes}) != 1:
        raise InvalidInput("connectors", "应为同一桩的两个枪 / are two connectors of one pile")
    earlier = find_by_seq(session, request.link_id, request.request_id)
    if earlier is not None:
        return _repeated(session, request, earlier)
    group = Group(new_id(), to_china(context.clock.now()).strftime("%y%m%d%H%M%S"))
    try:
        with session.begin_nested():
            orders = tuple(_start(session, context, request, group, place) for place in range(len(codes)))
    except _RefusedError as refused:
        return refused.outcome
    return ParallelOutcome(orders)


def _start(
    session: HubSession, context: OrderContext, request: ParallelRequest, group: Group, place: int
) -> ChargeOrder:
    part = None if request.limit_yuan is None else halved(request.limit_yuan)
    code = request.connectors[place]
    outcome = start_order(
        session,
        context,
        StartRequest(
            connector_code=code,
            origin=request.origin,
            link_id=request.link_id,
            # Not a request id that a caller could send: its letters hold no point.
            start_charge_seq=request.request_id if place == 0 else f"{request.request_id}.{place + 1}",
            plate=request.plate,
            phone=request.phone,
            limit_yuan=part,
            group=group,
        ),
    )
    if outcome.order is None:
        raise _RefusedError(outcome.refusal, code)
    return outcome.order


def _repeated(session: HubSession, request: ParallelRequest, earlier: ChargeOrder) -> ParallelOutcome:
    orders = mates_of(session, earlier) if earlier.group_id else [earlier]
    if {order.connector.code for order in orders} != set(request.connectors):
        return ParallelOutcome((), Refusal.CONFLICTING_REPEAT, request.connectors[0], repeated=True)
    return ParallelOutcome(tuple(orders), repeated=True)


def mates_of(session: HubSession, order: ChargeOrder) -> Sequence[ChargeOrder]:
    """All orders of an order's group, itself among them, oldest first; just itself when it has none."""
    if order.group_id is None:
        return [order]
    query = select(ChargeOrder).where(ChargeOrder.group_id == order.group_id).order_by(ChargeOrder.id)
    return session.scalars(query).all()


# -- asked by the pile


def open_group(session: HubSession, connector: Connector, number: str) -> Sequence[ChargeOrder]:
    """The orders at this pile's other connectors that are open under the pile's number of a parallel charge."""
    query = select(ChargeOrder).join(Connector, Connector.id == ChargeOrder.connector_id)
    here = query.where(Connector.pile_id == connector.pile_id, Connector.id != connector.id)
    mates = here.where(ChargeOrder.group_number == number, ChargeOrder.state.in_(OPEN_STATES))
    return session.scalars(mates.order_by(ChargeOrder.id)).all()


def call_off(session: HubSession, context: OrderContext, mates: Sequence[ChargeOrder], why: str) -> None:
    """One connector was refused, so the pile starts none: the orders that wait for it fail."""
    for mate in mates:
        order = lock_order(session, mate.id)
        if order is not None and order.current_state in BEFORE_CHARGE:
            move(session, context, order, OrderEvent.START_REFUSED, why)


# -- the sweep


def sweep_groups(db: Database, context: OrderContext) -> int:
    """Stop what still runs of a group of which something has ended or failed; returns how many. Each in its own transaction."""
    with db.read_system("parallel charges") as session:
        running = session.execute(
            select(ChargeOrder.id, ChargeOrder.tenant_id).where(
                ChargeOrder.group_id.is_not(None), ChargeOrder.state.in_(RUNNING)
            )
        ).all()
    return sum(_guarded(db, context, order_id, tenant_id) for order_id, tenant_id in running)


def _guarded(db: Database, context: OrderContext, order_id: str, tenant_id: str) -> bool:
    """One group that cannot be ended must not keep the others waiting."""
    try:
        with db.session(tenant_id) as session:
            return _stop_if_alone(session, context, order_id)
    except Exception:
        metrics.TIMER_ERRORS.inc()
        log.exception("order.group_failed", order_id=order_id)
        return False


def _stop_if_alone(session: HubSession, context: OrderContext, order_id: str) -> bool:
    order = lock_order(session, order_id)
    if order is None or order.current_state not in RUNNING:
        return False
    if all(mate.current_state in RUNNING for mate in mates_of(session, order)):
        return False
    log.info("order.group_stopped", order_id=order.id, group_id=order.group_id)
    outcome = request_stop(session, context, order.id, Origin.PLATFORM)
    return outcome is not None and outcome.refusal is None
