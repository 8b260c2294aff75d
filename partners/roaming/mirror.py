"""The mirror of another operator's stations: read page by page, kept by key, marked gone when a full listing no longer has them (11.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.clock import Clock, china_text
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from partners.calling import Clients
from partners.links import Link
from partners.model import PartnerLink
from partners.roaming.asking import ask
from partners.roaming.facts import code_of
from partners.roaming.model import RoamingConnector, RoamingStation, RoamingSync

log = structlog.get_logger()

PAGE_SIZE = 50
"""Servers cap between 50 and 200 (9.4)."""
MOST_PAGES = 2_000
"""100 000 stations: every one in the country. A server that keeps announcing further pages must not keep us for ever."""
STATION_IDS = 50
"""Most ids in one query_station_status (11.3)."""
OVERLAP = timedelta(minutes=5)
"""LastQueryTime lies this much before the last look: their clock and their transactions are not ours."""

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one look at the other side's stations brought."""

    stations: int
    gone: int
    full: bool


class Mirror:
    """Reads stations and their status of links on which our drivers charge. Calls the other side; never inside a transaction."""

    def __init__(self, db: Database, clock: Clock, clients: Clients) -> None:
        self._db = db
        self._clock = clock
        self._clients = clients

    def sync(self, link: Link, *, full: bool = True) -> SyncResult:
        """Read all stations, or those changed since the last look. Raises `RoamingFailed`."""
        begun = self._clock.now()
        since = None if full else self._last_look(link)
        seen: set[tuple[str, str]] = set()
        for page in self._pages(link, since):
            with self._db.session(link.tenant_id) as session:
                hold(session, link)
                seen |= {take_station(session, link, info, begun) for info in page}
        with self._db.session(link.tenant_id) as session:
            hold(session, link)
            gone = 0 if since else _mark_gone(session, link, seen, begun)
            _remember(session, link, begun, full=since is None)
        log.info("roaming_stations_read", link=link.slug, stations=len(seen), gone=gone, full=since is None)
        return SyncResult(len(seen), gone, since is None)

    def sync_status(self, link: Link) -> int:
        """Read the live status of every station that is still there, 50 at a time; returns how many connectors were told."""
        with self._db.read(link.tenant_id) as session:
            query = select(RoamingStation.station_id).where(
                RoamingStation.link_id == link.id, RoamingStation.gone_at.is_(None)
            )
            ids = sorted(set(session.scalars(query)))
        told = 0
        for start in range(0, len(ids), STATION_IDS):
            body = {"StationIDs": ids[start : start + STATION_IDS]}
            answer = ask(self._clients, link, "query_station_status", body)
            statuses = [one for station in answer["StationStatusInfos"] for one in station["ConnectorStatusInfos"]]
            now = self._clock.now()
            with self._db.session(link.tenant_id) as session:
                told += sum(take_status(session, link.id, status, now) for status in statuses)
        return told

    def stats(self, link: Link, station_id: str, first: str, last: str) -> dict[str, Any]:
        """11.4: energy of one of their stations, days as `yyyy-MM-dd`. Raises `RoamingFailed`."""
        body = {"StationID": station_id, "StartTime": first, "EndTime": last}
        stats: dict[str, Any] = ask(self._clients, link, "query_station_stats", body)["StationStats"]
        return stats

    def _last_look(self, link: Link) -> datetime | None:
        with self._db.read(link.tenant_id) as session:
            kept = session.get(RoamingSync, link.id)
            last = None if kept is None else max(filter(None, (kept.full_at, kept.partial_at)), default=None)
        return None if last is None else last - OVERLAP

    def _pages(self, link: Link, since: datetime | None) -> Iterator[Sequence[Info]]:
        """Pages 1 to PageCount; ends also on an empty page."""
        for number in range(1, MOST_PAGES + 1):
            body = {"LastQueryTime": china_text(since) if since else "", "PageNo": number, "PageSize": PAGE_SIZE}
            answer = ask(self._clients, link, "query_stations_info", body)
            page: Sequence[Info] = answer["StationInfos"]
            if page:
                yield page
            if not page or number >= answer["PageCount"]:
                return
        log.warning("roaming_pages_capped", link=link.slug, pages=MOST_PAGES)


def hold(session: HubSession, link: Link) -> None:
    """Keep a link's mirror for this transaction: the scheduler, the staff and the other side's pushes may bring a new station at once."""
    session.scalars(select(PartnerLink.id).where(PartnerLink.id == link.id).with_for_update(key_share=True)).one()


