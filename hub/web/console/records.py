"""Console: trade records, attaching a parked one to its order or putting it away by hand; alarms."""

from __future__ import annotations

from typing import Any

from flask import Response

from charging_core.orders.bills.staff import Staff
from charging_core.piles.store.parked import attach_record as attach
from charging_core.piles.store.parked import dismiss_record as dismiss
from hub.reading import records
from hub.reading.orders import require_order
from hub.reading.paging import Page, Window
from hub.reading.values import masked
from hub.web.context import acting, answer, hub, operation, reading, writing


@operation
def list_records(limit: int, after: str | None = None, state: str | None = None) -> Response:
    """`GET /trade-records`."""
    with reading() as session:
        found = records.list_records(session, Window(limit, after), state)
        return answer(Page([masked(line) for line in found.items], found.next))


@operation
def get_record(record: str) -> Response:
    """`GET /trade-records/{record}`."""
    with reading() as session:
        return answer(masked(records.record_view(session, record)))


@operation
def attach_record(record: str, body: dict[str, Any]) -> Response:
    """`POST /trade-records/{record}/attach`."""
    with writing() as session:
        order = require_order(session, body["order"])
        by = Staff(acting(session), body["reason"])
        row = attach(session, hub().order_context, record, order.id, by)
        return answer(masked(records.record_line(row)))


@operation
def dismiss_record(record: str, body: dict[str, Any]) -> Response:
    """`POST /trade-records/{record}/dismiss`."""
    with writing() as session:
        by = Staff(acting(session), body["reason"])
        return answer(masked(records.record_line(dismiss(session, hub().order_context, record, by))))


@operation
def list_alarms(limit: int, after: str | None = None, cleared: bool = False) -> Response:
    """`GET /alarms`."""
    with reading() as session:
        return answer(records.list_alarms(session, Window(limit, after), all_of_them=cleared))
