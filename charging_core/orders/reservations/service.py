"""Reserving a connector, and giving it back. One reservation per connector; nothing is sent to the pile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.orders import metrics
from charging_core.orders.ports import OrderContext
from charging_core.orders.reservations.keeping import Holder, end, hold, kept
from charging_core.orders.reservations.model import Reservation, ReservationState
from charging_core.orders.service import Refusal, open_order
from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.service import find_connector, why_unusable

log = structlog.get_logger()

LONGEST_MINUTES = 120
"""A bay that is kept for longer earns nothing for anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A connector for `minutes` for a payer. A repeat of (`desk`, `request_id`) is the same reservation; `asked_by` is for the audit."""

    connector_code: str
    desk: str
    request_id: str
    minutes: int
    payer: Holder
    asked_by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """The reservation, or why there is none. `repeated` marks a request that had been answered before."""

    reservation: Reservation | None
    refusal: Refusal | None = None
    repeated: bool = False


def reserve(session: HubSession, context: OrderContext, wish: Wish) -> Reserved:
    """Keep the connector from now on. Raises `InvalidInput` for a time that is no time or too long."""
    if not 1 <= wish.minutes <= LONGEST_MINUTES:
        raise InvalidInput("minutes", f"1…{LONGEST_MINUTES}")
    now = context.clock.now()
    connector = find_connector(session, wish.connector_code, lock=True)
    if connector is None:
        return Reserved(None, Refusal.NO_SUCH_CONNECTOR)
    repeat = _repeated(session, connector, wish)
    if repeat is not None:
        return repeat
    refusal = _why_not(session, connector, now)
    if refusal is not None:
        return Reserved(None, refusal)
    made = _row(connector, wish, now)
    try:
        with session.begin_nested():
            hold(session, made, connector, now)
    except IntegrityError:
        # The connector's row is held, so only the same request for another connector can have come between.
        return _repeated(session, connector, wish) or Reserved(None, Refusal.RESERVED)
    return Reserved(made)


def cancel(session: HubSession, context: OrderContext, reservation_id: str, by: str) -> Reservation:
    """Give the connector back. Raises `NotFound`, `Conflict` for one that has ended."""
    reservation, connector = _held(session, reservation_id)
    if reservation is None or connector is None:
        raise NotFound(f"reservation {reservation_id}")
    if reservation.state != ReservationState.HELD:
        raise Conflict(f"reservation {reservation.id} has ended: {reservation.state}")
    end(session, reservation, connector, ReservationState.CANCELLED, context.clock.now(), by)
    return reservation


def find_reservation(session: HubSession, desk: str, name: str) -> Reservation | None:
    """A desk's own reservation, by its id or by the request that made it; those of others are unknown."""
    own = select(Reservation).where(Reservation.desk == desk)
    query = own.where((Reservation.id == name) | (Reservation.request_id == name))
    return session.scalars(query.order_by(Reservation.id.desc()).limit(1)).one_or_none()


def sweep_reservations(db: Database, context: OrderContext) -> int:
    """End every reservation whose time is over; returns how many. Each has its own transaction, and its own failure."""
    now = context.clock.now()
    with db.read_system("reservations") as session:
        over = session.execute(
            select(Reservation.id, Reservation.tenant_id).where(
                Reservation.state == ReservationState.HELD, Reservation.until <= now
            )
        ).all()
    return sum(_guarded(db, reservation_id, tenant_id, now) for reservation_id, tenant_id in over)


def _guarded(db: Database, reservation_id: str, tenant_id: str, now: datetime) -> bool:
    """The edge of the sweep's loop: one that cannot be ended is counted and logged, and must not keep the others waiting."""
    try:
        with db.session(tenant_id) as session:
            reservation, connector = _held(session, reservation_id)
            if reservation is None or connector is None or reservation.state != ReservationState.HELD:
                return False
            end(session, reservation, connector, ReservationState.EXPIRED, now)
            return True
    except Exception:
        metrics.TIMER_ERRORS.inc()
        log.exception("reservation.not_ended", reservation_id=reservation_id)
        return False


def _repeated(session: HubSession, connector: Connector, wish: Wish) -> Reserved | None:
    """The answer to a request that was made before; none for a new one."""
    query = select(Reservation).where(Reservation.desk == wish.desk, Reservation.request_id == wish.request_id)
    earlier = session.scalars(query).one_or_none()
    if earlier is None:
        return None
    same = earlier.connector_id == connector.id
    return Reserved(earlier if same else None, None if same else Refusal.CONFLICTING_REPEAT, repeated=True)


def _why_not(session: HubSession, connector: Connector, now: datetime) -> Refusal | None:
    if kept(session, connector, now) is not None:
        return Refusal.RESERVED
    unusable = why_unusable(connector)
    if unusable is not None:
        return Refusal(unusable)
    taken = connector.state == ConnectorState.FINISHED or open_order(session, connector.id) is not None
    return Refusal.BUSY if taken else None


def _held(session: HubSession, reservation_id: str) -> tuple[Reservation | None, Connector | None]:
    """The connector's row first, as everywhere; the reservation as committed last."""
    code = session.scalars(
        select(Connector.code)
        .join(Reservation, Reservation.connector_id == Connector.id)
        .where(Reservation.id == reservation_id)
    ).one_or_none()
    connector = find_connector(session, code, lock=True) if code is not None else None
    query = select(Reservation).where(Reservation.id == reservation_id).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none(), connector


def _row(connector: Connector, wish: Wish, now: datetime) -> Reservation:
    return Reservation(
        id=new_id(),
        tenant_id=connector.tenant_id,
        connector_id=connector.id,
        connector=connector,
        desk=wish.desk,
        request_id=wish.request_id,
        plate=wish.payer.plate,
        phone=wish.payer.phone,
        member_id=wish.payer.member_id,
        until=now + timedelta(minutes=wish.minutes),
        state=ReservationState.HELD,
        asked_by=wish.asked_by,
        reason=wish.reason,
        created_at=now,
        changed_at=now,
    )
