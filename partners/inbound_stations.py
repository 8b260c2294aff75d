"""Public information that partners pull: stations with their equipment, and live status (T/CEC 102.2)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from charging_core.clock import CHINA
from charging_core.db import HubSession, Mark
from charging_core.stations.model import Connector, Pile, Station
from partners.asking import Asked
from partners.authorised import authorised_stations, connector_scope, station_scope, with_equipment
from partners.documents import StationKey, station_documents, surroundings
from partners.links import Link
from partners.pieces import MOST_KEPT, Piece, Pieces
from partners.profiles.scope import Scope
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSINESS, BusinessError

DEFAULT_PAGE_SIZE = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_QUESTIONS = 500
"""Answers kept as long as nothing is committed: their pieces are kept anyway, a list of them is small."""
MOST_ROWS = 10**9
"""Offsets beyond this are beyond every end."""


class StationBodies(Pieces):
    """`StationInfo` of every link; made again when the station, its operator, its tariff or the link has changed."""

    def __init__(self, contract: Contract, most: int = MOST_KEPT) -> None:
        super().__init__(contract, "StationInfo", most)

    def of(self, asked: Asked, session: HubSession, stations: Sequence[StationKey]) -> list[Piece]:
        """The pieces of these stations, in their order. Those that are still right cost no look at the station."""
        around = surroundings(session, stations, asked.context.clock.now())

        def documents(ids: Sequence[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
            rows = session.scalars(select(Station).where(Station.id.in_(ids))).all()
            return zip([row.id for row in rows], station_documents(session, rows, around), strict=True)

        return self.told(asked, {station.id: around.stamp(station) for station in stations}, documents)


class StationStatuses(Pieces):
    """`StationStatusInfo` of every link; made again when the station, one of its connectors' states or the link has changed."""

    def __init__(self, contract: Contract, most: int = MOST_KEPT) -> None:
        super().__init__(contract, "StationStatusInfo", most)

        self._stamps: dict[str, tuple[int, Select[Any]]] = {}
        self._last: dict[Hashable, tuple[Mark, list[Piece]]] = {}
        """By what was asked: the mark of the database before it was looked at, and what was found."""

    def of(self, asked: Asked, wire_ids: Sequence[str]) -> list[Piece]:
        """The pieces of the stations that the partner calls so, by code; unknown and unauthorised ids are left out.

        Partners ask for the same stations again and again. While nothing at all was committed, the answer is the last one.
        """
        mark, question = asked.db.mark(), (asked.link.id, asked.link.version, *wire_ids)
        known, found = self._last.get(question, (None, []))
        if mark is not None and mark == known:
            return found
        with asked.reading() as session:
            found = self._read(asked, session, wire_ids)
        if mark is not None:
            if len(self._last) >= MOST_QUESTIONS:
                self._last = {}
            self._last[question] = mark, found
        return found

    def _read(self, asked: Asked, session: HubSession, wire_ids: Sequence[str]) -> list[Piece]:
        def documents(ids: Sequence[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
            rows = session.scalars(with_equipment(select(Station).where(Station.id.in_(ids))))
            return [(row.id, _status(row)) for row in rows]

        return self.told(asked, self._live(asked, session, wire_ids), documents)

    def _live(self, asked: Asked, session: HubSession, wire_ids: Sequence[str]) -> dict[str, Hashable]:
        """The stamps, in the order of codes.

        Past the ORM, which costs more than all the rest of an answer; so the statement itself names the session's tenant.
        """
        wanted = wire_ids if asked.link.profile.native_id("station_id") else _our_codes(asked, session, wire_ids)
        found = session.connection().execute(
            self._stamps_of(asked.link), {"wanted": wanted, "tenant": session.tenant_id}
        )
        return {station_id: (version, live) for station_id, version, live in found.all()}

    def _stamps_of(self, link: Link) -> Select[Any]:
        """The statement of a link; built once for each of its versions."""
        version, statement = self._stamps.get(link.id, (None, None))
        if statement is None or version != link.version:
            statement = _stamps(link)
            self._stamps[link.id] = link.version, statement
        return statement


def _stamps(link: Link) -> Select[Any]:
    """By station: its version, which covers what is told of its equipment, and the sum of its connectors' versions, of which one
    rises with every change of state and none ever falls."""
    connectors = select(func.sum(Connector.version)).join(Connector.pile).where(Pile.station_id == Station.id)
    wanted = authorised_stations(link).where(
        Station.tenant_id == bindparam("tenant"), Station.code.in_(bindparam("wanted", expanding=True))
    )
    return wanted.with_only_columns(Station.id, Station.version, connectors.scalar_subquery()).order_by(
        Station.code, Station.id
    )


def query_stations_info(asked: Asked, bodies: StationBodies) -> dict[str, Any]:
    """11.1: authorised stations, paged; with LastQueryTime only those changed since, or all when the link itself has."""
    number = max(1, asked.body.get("PageNo") or 1)
    size = min(max(1, asked.body.get("PageSize") or DEFAULT_PAGE_SIZE), asked.link.profile.spec.served.page_size_max)
    wanted = authorised_stations(asked.link)
    since = _changed_since(asked)
    if since is not None and since > asked.link.changed_at:
        wanted = wanted.where(Station.changed_at >= since)
    with asked.reading() as session:
        rows, items = _page(session, wanted, (number - 1) * size, size)
        found = bodies.of(asked, session, rows)
    pages = -(-items // size)
    return asked.answer(
        "query_stations_info", {"page": {"number": number, "count": pages, "items": items, "stations": found}}
    )


def _page(session: HubSession, wanted: Select[Station], skipped: int, size: int) -> tuple[Sequence[Any], int]:
    """The keys of one page, and how many stations there are in all, in one statement where the page is not empty."""
    keys = (Station.id, Station.version, Station.operator_id, Station.tariff_id)
    page = wanted.with_only_columns(*keys, func.count().over().label("total"))
    # A page that far behind the end is not looked up: its offset may be larger than a database can count.
    ordered = page.order_by(Station.code, Station.id).offset(skipped).limit(size)
    rows = session.execute(ordered).all() if skipped < MOST_ROWS else []
    if rows:
        return rows, rows[0].total
    return [], session.scalar(select(func.count()).select_from(wanted.subquery())) or 0


def query_station_status(asked: Asked, statuses: StationStatuses) -> dict[str, Any]:
    """11.3: live status of at most 50 stations; unknown and unauthorised ids are left out."""
    wanted: list[str] = asked.body["StationIDs"]
    most = asked.link.profile.spec.served.station_ids_max
    if len(wanted) > most:
        raise BusinessError(RET_BUSINESS, "StationIDs", f"最多 {most} 个充电站 at most {most} stations")
    stations = statuses.of(asked, wanted)
    return asked.answer("query_station_status", {"stations": stations})


def _our_codes(asked: Asked, session: HubSession, wire_ids: Sequence[str]) -> list[str]:
    """The codes behind derived ids, by deriving all of them: only profiles with such ids pay for it."""
    stations = session.scalars(authorised_stations(asked.link))
    return [station.code for station in stations if _wire_id(asked, station) in wire_ids]


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
