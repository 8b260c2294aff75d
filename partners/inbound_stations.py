"""Public information that partners pull: stations with their equipment, and live status (T/CEC 102.2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select

from charging_core.clock import CHINA
from charging_core.db import HubSession
from charging_core.stations.model import Station
from partners.asking import Asked
from partners.authorised import authorised_stations, connector_scope, station_scope, with_equipment
from partners.documents import station_documents, surroundings
from partners.profiles.scope import Scope
from partners.tcec102.errors import RET_BUSINESS, BusinessError

DEFAULT_PAGE_SIZE = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CACHED_STATIONS = 5_000
"""Rendered stations kept: 5 kB for each pile or so."""

Body = dict[str, Any]


class StationBodies:
    """Rendered `StationInfo` bodies; a station is rendered again only when it, its link, operator or tariff has changed."""

    def __init__(self, size: int = CACHED_STATIONS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Body] = OrderedDict()

    def of(self, asked: Asked, session: HubSession, stations: Sequence[Station]) -> list[Body]:
        """The bodies of these stations for this link, in their order."""
        around = surroundings(session, stations, asked.context.clock.now())
        keys = {station.id: (asked.link.id, asked.link.version, around.stamp(station)) for station in stations}
        found = self._find(keys)
        missing = [station for station in stations if station.id not in found]
        for station, document in zip(missing, station_documents(session, missing, around), strict=True):
            found[station.id] = asked.answer("StationInfo", document)
        self._keep({keys[station.id]: found[station.id] for station in missing})
        return [found[station.id] for station in stations]

    def _find(self, keys: Mapping[str, Hashable]) -> dict[str, Body]:
        with self._lock:
            found = {name: self._kept[key] for name, key in keys.items() if key in self._kept}
            for name in found:
                self._kept.move_to_end(keys[name])
        return found

    def _keep(self, made: Mapping[Hashable, Body]) -> None:
        with self._lock:
            self._kept.update(made)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def query_stations_info(asked: Asked, bodies: StationBodies) -> dict[str, Any]:
    """11.1: authorised stations, paged; with LastQueryTime only those changed since, or all when the link itself has."""
    number = max(1, asked.body.get("PageNo") or 1)
    size = min(max(1, asked.body.get("PageSize") or DEFAULT_PAGE_SIZE), asked.link.profile.spec.served.page_size_max)
    wanted = authorised_stations(asked.link)
    since = _changed_since(asked)
    if since is not None and since > asked.link.changed_at:
        wanted = wanted.where(Station.changed_at >= since)
    with asked.reading() as session:
        items = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
        skipped = (number - 1) * size
        page = wanted.order_by(Station.code, Station.id).offset(skipped).limit(size)
        # A page beyond the end is not looked up: its offset may be larger than a database can count.
        found = bodies.of(asked, session, session.scalars(page).all()) if skipped < items else []
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


def _named(asked: Asked, session: HubSession, wire_ids: list[str]) -> Sequence[Station]:
    query = authorised_stations(asked.link)
    if asked.link.profile.native_id("station_id"):
        query = query.where(Station.code.in_(wire_ids))
    else:
        wanted = [station.id for station in session.scalars(query) if _wire_id(asked, station) in wire_ids]
        query = select(Station).where(Station.id.in_(wanted))
    return session.scalars(with_equipment(query).order_by(Station.code)).all()


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


def _changed_since(asked: Asked) -> datetime | None:
    """LastQueryTime; None = everything, also when it lies before anything of ours."""
    text = asked.body.get("LastQueryTime")
    if not text:
        return None
    try:
        since = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise BusinessError(RET_BUSINESS, "LastQueryTime", "时间格式错误 not yyyy-MM-dd HH:mm:ss") from error
    return since if since > EPOCH else None
