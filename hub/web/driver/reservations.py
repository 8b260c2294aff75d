"""Own app: keeping a connector for one of its users. A reservation of anybody else is unknown here."""

from __future__ import annotations

from typing import Any

from flask import Response

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders.model import Origin
from charging_core.orders.reservations.model import Reservation
from charging_core.orders.reservations.service import cancel, find_reservation
from hub.reading.reservations import reservation_view
from hub.reserving import reserve_at
from hub.starting import Desk
from hub.web.context import acting, answer, caller, hub, operation, reading, writing
from hub.web.problems import refused


@operation
def reserve(body: dict[str, Any]) -> Response:
    """`POST /reservations`."""
    with writing() as session:
        made = reserve_at(session, hub().order_context, _desk(), body, acting(session))
        if made.reservation is None:
            raise refused(made.refusal)
        return answer(reservation_view(made.reservation), 200 if made.repeated else 201)


@operation
def get_reservation(reservation: str) -> Response:
    """`GET /reservations/{reservation}`."""
    with reading() as session:
        return answer(reservation_view(_own(session, reservation)))


@operation
def cancel_reservation(reservation: str) -> Response:
    """`POST /reservations/{reservation}/cancel`."""
    with writing() as session:
        found = _own(session, reservation)
        return answer(reservation_view(cancel(session, hub().order_context, found.id, acting(session))))


def _desk() -> Desk:
    return Desk(Origin.APP, caller().tenant_id)


def _own(session: HubSession, name: str) -> Reservation:
    found = find_reservation(session, _desk().link_id, name)
    if found is None:
        raise NotFound(f"reservation {name}")
    return found
