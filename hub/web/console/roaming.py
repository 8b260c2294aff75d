"""Console: other operators' stations, and our drivers' charges there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Response

from hub.partner_links import roaming_link
from hub.reading import roaming
from hub.reading.paging import Window
from hub.web.context import answer, caller, hub, operation, reading
from partners.roaming.orders import RoamingStart


@operation
def list_stations(limit: int, after: str | None = None, link: str | None = None) -> Response:
    """`GET /roaming/stations`."""
    with reading() as session:
        return answer(roaming.list_roaming_stations(session, Window(limit, after), link))


@operation
def sync_link(link: str) -> Response:
    """`POST /roaming/links/{link}/sync`."""
    opened = roaming_link(hub(), caller().tenant_id, link)
    result = hub().partners.mirror.sync(opened)
    told = hub().partners.mirror.sync_status(opened)
    return answer({"stations": result.stations, "gone": result.gone, "connectors": told})


@operation
def check_connector(link: str, connector: str) -> Response:
    """`POST /roaming/links/{link}/connectors/{connector}/check`."""
    opened = roaming_link(hub(), caller().tenant_id, link)
    fail_reason = hub().partners.roaming.authorise(opened, connector)
    periods = hub().partners.roaming.policy(opened, connector)
    return answer({"ready": fail_reason == 0, "fail_reason": fail_reason, "periods": periods})


@operation
def station_stats(link: str, station: str, first: str, last: str) -> Response:
    """`GET /roaming/links/{link}/stations/{station}/stats`."""
    opened = roaming_link(hub(), caller().tenant_id, link)
    return answer(hub().partners.mirror.stats(opened, station, first, last))


@operation
def list_orders(limit: int, after: str | None = None, link: str | None = None, state: str | None = None) -> Response:
    """`GET /roaming/orders`."""
    with reading() as session:
        return answer(roaming.list_roaming_orders(session, Window(limit, after), link, state))


@operation
def get_order(order: str) -> Response:
    """`GET /roaming/orders/{order}`."""
    with reading() as session:
        return answer(roaming.roaming_order_view(session, order))


@operation
def start_order(body: dict[str, Any]) -> Response:
    """`POST /roaming/orders`."""
    link = roaming_link(hub(), caller().tenant_id, body["link"])
    limit = body.get("limit_yuan")
    wish = RoamingStart(
        connector_id=body["connector"],
        request_id=body["request_id"],
        phone=body.get("phone"),
        plate=body.get("plate"),
        limit_yuan=None if limit is None else Decimal(limit),
    )
    made = hub().partners.roaming.start(link, wish)
    with reading() as session:
        return answer(roaming.roaming_order_view(session, made.id), 201)


@operation
def stop_order(order: str) -> Response:
    """`POST /roaming/orders/{order}/stop`."""
    stopped = hub().partners.roaming.stop(caller().tenant_id, order)
    with reading() as session:
        return answer(roaming.roaming_order_view(session, stopped.id), 202)
