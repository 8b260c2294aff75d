"""Console: why an order costs what it costs, the review queue, and what the staff may do to an order by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Response

from charging_core.db import HubSession
from charging_core.orders.bills import staff
from charging_core.orders.model import ChargeOrder
from charging_core.tariffs.periods import RateClass
from hub.reading import review
from hub.reading.orders import require_order
from hub.reading.paging import Window
from hub.web.context import acting, answer, hub, operation, reading, writing


@operation
def explain_order(order: str) -> Response:
    """`GET /orders/{order}/explain`."""
    with reading() as session:
        return answer(review.explained(session, order))


@operation
def list_review(limit: int, after: str | None = None) -> Response:
    """`GET /order-review`."""
    with reading() as session:
        return answer(review.list_review(session, Window(limit, after)))


@operation
def get_review(order: str) -> Response:
    """`GET /order-review/{order}`."""
    with reading() as session:
        return answer(review.review_view(session, order))


@operation
def accept_review(order: str, body: dict[str, Any]) -> Response:
    """`POST /order-review/{order}/accept`."""
    with writing() as session:
        return _done(
            session, staff.accept_review(session, hub().order_context, _id(session, order), _staff(session, body))
        )


@operation
def end_order(order: str, body: dict[str, Any]) -> Response:
    """`POST /orders/{order}/end`."""
    with writing() as session:
        return _done(session, staff.end_order(session, hub().order_context, _id(session, order), _staff(session, body)))


@operation
def close_order(order: str, body: dict[str, Any]) -> Response:
    """`POST /orders/{order}/close`."""
    by_samples = bool(body.get("by_samples", False))
    with writing() as session:
        found = _id(session, order)
        return _done(
            session,
            staff.close_order(session, hub().order_context, found, _staff(session, body), by_samples=by_samples),
        )


@operation
def resettle_order(order: str, body: dict[str, Any]) -> Response:
    """`POST /orders/{order}/resettle`."""
    energies = body.get("energies")
    counted = None if energies is None else {RateClass(name): Decimal(kwh) for name, kwh in energies.items()}
    correction = staff.Correction(body.get("version"), counted)
    with writing() as session:
        found = _id(session, order)
        return _done(
            session, staff.resettle_order(session, hub().order_context, found, _staff(session, body), correction)
        )


@operation
def refund_order(order: str, body: dict[str, Any]) -> Response:
    """`POST /orders/{order}/refund`."""
    amount = Decimal(body["amount"])
    with writing() as session:
        found = _id(session, order)
        return _done(session, staff.refund_order(session, hub().order_context, found, _staff(session, body), amount))


def _staff(session: HubSession, body: dict[str, Any]) -> staff.Staff:
    return staff.Staff(acting(session), body["reason"])


def _id(session: HubSession, name: str) -> str:
    return require_order(session, name).id


def _done(session: HubSession, order: ChargeOrder) -> Response:
    return answer(review.staff_view(session, order))
