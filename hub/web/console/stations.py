"""Console: stations, piles, connectors, refused logins."""

from __future__ import annotations

from flask import Response

from hub.reading import stations
from hub.reading.paging import Window
from hub.web.context import answer, caller, hub, operation, reading


@operation
def list_stations(limit: int, after: str | None = None) -> Response:
    """`GET /stations`."""
    with reading() as session:
        return answer(stations.list_stations(session, Window(limit, after)))


@operation
def get_station(station: str) -> Response:
    """`GET /stations/{station}`."""
    with reading() as session:
        return answer(stations.station_view(session, station, hub().clock.now()))


@operation
def list_piles(limit: int, after: str | None = None, online: bool | None = None) -> Response:
    """`GET /piles`."""
    with reading() as session:
        return answer(stations.list_piles(session, Window(limit, after), online))


@operation
def get_pile(pile: str) -> Response:
    """`GET /piles/{pile}`."""
    with reading() as session:
        return answer(stations.pile_view(session, pile))


@operation
def list_refused_logins(limit: int) -> Response:
    """`GET /refused-logins`."""
    with reading() as session:
        items = stations.list_refused_logins(session, limit, caller().tenant_id)
    return answer({"items": items, "next": None})


@operation
def list_connectors(limit: int, after: str | None = None, state: str | None = None) -> Response:
    """`GET /connectors`."""
    with reading() as session:
        return answer(stations.list_connectors(session, Window(limit, after), state))


@operation
def get_connector(connector: str) -> Response:
    """`GET /connectors/{connector}`."""
    with reading() as session:
        return answer(stations.connector_view(session, connector))
