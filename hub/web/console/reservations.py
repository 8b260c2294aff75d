"""Console: connectors kept for somebody."""

from __future__ import annotations

from typing import Any

from flask import Response

from charging_core.orders.model import Origin
from charging_core.orders.reservations.service import cancel
from hub.reading import reservations
from hub.reading.paging import Page, Window
from hub.reading.reservations import reservation_view
from hub.reading.values import masked
from hub.reserving import reserve_at
from hub.starting import Desk
from hub.web.context import acting, answer, caller, hub, operation, reading, writing
from hub.web.problems import refused


@operation
def list_reservations(limit: int, after: str | None = None, state: str | None = None) -> Response:
    """`GET /reservations`."""
    with reading() as session:
        found = reservations.list_reservations(session, Window(limit, after), state)
        return answer(Page([masked(line) for line in found.items], found.next))


@operation
def reserve(body: dict[str, Any]) -> Response:
    """`POST /reservations`."""
    with writing() as session:
        desk = Desk(Origin.CONSOLE, caller().tenant_id)
        made = reserve_at(session, hub().order_context, desk, body, acting(session))
        if made.reservation is None:
            raise refused(made.refusal)
        return answer(masked(reservation_view(made.reservation)), 200 if made.repeated else 201)


@operation
def cancel_reservation(reservation: str) -> Response:
    """`POST /reservations/{reservation}/cancel`."""
    with writing() as session:
        ended = cancel(session, hub().order_context, reservation, acting(session))
        return answer(masked(reservation_view(ended)))
