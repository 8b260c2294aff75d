"""Own app: finding a place to charge, and its price."""

from __future__ import annotations

from flask import Response

from charging_core.errors import InvalidInput
from hub.reading import offer
from hub.web.context import answer, hub, operation, reading


@operation
def list_stations(
    limit: int, lng: float | None = None, lat: float | None = None, within_km: float | None = None
) -> Response:
    """`GET /stations`."""
    if (lng is None) != (lat is None):
        raise InvalidInput("lng" if lng is None else "lat", "经纬度要同时给出 / lng and lat come together")
    near = offer.Near(lng, lat, within_km) if lng is not None and lat is not None else None
    with reading() as session:
        return answer({"items": offer.offered_stations(session, near, limit, hub().clock.now())})


@operation
def get_station(station: str) -> Response:
    """`GET /stations/{station}`."""
    with reading() as session:
        return answer(offer.offered_station(session, station, hub().clock.now()))


@operation
def get_connector(connector: str) -> Response:
    """`GET /connectors/{connector}`."""
    with reading() as session:
        return answer(offer.offered_connector(session, connector))


@operation
def scan(text: str) -> Response:
    """`GET /scan`."""
    with reading() as session:
        return answer(offer.offered_connector(session, offer.connector_in_qr(session, text)))


@operation
def quote(connector: str) -> Response:
    """`GET /connectors/{connector}/quote`."""
    with reading() as session:
        return answer(offer.quote(session, connector, hub().clock.now()))
