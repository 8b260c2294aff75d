"""The review queue: orders whose bill and pile do not agree, or that were given up; both calculations side by side."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders.bills.explain import actions_of, explain
from charging_core.orders.bills.keep import last_bill
from charging_core.orders.model import ChargeOrder
from hub.reading.orders import require_order
from hub.reading.paging import Page, Window, read_page

_LINE = (
    "id", "state", "origin", "start_charge_seq", "trade_number", "started_at", "ended_at", "settled_at", "energy_kwh",
    "total_fee", "pile_amount", "review",
)  # fmt: skip


def list_review(session: HubSession, window: Window) -> Page:
    """Orders under review, newest first, with our sum and the pile's."""
    query = select(ChargeOrder).where(ChargeOrder.review.is_not(None)).options(joinedload(ChargeOrder.connector))
    return read_page(session, query, ChargeOrder.id, window, _line, newest_first=True)


def review_view(session: HubSession, name: str) -> dict[str, Any]:
    """One order under review: why, our calculation and the pile's beside each other. Raises `NotFound` when it is not under review."""
    order = require_order(session, name)
    if order.review is None:
        raise NotFound(f"review of order {order.id}")
    explained = explain(session, order) if last_bill(session, order.id) else None
    return _line(order) | {"bill": explained}


def explained(session: HubSession, name: str) -> dict[str, Any]:
    """The bill of an order, line by line. Raises `NotFound` for an unknown order and for one without a bill."""
    return explain(session, require_order(session, name))


def staff_view(session: HubSession, order: ChargeOrder) -> dict[str, Any]:
    """An order after the staff did something to it, with all that was done."""
    names = ("at", "action", "by", "reason", "before", "after")
    done = [{name: getattr(action, name) for name in names} for action in actions_of(session, order.id)]
    return _line(order) | {"actions": done}


def _line(order: ChargeOrder) -> dict[str, Any]:
    difference = None
    if order.total_fee is not None and order.pile_amount is not None:
        difference = order.total_fee - order.pile_amount
    line = {name: getattr(order, name) for name in _LINE}
    return line | {"connector": order.connector.code, "difference": difference}
