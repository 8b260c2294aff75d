"""What may be done with an order from outside: start it, stop it, find it. No pile is called here (DESIGN way 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.orders import limits
from charging_core.orders.life import lock_order, move
from charging_core.orders.model import ChargeOrder, OrderTransition, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderEvent, OrderState
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector, why_unusable
from charging_core.tariffs.service import version_in_use


class Refusal(StrEnum):
    """Why a start or stop was not accepted: an expected answer, not an error."""

    NO_SUCH_CONNECTOR = "no_such_connector"
    DISABLED = "disabled"
    OFFLINE = "offline"
    FAULT = "fault"
    BUSY = "busy"
    CONFLICTING_REPEAT = "conflicting_repeat"
    ALREADY_ENDED = "already_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A wish to charge. `limit_yuan` ends the charge before it costs more; `start_within_s` shortens the start limit."""

    connector_code: str
    origin: Origin
    link_id: str | None = None
    start_charge_seq: str | None = None
    plate: str | None = None
    phone: str | None = None
    limit_yuan: Decimal | None = None
    start_within_s: int | None = None


@dataclass(frozen=True, slots=True)
class StartOutcome:
    """The order, or why there is none. `repeated` marks a request that had been answered before."""

    order: ChargeOrder | None
    refusal: Refusal | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class StopOutcome:
    """The order after the wish to stop it, or why that changes nothing."""

    order: ChargeOrder
    refusal: Refusal | None = None


def start_order(session: HubSession, context: OrderContext, request: StartRequest) -> StartOutcome:
    """Create an order and its start command in one transaction.

    Idempotent on (`link_id`, `start_charge_seq`): a repeat gets the first order, a repeat for another connector is refused. Two
    requests at the same instant: one of them finds the other's order, as if it had come later.
    """
    connector = find_connector(session, request.connector_code, lock=True)
    if connector is None:
        return StartOutcome(None, Refusal.NO_SUCH_CONNECTOR)
    repeat = _repeated(session, connector, request)
    if repeat is not None:
        return repeat
    unusable = why_unusable(connector)
    if unusable is not None:
        return StartOutcome(None, Refusal(unusable))
    if open_order(session, connector.id) is not None:
        return StartOutcome(None, Refusal.BUSY)
    try:
        with session.begin_nested():
            return StartOutcome(_create(session, context, connector, request))
    except IntegrityError:
        # The connector's row is held, so only the same sequence for another connector can have come between.
        return _repeated(session, connector, request) or StartOutcome(None, Refusal.BUSY)


def _repeated(session: HubSession, connector: Connector, request: StartRequest) -> StartOutcome | None:
    """The answer to a sequence that was used before; none for a new one."""
    earlier = find_by_seq(session, request.link_id, request.start_charge_seq)
    if earlier is None:
        return None
    same = earlier.connector_id == connector.id
    return StartOutcome(earlier if same else None, None if same else Refusal.CONFLICTING_REPEAT, repeated=True)


def request_stop(session: HubSession, context: OrderContext, order_id: str, origin: Origin) -> StopOutcome | None:
    """Ask the pile to stop. Again while stopping: accepted, nothing new is sent. After the end: `already_ended`. None: no such order."""
    order = lock_order(session, order_id)
    if order is None:
        return None
    if order.current_state is OrderState.STOPPING:
        return StopOutcome(order)
    # Also a start that was on its way: a link that breaks gives it back, and it waits again.
    withdrawn = order.current_state in BEFORE_CHARGE and context.commands.cancel_start(session, order.id)
    if not move(session, context, order, OrderEvent.STOP_ASKED, f"by {origin}"):
        return StopOutcome(order, Refusal.ALREADY_ENDED)
    order.stop_asked_at = context.clock.now()
    order.stop_asked_by = origin
    if withdrawn:
        move(session, context, order, OrderEvent.NEVER_STARTED, "withdrawn before it reached the pile")
    else:
        send_stop(session, context, order)
    return StopOutcome(order)


def send_stop(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """Put one more stop command beside the order."""
    order.stop_tries += 1
    expires_at = context.clock.now() + timedelta(seconds=limits.STOP_EXPIRY_S)
    context.commands.stop(session, order.id, order.connector.code, expires_at)


def open_order(session: HubSession, connector_id: str, *, lock: bool = False) -> ChargeOrder | None:
    """The order that holds the connector now; `lock` as in `lock_order`."""
    query = select(ChargeOrder).where(ChargeOrder.connector_id == connector_id, ChargeOrder.state.in_(OPEN_STATES))
    if lock:
        query = query.with_for_update(of=ChargeOrder, key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def find_order(session: HubSession, name: str) -> ChargeOrder | None:
    """The order with this id, trade number or start_charge_seq; of several with one seq (different links) the newest."""
    wanted = or_(ChargeOrder.id == name, ChargeOrder.trade_number == name, ChargeOrder.start_charge_seq == name)
    return session.scalars(select(ChargeOrder).where(wanted).order_by(ChargeOrder.id.desc()).limit(1)).one_or_none()


def find_by_seq(session: HubSession, link_id: str | None, seq: str | None) -> ChargeOrder | None:
    """The order that this link started under this sequence; an order of another link is unknown here."""
    if link_id is None or seq is None:
        return None
    return session.scalars(
        select(ChargeOrder).where(ChargeOrder.link_id == link_id, ChargeOrder.start_charge_seq == seq)
    ).one_or_none()


def transitions(session: HubSession, order_id: str) -> list[OrderTransition]:
    """Every change of the order's state, oldest first."""
    query = select(OrderTransition).where(OrderTransition.order_id == order_id).order_by(OrderTransition.id)
    return list(session.scalars(query))


def _create(session: HubSession, context: OrderContext, connector: Connector, request: StartRequest) -> ChargeOrder:
    now = context.clock.now()
    pile = connector.pile
    version = version_in_use(session, pile.confirmed_tariff_version_id, pile.station.tariff_id, now)
    start_by = now + timedelta(seconds=min(limits.START_LIMIT_S, request.start_within_s or limits.START_LIMIT_S))
    order = ChargeOrder(
        id=new_id(),
        tenant_id=connector.tenant_id,
        operator_id=pile.station.operator_id,
        station_id=pile.station_id,
        connector_id=connector.id,
        connector=connector,
        origin=request.origin,
        link_id=request.link_id,
        start_charge_seq=request.start_charge_seq,
        plate=request.plate,
        phone=request.phone,
        limit_yuan=request.limit_yuan,
        tariff_version_id=version.id,
        state=OrderState.CREATED,
        state_since=now,
        created_at=now,
        start_by=start_by,
        version=0,
        stop_tries=0,
        idle_seen=0,
        stop_told=False,
    )
    session.add(order)
    session.flush()
    order.trade_number = context.commands.start(session, order.id, connector.code, request.limit_yuan, start_by)
    first = OrderTransition(
        tenant_id=order.tenant_id,
        order_id=order.id,
        at=now,
        happened="created",
        state=order.state,
        detail=request.origin,
    )
    session.add(first)
    session.flush()
    return order
