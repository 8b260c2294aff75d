"""Own app: starting, watching and stopping the app's own charges. An order of anybody else is unknown here."""

from __future__ import annotations

from typing import Any

from flask import Response

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import find_by_seq, find_order, request_stop
from hub.reading import orders
from hub.starting import Desk, start_at, start_parallel_at
from hub.web.context import answer, caller, hub, operation, reading, writing
from hub.web.problems import refused


@operation
def start_order(body: dict[str, Any]) -> Response:
    """`POST /orders`."""
    with writing() as session:
        outcome = start_at(session, hub().order_context, _desk(), body)
        if outcome.order is None:
            raise refused(outcome.refusal)
        return answer(orders.order_view(session, outcome.order), 200 if outcome.repeated else 201)


@operation
def start_parallel(body: dict[str, Any]) -> Response:
    """`POST /parallel-orders`."""
    with writing() as session:
        outcome = start_parallel_at(session, hub().order_context, _desk(), body)
        if not outcome.orders:
            raise refused(outcome.refusal, connector=outcome.connector)
        views = [orders.order_view(session, order) for order in outcome.orders]
        return answer({"group": outcome.orders[0].group_id, "orders": views}, 200 if outcome.repeated else 201)


@operation
def get_order(order: str) -> Response:
    """`GET /orders/{order}`."""
    with reading() as session:
        return answer(orders.order_view(session, _own(session, order)))


@operation
def stop_order(order: str) -> Response:
    """`POST /orders/{order}/stop`."""
    with writing() as session:
        outcome = request_stop(session, hub().order_context, _own(session, order).id, Origin.APP)
        if outcome is None or outcome.refusal is not None:
            raise refused(outcome.refusal if outcome else None)
        return answer(orders.order_view(session, outcome.order), 202)


def _desk() -> Desk:
    return Desk(Origin.APP, caller().tenant_id)


def _own(session: HubSession, name: str) -> ChargeOrder:
    desk = _desk()
    order = find_by_seq(session, desk.link_id, name) or find_order(session, name)
    if order is None or order.link_id != desk.link_id:
        raise NotFound(f"order {name}")
    return order
