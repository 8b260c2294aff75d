"""Declaring stations with their piles and connectors: what `hub apply` and the console save. Idempotent; nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.changes import Action, Change, set_members
from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.events import record_event
from charging_core.ids import new_id
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.snapshot import station_snapshot
from charging_core.tariffs.catalog import find_tariff


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """A connector as declared. Volts, amperes and kW as on the plate."""

    number: int
    kind: str
    voltage_upper_v: int
    voltage_lower_v: int
    current_a: int
    power_kw: Decimal
    name: str | None = None
    national_standard: int = 2
    bay: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PileSpec:
    """A pile as declared; `code` is its 14-digit address on the wire."""

    code: str
    kind: str
    power_kw: Decimal
    connectors: tuple[ConnectorSpec, ...]
    name: str | None = None
    protocol: str = "ykc"
    protocol_options: Mapping[str, Any] = field(default_factory=dict)
    manufacturer: str | None = None
    model: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StationSpec:
    """A station as declared; `operator_id` and `tariff_code` name what exists already, `lng`/`lat` are GCJ-02 degrees."""

    code: str
    operator_id: str
    name: str
    area_code: str
    address: str
    service_tel: str
    lng: Decimal
    lat: Decimal
    tariff_code: str
    piles: tuple[PileSpec, ...]
    owner_id: str | None = None
    station_tel: str | None = None
    kind: str = "public"
    construction: str = "other"
    status: str = "normal"
    bays: int = 0
    texts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def save_station(session: HubSession, clock: Clock, spec: StationSpec, *, prune: bool = False) -> list[Change]:
    """Bring a station to its declared state and return what changed.

    When anything changed, its version rises and `station.changed` is recorded, once; likewise for a station that loses a pile to it.
    Piles and connectors that are not declared stay as they are; `prune` disables them. Raises `NotFound` for an unknown tariff.
    """
    tariff = find_tariff(session, spec.tariff_code)
    if tariff is None:
        raise NotFound(f"tariff {spec.tariff_code}")
    station, changes = _station(session, clock, spec, tariff.id)
    losing = _losing(session, station, [pile.code for pile in spec.piles])
    for pile in spec.piles:
        changes += _pile(session, station, pile, prune=prune)
    if prune:
        changes += _disable_absent("pile", station.piles, {pile.code for pile in spec.piles})
    if changes:
        session.flush()
        # Freshly added children are not in collections that were loaded before.
        for changed in (station, *losing):
            session.expire(changed, ["piles"])
            _announce(session, clock, changed)
    return changes


def _losing(session: HubSession, station: Station, pile_codes: list[str]) -> list[Station]:
    """The other stations from which some of these piles move: they change as well."""
    moving = select(Pile.station_id).where(Pile.code.in_(pile_codes), Pile.station_id != station.id)
    return list(session.scalars(select(Station).where(Station.id.in_(moving)).order_by(Station.id)))


def find_station(session: HubSession, operator_id: str, code: str) -> Station | None:
    """The station of this operator with this code, in the session's tenant."""
    query = select(Station).where(Station.operator_id == operator_id, Station.code == code)
    return session.scalars(query).one_or_none()


def disable_station(session: HubSession, clock: Clock, station: Station) -> list[Change]:
    """Take a station out of use; its orders and history stay. Does nothing when it is disabled already."""
    if not station.enabled:
        return []
    station.enabled = False
    _announce(session, clock, station)
    return [Change("station", station.code, Action.DISABLE)]


def _station(session: HubSession, clock: Clock, spec: StationSpec, tariff_id: str) -> tuple[Station, list[Change]]:
    wanted = _station_members(spec) | {"tariff_id": tariff_id, "enabled": True}
    station = find_station(session, spec.operator_id, spec.code)
    if station is None:
        station = Station(
            id=new_id(), code=spec.code, operator_id=spec.operator_id, changed_at=clock.now(), version=0, **wanted
        )
        session.add(station)
        session.flush()
        return station, [Change("station", spec.code, Action.CREATE)]
    fields = set_members(station, wanted)
    return station, [Change("station", spec.code, Action.UPDATE, fields)] if fields else []


def _station_members(spec: StationSpec) -> dict[str, Any]:
    names = ("owner_id", "name", "area_code", "address", "service_tel", "station_tel", "kind", "construction", "status")
    return {name: getattr(spec, name) for name in names} | {
        "bays": spec.bays,
        "location": {"lng": str(spec.lng), "lat": str(spec.lat)},
        "texts": dict(spec.texts),
        "extra": dict(spec.extra),
    }


def _pile(session: HubSession, station: Station, spec: PileSpec, *, prune: bool) -> list[Change]:
    wanted = _pile_members(spec) | {"station_id": station.id, "enabled": True}
    pile = session.scalars(select(Pile).where(Pile.code == spec.code)).one_or_none()
    changes = []
    if pile is None:
        pile = Pile(id=new_id(), code=spec.code, **wanted)
        session.add(pile)
        session.flush()
        changes.append(Change("pile", spec.code, Action.CREATE))
    elif fields := set_members(pile, wanted):
        changes.append(Change("pile", spec.code, Action.UPDATE, fields))
    for connector in spec.connectors:
        changes += _connector(session, pile, connector)
    if prune:
        codes = {connector_code(spec.code, connector.number) for connector in spec.connectors}
        changes += _disable_absent("connector", pile.connectors, codes)
    return changes


def _pile_members(spec: PileSpec) -> dict[str, Any]:
    names = ("name", "kind", "power_kw", "protocol", "manufacturer", "model")
    return {name: getattr(spec, name) for name in names} | {
        "protocol_options": dict(spec.protocol_options),
        "extra": dict(spec.extra),
    }


def connector_code(pile_code: str, number: int) -> str:
    """Pile code + two-digit connector number (DECISIONS 11)."""
    return f"{pile_code}{number:02d}"


def _connector(session: HubSession, pile: Pile, spec: ConnectorSpec) -> list[Change]:
    names = ("name", "kind", "voltage_upper_v", "voltage_lower_v", "current_a", "power_kw", "national_standard", "bay")
    wanted = {name: getattr(spec, name) for name in names} | {"extra": dict(spec.extra), "enabled": True}
    code = connector_code(pile.code, spec.number)
    connector = session.scalars(select(Connector).where(Connector.code == code)).one_or_none()
    if connector is None:
        session.add(Connector(id=new_id(), code=code, pile_id=pile.id, number=spec.number, **wanted))
        session.flush()
        return [Change("connector", code, Action.CREATE)]
    fields = set_members(connector, wanted)
    return [Change("connector", code, Action.UPDATE, fields)] if fields else []


def _disable_absent(kind: str, rows: list[Pile] | list[Connector], declared: set[str]) -> list[Change]:
    changes = []
    for row in rows:
        if row.enabled and row.code not in declared:
            row.enabled = False
            changes.append(Change(kind, row.code, Action.DISABLE))
    return changes


def _announce(session: HubSession, clock: Clock, station: Station) -> None:
    station.version += 1
    station.changed_at = clock.now()
    session.flush()
    snapshot = station_snapshot(session, station, clock.now())
    record_event(session, "station.changed", station.id, station.version, snapshot, clock.now())
