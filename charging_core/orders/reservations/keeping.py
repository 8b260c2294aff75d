"""What a reservation does to its connector: kept for its payer, freed by his start, by his change of mind, or by its end.

The connector's row is held by whoever calls, and says by `reserved_until` that there is one: its live status shows it as long as
nobody charges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.orders.reservations.model import Reservation, ReservationState
from charging_core.stations.model import Connector
from charging_core.stations.status import show_reservation


@dataclass(frozen=True, slots=True)
class Holder:
    """By what somebody may be known as the payer of a reservation; one of them is enough."""

    reservation_id: str | None = None
    plate: str | None = None
    phone: str | None = None
    member_id: str | None = None


def kept(session: HubSession, connector: Connector, now: datetime) -> Reservation | None:
    """The reservation that holds `connector` at `now`; one whose time is over is ended here, if the sweep has not been by yet."""
    if connector.reserved_until is None:
        return None
    query = select(Reservation).where(
        Reservation.connector_id == connector.id, Reservation.state == ReservationState.HELD
    )
    found = session.scalars(query).one_or_none()
    if found is not None and found.until <= now:
        end(session, found, connector, ReservationState.EXPIRED, now)
        return None
    return found


def is_for(reservation: Reservation, who: Holder) -> bool:
    """Whether `who` is its payer."""
    pairs = (
        (reservation.id, who.reservation_id),
        (reservation.plate, who.plate),
        (reservation.phone, who.phone),
        (reservation.member_id, who.member_id),
    )
    return any(own is not None and own == shown for own, shown in pairs)


def hold(session: HubSession, reservation: Reservation, connector: Connector, now: datetime) -> None:
    """Keep the connector from `now` on."""
    session.add(reservation)
    session.flush()
    connector.reserved_until = reservation.until
    show_reservation(session, connector, now)


def end(
    session: HubSession,
    reservation: Reservation,
    connector: Connector,
    state: ReservationState,
    now: datetime,
    by: str | None = None,
) -> None:
    """It holds no longer, and the connector shows what it is without it."""
    reservation.state, reservation.changed_at, reservation.ended_by = state, now, by
    connector.reserved_until = None
    show_reservation(session, connector, now)


def use(session: HubSession, reservation: Reservation, connector: Connector, order_id: str, now: datetime) -> None:
    """Its payer has started."""
    reservation.order_id = order_id
    end(session, reservation, connector, ReservationState.USED, now)
