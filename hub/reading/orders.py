"""Charge orders: lists, the bill, and the one page that answers "what happened to this order, and who was told?"."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders.model import ChargeOrder, OrderTransition
from charging_core.orders.service import find_order, transitions
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.starts.groups import mates_of
from charging_core.stations.model import Connector
from hub.reading.deliveries import deliveries_about
from hub.reading.paging import Page, Window, read_page
from hub.reading.timeline import timeline
from hub.reading.values import mask

_LINE = (
    "id", "state", "origin", "link_id", "start_charge_seq", "trade_number", "station_id", "created_at", "started_at",
    "ended_at", "settled_at", "energy_kwh", "total_fee", "failure", "review",
)  # fmt: skip
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What narrows a list of orders; none means all."""

    state: str | None = None
    station_id: str | None = None
    connector_code: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


def list_orders(session: HubSession, window: Window, wanted: OrderFilter) -> Page:
    """Orders, newest first."""
    query = select(ChargeOrder).options(joinedload(ChargeOrder.connector))
    if wanted.state is not None:
        query = query.where(ChargeOrder.state == wanted.state)
    if wanted.station_id is not None:
        query = query.where(ChargeOrder.station_id == wanted.station_id)
    if wanted.connector_code is not None:
        query = query.where(ChargeOrder.connector.has(Connector.code == wanted.connector_code))
    if wanted.created_from is not None:
        query = query.where(ChargeOrder.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        query = query.where(ChargeOrder.created_at < wanted.created_to)
    return read_page(session, query, ChargeOrder.id, window, _line, newest_first=True)


def require_order(session: HubSession, name: str) -> ChargeOrder:
    """The order with this id, trade number or start_charge_seq. Raises `NotFound`."""
    order = find_order(session, name)
    if order is None:
        raise NotFound(f"order {name}")
    return order


def order_view(session: HubSession, order: ChargeOrder) -> dict[str, Any]:
    """The order with its bill lines and sums per class of period."""
    snapshot = order_snapshot(session, order)
    return snapshot | {"periods": by_class(snapshot["details"])} | _payer(session, order)


def _payer(session: HubSession, order: ChargeOrder) -> dict[str, Any]:
    """Whose account of ours pays, by which card, and what he set as limits; the other orders of the same parallel charge."""
    mates = [] if order.group_id is None else [mate.id for mate in mates_of(session, order) if mate.id != order.id]
    group = None if order.group_id is None else {"id": order.group_id, "number": order.group_number, "others": mates}
    payer = {"member": order.member.code if order.member else None, "card": order.card, "group": group}
    return payer | {"limits": asdict(order.allowed) | {"over": order.over_limit}}


def by_class(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Energy and money per class of period, each a sum of bill lines, in the order they first appear."""
    sums: dict[str, dict[str, Any]] = {}
    for line in details:
        total = sums.setdefault(line["class"], dict.fromkeys(("energy_kwh", "elec_fee", "service_fee"), _ZERO))
        for name in total:
            total[name] += line[name]
    return [
        {"class": name, **total, "total_fee": total["elec_fee"] + total["service_fee"]} for name, total in sums.items()
    ]


def order_trace(session: HubSession, order: ChargeOrder, stays: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything about an order on one page: bill, state changes, who was told, parking; and all of it as one `timeline`."""
    trace = {
        "order": order_view(session, order),
        "states": [_transition(change) for change in transitions(session, order.id)],
        "deliveries": deliveries_about(session, [order.id]),
        "parking": stays,
    }
    return trace | {"timeline": timeline(session, order, trace)}


def _line(order: ChargeOrder) -> dict[str, Any]:
    line = {name: getattr(order, name) for name in _LINE}
    return line | {"connector": order.connector.code, "plate": mask(order.plate)}


def _transition(change: OrderTransition) -> dict[str, Any]:
    return {"at": change.at, "happened": change.happened, "state": change.state, "detail": change.detail}
