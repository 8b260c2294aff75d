"""What may be done with an order from outside: start it, stop it, find it. No pile is called here (DESIGN way 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.orders import alarms, limits
from charging_core.orders.awaited import awaited_record
from charging_core.orders.life import lock_order, move
from charging_core.orders.model import ChargeOrder, OrderTransition, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.reservations.keeping import Holder, is_for, kept, use
from charging_core.orders.reservations.model import Reservation
from charging_core.orders.rules import MissingRecord
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
    RESERVED = "reserved"
    """Kept for somebody else."""
    RECORD_PENDING = "record_pending"
    """The record of the connector's last charge is not here yet, and a start might make the pile forget it (P8)."""
    CONFLICTING_REPEAT = "conflicting_repeat"
    ALREADY_ENDED = "already_ended"


@dataclass(frozen=True, slots=True)
class Payer:
    """The account of ours that pays: its id, and the number printed on the card when one was shown."""

    member_id: str
    card: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One charge at several connectors of a pile: what joins its orders, and the number by which the pile knows it (12 digits)."""

    id: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A wish to charge. `limit_…` end it early: yuan, kWh, minutes, percent of the battery; `start_within_s` shortens the start limit."""

    connector_code: str
    origin: Origin
    link_id: str | None = None
    start_charge_seq: str | None = None
    plate: str | None = None
    phone: str | None = None
    limit_yuan: Decimal | None = None
    limit_kwh: Decimal | None = None
    limit_minutes: int | None = None
    limit_soc: int | None = None
    start_within_s: int | None = None
    vin: str | None = None
    payer: Payer | None = None
    group: Group | None = None
    at_pile: bool = False
    """The pile asked for it: it is there, and starts by our answer, without a command."""
    reservation_id: str | None = None
    """The reservation that whoever asks has; he is also known by plate, phone or member."""

    @property
    def holder(self) -> Holder:
        """By what whoever asks may be known as the payer of a reservation."""
        member_id = self.payer.member_id if self.payer else None
        return Holder(self.reservation_id, self.plate, self.phone, member_id)


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
    reservation = kept(session, connector, context.clock.now())
    refusal = _why_not(session, connector, reservation, request)
    if refusal is not None:
        return StartOutcome(None, refusal)
    awaited = awaited_record(session, connector.id, context.clock.now())
    if awaited is not None and context.missing_record is MissingRecord.REFUSE:
        return StartOutcome(None, Refusal.RECORD_PENDING)
    try:
        with session.begin_nested():
            order = _create(session, context, connector, request)
            if awaited is not None and context.missing_record is MissingRecord.WAIT and not request.at_pile:
                _wait_for_record(session, context, order)
            if reservation is not None:
                use(session, reservation, connector, order.id, context.clock.now())
            return StartOutcome(order)
    except IntegrityError:
        # The connector's row is held, so only the same sequence for another connector can have come between.
        return _repeated(session, connector, request) or StartOutcome(None, Refusal.BUSY)


def _why_not(
    session: HubSession, connector: Connector, reservation: Reservation | None, request: StartRequest
) -> Refusal | None:
    unusable = why_unusable(connector)
    if request.at_pile and unusable == Refusal.OFFLINE:  # a pile that asks is there, whatever it told of itself last
        unusable = None
    if unusable in (None, Refusal.RESERVED):
        unusable = None if reservation is None or is_for(reservation, request.holder) else Refusal.RESERVED
    if unusable is not None:
        return Refusal(unusable)
    return Refusal.BUSY if open_order(session, connector.id) is not None else None


def _wait_for_record(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """The last charge's record first: the pile is asked how it is, and gets the start a little later, or when the record is here."""
    until = context.clock.now() + timedelta(seconds=limits.RECORD_WAIT_S)
    context.commands.hold_start(session, order.id, until)
    ask_again(session, context, order)


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
    """Put one more stop command beside the order; when that was the last try, the staff must know.

    While the pile has not shown this charge since its link was new, it is only asked how it is: a stop carries no trade number on the
    wire, and might end somebody else's charge (`specs/ykc.md` 0x36). The charge's next sample asks for the stop again.
    """
    if order.link_lost:
        ask_again(session, context, order)
        return
    now = context.clock.now()
    order.stop_tries += 1
    context.commands.stop(session, order.id, order.connector.code, now + timedelta(seconds=limits.STOP_EXPIRY_S))
    if order.stop_tries == limits.STOP_TRIES:
        alarms.stop_unanswered(session, order, order.stop_tries, now)


def ask_again(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """Ask the pile how the order's connector is, to be told by a sample."""
    expires_at = context.clock.now() + timedelta(seconds=limits.READ_EXPIRY_S)
    context.commands.read(session, order.id, order.connector.code, expires_at)


def end_charge(session: HubSession, context: OrderContext, order: ChargeOrder, why: str) -> None:
    """The platform itself ends a charge that runs: a limit is reached. Does nothing to one that is not charging."""
    if not move(session, context, order, OrderEvent.STOP_ASKED, why):
        return
    order.stop_asked_at = context.clock.now()
    order.stop_asked_by = Origin.PLATFORM
    send_stop(session, context, order)


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
    order = new_order(context, connector, request, version.id, start_by)
    session.add(order)
    session.flush()
    order.trade_number = _pile_side_number(session, context, order, request)
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
    if request.at_pile:
        move(session, context, order, OrderEvent.COMMAND_SENT, "by the answer to the pile")
    return order


def _pile_side_number(session: HubSession, context: OrderContext, order: ChargeOrder, request: StartRequest) -> str:
    """A start command beside the order; none for a charge that the pile asked for itself."""
    code = order.connector.code
    if request.at_pile:
        return context.commands.number_for(session, code)
    number = request.group.number if request.group else None
    return context.commands.start(session, order.id, code, request.limit_yuan, order.start_by, number)


def new_order(
    context: OrderContext, connector: Connector, request: StartRequest, version_id: str, start_by: datetime
) -> ChargeOrder:
    """The row of an order as it begins; nothing is written yet."""
    now, pile = context.clock.now(), connector.pile
    return ChargeOrder(
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
        vin=request.vin,
        member_id=request.payer.member_id if request.payer else None,
        card=request.payer.card if request.payer else None,
        group_id=request.group.id if request.group else None,
        group_number=request.group.number if request.group else None,
        limit_yuan=request.limit_yuan,
        limit_kwh=request.limit_kwh,
        limit_minutes=request.limit_minutes,
        limit_soc=request.limit_soc,
        over_limit=context.guard.over_limit,
        tariff_version_id=version_id,
        state=OrderState.CREATED,
        state_since=now,
        created_at=now,
        start_by=start_by,
        version=0,
        stop_tries=0,
        idle_seen=0,
        stop_told=False,
    )