def take_station(session: HubSession, link: Link, info: Info, now: datetime) -> tuple[str, str]:
    """Keep one StationInfo with its connectors, in a transaction that holds the mirror; returns its key. Connectors that it no longer
    lists are gone."""
    key = (str(info["OperatorID"])[:32], str(info["StationID"])[:64])
    query = select(RoamingStation).where(
        RoamingStation.link_id == link.id, RoamingStation.operator_id == key[0], RoamingStation.station_id == key[1]
    )
    row = session.scalars(query.with_for_update()).one_or_none()
    kept = dict(info)
    if row is None:
        row = RoamingStation(
            id=new_id(), tenant_id=link.tenant_id, link_id=link.id, operator_id=key[0], station_id=key[1],
            name=str(info["StationName"])[:200], info=kept, seen_at=now, changed_at=now,
        )  # fmt: skip
        session.add(row)
        session.flush()
    elif row.info != kept or row.gone_at is not None:
        row.name, row.info, row.changed_at = str(info["StationName"])[:200], kept, now
    row.seen_at, row.gone_at = now, None
    _take_connectors(session, link, row, now)
    return key


def _take_connectors(session: HubSession, link: Link, station: RoamingStation, now: datetime) -> None:
    told = {
        str(connector["ConnectorID"])[:64]: (str(equipment["EquipmentID"])[:64], connector)
        for equipment in station.info["EquipmentInfos"]
        for connector in equipment["ConnectorInfos"]
    }
    here = RoamingConnector.station_row_id == station.id
    query = select(RoamingConnector).where(
        RoamingConnector.link_id == link.id, here | RoamingConnector.connector_id.in_(sorted(told))
    )
    rows = {row.connector_id: row for row in session.scalars(query)}
    for name, (equipment_id, info) in told.items():
        row = rows.pop(name, None)
        if row is None:
            members = {"id": new_id(), "tenant_id": link.tenant_id, "link_id": link.id, "connector_id": name}
            row = RoamingConnector(**members)
            session.add(row)
        row.station_row_id, row.equipment_id, row.info, row.gone_at = station.id, equipment_id, info, None
    for row in rows.values():
        row.gone_at = row.gone_at or now


def take_status(session: HubSession, link_id: str, status: Info, now: datetime) -> bool:
    """Keep the status of one connector as it came, unknown codes included; false when we do not know it."""
    query = select(RoamingConnector).where(
        RoamingConnector.link_id == link_id, RoamingConnector.connector_id == status["ConnectorID"]
    )
    row = session.scalars(query.with_for_update()).one_or_none()
    if row is None:
        return False
    row.status, row.status_at = code_of(status["Status"]), now
    row.park_status = code_of(status.get("ParkStatus", row.park_status))
    row.lock_status = code_of(status.get("LockStatus", row.lock_status))
    return True


def take_fees(session: HubSession, link_id: str, fees: Info, now: datetime) -> bool:
    """Keep the prices of one station as they came (11.15); false when we do not know it."""
    query = select(RoamingStation).where(
        RoamingStation.link_id == link_id,
        RoamingStation.operator_id == fees["OperatorID"],
        RoamingStation.station_id == fees["StationID"],
    )
    row = session.scalars(query.with_for_update()).one_or_none()
    if row is None:
        return False
    row.fees, row.changed_at = dict(fees), now
    return True


def find_connector(session: HubSession, link_id: str, connector_id: str) -> RoamingConnector | None:
    """A connector of the mirror that is still there."""
    query = select(RoamingConnector).where(
        RoamingConnector.link_id == link_id,
        RoamingConnector.connector_id == connector_id,
        RoamingConnector.gone_at.is_(None),
    )
    return session.scalars(query).one_or_none()


def _mark_gone(session: HubSession, link: Link, seen: Iterable[tuple[str, str]], now: datetime) -> int:
    """Deletions are not signalled: what a full listing does not have is gone."""
    there, kept = set(seen), select(RoamingStation).where(RoamingStation.link_id == link.id)
    gone = [
        row
        for row in session.scalars(kept.where(RoamingStation.gone_at.is_(None)))
        if (row.operator_id, row.station_id) not in there
    ]
    for row in gone:
        row.gone_at = now
        for connector in session.scalars(select(RoamingConnector).where(RoamingConnector.station_row_id == row.id)):
            connector.gone_at = connector.gone_at or now
    return len(gone)


def _remember(session: HubSession, link: Link, begun: datetime, *, full: bool) -> None:
    kept = session.get(RoamingSync, link.id)
    if kept is None:
        kept = RoamingSync(link_id=link.id, tenant_id=link.tenant_id)
        session.add(kept)
    kept.partial_at = begun
    if full:
        kept.full_at = begun
