"""Canonical stations in bulk: what `station_snapshot` gives for one, for a whole page in a fixed number of statements.

Two steps, because a page is mostly answered from rendered bodies: `Surroundings` says by which state of operator and tariff a station is
described, which is enough to recognise a body that is still right; `station_documents` loads the equipment of the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from charging_core.db import HubSession
from charging_core.stations.model import Pile, Station
from charging_core.stations.snapshot import connector_facts, operator_object, pile_facts, station_facts
from charging_core.tariffs.model import TariffVersion

LIVE = frozenset({"state", "plugged"})
"""Facts of a connector that its station's version does not cover: they are told as status and never as information."""

_TOLD = (
    "address",
    "service_tel",
    "station_tel",
    "kind",
    "construction",
    "status",
    "bays",
    "texts",
    "changed_at",
    "version",
)

Document = dict[str, Any]


class StationKey(Protocol):
    """What recognises a station's present state: a row of a few columns, or the station itself."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def operator_id(self) -> str: ...
    @property
    def tariff_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stations are described with beside themselves: operators by OperatorID, the valid version by tariff."""

    operators: Mapping[str, Document]
    versions: Mapping[str, TariffVersion]

    def stamp(self, station: StationKey) -> Hashable:
        """Changes whenever the station's document does."""
        operator, version = self.operators[station.operator_id], self.versions.get(station.tariff_id)
        return station.id, station.version, version.id if version else None, *operator.values()


def surroundings(session: HubSession, stations: Iterable[StationKey], now: datetime) -> Surroundings:
    """The operators of these stations and the versions of their tariffs that hold at `now`."""
    listed = list(stations)
    operators = {one: operator_object(session, one) for one in sorted({station.operator_id for station in listed})}
    return Surroundings(operators, _versions(session, {station.tariff_id for station in listed}, now))


def station_documents(session: HubSession, stations: Sequence[Station], around: Surroundings) -> list[Document]:
    """The stations as `charging_core.stations.snapshot.station_snapshot` describes them, without the live facts."""
    if not stations:
        return []
    piles: dict[str, list[Pile]] = {station.id: [] for station in stations}
    enabled = select(Pile).where(Pile.station_id.in_(piles), Pile.enabled).order_by(Pile.code)
    for pile in session.scalars(enabled.options(selectinload(Pile.connectors))):
        piles[pile.station_id].append(pile)
    return [_document(station, piles[station.id], around) for station in stations]


def _versions(session: HubSession, tariff_ids: set[str], now: datetime) -> dict[str, TariffVersion]:
    """By the rule of `current_version`: the newest that holds, before the first one starts the first."""
    found: dict[str, TariffVersion] = {}
    every = select(TariffVersion).where(TariffVersion.tariff_id.in_(sorted(tariff_ids))).order_by(TariffVersion.number)
    for version in session.scalars(every):
        if version.valid_from <= now or version.tariff_id not in found:
            found[version.tariff_id] = version
    return found


def _document(station: Station, piles: Iterable[Pile], around: Surroundings) -> Document:
    return {
        "operator": around.operators[station.operator_id],
        **station_facts(station),
        **{name: getattr(station, name) for name in _TOLD},
        "lng": Decimal(station.location["lng"]),
        "lat": Decimal(station.location["lat"]),
        "tariff": _tariff(around.versions.get(station.tariff_id)),
        "piles": [_pile(pile) for pile in piles],
    }


def _tariff(version: TariffVersion | None) -> Document | None:
    if version is None:
        return None
    return {name: getattr(version, name) for name in ("model_number", "valid_from", "periods")} | {
        "version_id": version.id
    }


def _pile(pile: Pile) -> Document:
    connectors = [connector_facts(connector) for connector in pile.connectors if connector.enabled]
    told = [{name: value for name, value in facts.items() if name not in LIVE} for facts in connectors]
    return pile_facts(pile) | {"connectors": told}
