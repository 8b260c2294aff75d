"""Public information that partners pull: stations with their equipment, and live status (T/CEC 102.2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from charging_core.clock import CHINA
from charging_core.db import HubSession
from charging_core.stations.model import Station
from charging_core.stations.snapshot import station_snapshot
from partners.asking import Asked
from partners.authorised import authorised_stations, connector_scope, station_scope, with_equipment
from partners.profiles.scope import Scope
from partners.tcec102.errors import RET_BUSINESS, BusinessError

DEFAULT_PAGE_SIZE = 10
CACHED_STATIONS = 5_000
"""Rendered stations kept: about 5 kB each."""


class StationBodies:
    """Rendered `StationInfo` bodies by (link version, station version); a station is rendered again only when it changed."""

    def __init__(self, size: int = CACHED_STATIONS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str, int], dict[str, Any]] = OrderedDict()

    def body(self, asked: Asked, session: HubSession, station: Station) -> dict[str, Any]:
        """The body of one station for this link."""
        key = (asked.link.id, asked.link.version, station.id, station.version)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        made = asked.answer("StationInfo", station_snapshot(session, station, asked.context.clock.now()))
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return made


def query_stations_info(asked: Asked, bodies: StationBodies) -> dict[str, Any]:
    """11.1: authorised stations, paged; with LastQueryTime only those changed since."""
    number = max(1, asked.body.get("PageNo") or 1)
    size = min(max(1, asked.body.get("PageSize") or DEFAULT_PAGE_SIZE), asked.link.profile.spec.served.page_size_max)
    wanted = authorised_stations(asked.link)
    since = asked.body.get("LastQueryTime")
    if since:
        wanted = wanted.where(Station.changed_at >= _china_time(since))
    with asked.reading() as session:
        items = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
        page = wanted.order_by(Station.code, Station.id).offset((number - 1) * size).limit(size)
        found = [bodies.body(asked, session, station) for station in session.scalars(page)]
    pages = -(-items // size)
    return asked.answer(
        "query_stations_info", {"page": {"number": number, "count": pages, "items": items, "stations": found}}
    )


def query_station_status(asked: Asked) -> dict[str, Any]:
    """11.3: live status of at most 50 stations; unknown and unauthorised ids are left out."""
    wanted: list[str] = asked.body["StationIDs"]
    most = asked.link.profile.spec.served.station_ids_max
    if len(wanted) > most:
        raise BusinessError(RET_BUSINESS, "StationIDs", f"最多 {most} 个充电站 at most {most} stations")
    with asked.reading() as session:
        stations = [_status(station) for station in _named(asked, session, wanted)]
    return asked.answer("query_station_status", {"stations": stations})


def _named(asked: Asked, session: HubSession, wire_ids: list[str]) -> list[Station]:
    query = with_equipment(authorised_stations(asked.link)).order_by(Station.code)
    if asked.link.profile.native_id("station_id"):
        return list(session.scalars(query.where(Station.code.in_(wire_ids))))
    return [station for station in session.scalars(query) if _wire_id(asked, station) in wire_ids]


def _wire_id(asked: Asked, station: Station) -> Any:
    return asked.link.profile.derive("station_id", station_scope(station))


def _status(station: Station) -> Scope:
    connectors = [
        connector_scope(station, pile, connector)
        for pile in station.piles
        if pile.enabled
        for connector in pile.connectors
        if connector.enabled
    ]
    return {**station_scope(station), "connectors": connectors}


def _china_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise BusinessError(RET_BUSINESS, "LastQueryTime", "时间格式错误 not yyyy-MM-dd HH:mm:ss") from error
