"""Console: orders, their bill, their trace; starting and stopping."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response

from charging_core.orders.model import Origin
from charging_core.orders.service import request_stop
from hub.reading import orders
from hub.reading.paging import Window
from hub.reading.times import instant
from hub.reading.values import masked
from hub.starting import Desk, start_at, start_parallel_at
from hub.web.context import answer, caller, hub, operation, reading, writing
from hub.web.problems import refused


@operation
def list_orders(limit: int, after: str | None = None, **narrow: Any) -> Response:
    """`GET /orders`."""
    wanted = orders.OrderFilter(
        narrow.get("state"),
        narrow.get("station"),
        narrow.get("connector"),
        _instant("created_from", narrow.get("created_from")),
        _instant("created_to", narrow.get("created_to")),
    )
    with reading() as session:
        return answer(orders.list_orders(session, Window(limit, after), wanted))


@operation
def get_order(order: str) -> Response:
    """`GET /orders/{order}`."""
    with reading() as session:
        return answer(masked(orders.order_view(session, orders.require_order(session, order))))


@operation
def trace_order(order: str) -> Response:
    """`GET /orders/{order}/trace`."""
    with reading() as session:
        found = orders.require_order(session, order)
        return answer(masked(orders.order_trace(session, found, hub().parking_of(session, found.id))))


@operation
def start_order(body: dict[str, Any]) -> Response:
    """`POST /orders`."""
    with writing() as session:
        outcome = start_at(session, hub().order_context, Desk(Origin.CONSOLE, caller().tenant_id), body)
        if outcome.order is None:
            raise refused(outcome.refusal)
        return answer(masked(orders.order_view(session, outcome.order)), 200 if outcome.repeated else 201)


@operation
def start_parallel(body: dict[str, Any]) -> Response:
    """`POST /parallel-orders`."""
    with writing() as session:
        outcome = start_parallel_at(session, hub().order_context, Desk(Origin.CONSOLE, caller().tenant_id), body)
        if not outcome.orders:
            raise refused(outcome.refusal, connector=outcome.connector)
        views = [masked(orders.order_view(session, order)) for order in outcome.orders]
        return answer({"group": outcome.orders[0].group_id, "orders": views}, 200 if outcome.repeated else 201)


@operation
def stop_order(order: str) -> Response:
    """`POST /orders/{order}/stop`."""
    with writing() as session:
        found = orders.require_order(session, order)
        outcome = request_stop(session, hub().order_context, found.id, Origin.CONSOLE)
        if outcome is None or outcome.refusal is not None:
            raise refused(outcome.refusal if outcome else None)
        return answer(masked(orders.order_view(session, outcome.order)), 202)


def _instant(name: str, text: str | None) -> datetime | None:
    return None if text is None else instant(name, text)
