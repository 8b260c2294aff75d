"""Telling a regulator what no event tells it: everything, when its link is new, and what has changed by itself since.

A link that is saved records `regulator.saved`; the driver then plans all stations and connectors in scope. Once an hour the clock
compares what would be told now with what the regulator last accepted: a tariff that came into force, a connector that was added.
What is open in the ledger, or was refused with the same content, is not told again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from charging_core.db import HubSession
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.snapshot import connector_snapshot, station_snapshot
from municipal.documents import scopes_of
from municipal.model import RegulatorLastValue
from municipal.planning import plan_connector, plan_station
from municipal.regulators import KIND, Regulator
from partners.profiles.engine import render
from worker.api import Delivery, PlannedDelivery, State
from worker.model import OPEN_STATES, DeliveryRow
from worker.policy import DeliveryPolicy

SAVED = "regulator.saved"
"""The domain event of a link that was created or changed; subject = the link's id."""


def plan_everything(session: HubSession, regulator: Regulator, at: datetime) -> Iterator[PlannedDelivery]:
    """All stations and connectors in scope as they stand. What was told before is superseded by the worker."""
    for station in stations_in_scope(session, regulator):
        snapshot = station_snapshot(session, station, at)
        for name, _part in regulator.telling("station"):
            yield plan_station(regulator, name, snapshot, station.version, at)
        yield from _connectors(session, regulator, station, at)


def plan_changed(session: HubSession, regulator: Regulator, at: datetime) -> Iterator[PlannedDelivery]:
    """The stations whose mapped information is news, and connectors that nobody ever told of."""
    for station in stations_in_scope(session, regulator):
        snapshot = station_snapshot(session, station, at)
        for name, _part in regulator.telling("station"):
            if _is_news(session, regulator, name, snapshot, at):
                yield plan_station(regulator, name, snapshot, station.version, at)
        for plan in _connectors(session, regulator, station, at):
            if _newest(session, regulator, plan.interface, plan.object_key) is None:
                yield plan


def stations_in_scope(session: HubSession, regulator: Regulator) -> list[Station]:
    """The stations in use that the regulator is told of, by code."""
    parts = selectinload(Station.piles).selectinload(Pile.connectors)
    rows = session.scalars(select(Station).where(Station.enabled).options(parts).order_by(Station.code)).all()
    return [row for row in rows if regulator.covers(row.operator_id, row.code, row.area_code)]


def connectors_of(station: Station) -> Iterator[tuple[Pile, Connector]]:
    """The connectors of a station that are in use, with their piles."""
    for pile in station.piles:
        if pile.enabled:
            yield from ((pile, connector) for connector in pile.connectors if connector.enabled)


def remember(session: HubSession, delivery: Delivery, value: dict[str, Any], at: datetime) -> None:
    """Keep the accepted value of a delivery, unless that of a newer one is kept already."""
    key = {"link_id": delivery.destination.id, "interface": delivery.interface, "object_key": delivery.object_key}
    kept = session.get(RegulatorLastValue, tuple(key.values()), with_for_update=True)
    version = delivery.object_version
    if kept is None:
        session.add(RegulatorLastValue(**key, object_version=version, value=value, accepted_at=at))
    elif version >= kept.object_version:
        kept.object_version, kept.value, kept.accepted_at = version, value, at


def watched(policy: DeliveryPolicy, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The members of a body that decide whether it is news; None when every push of this interface is."""
    return None if policy.on_change is None else {name: body.get(name) for name in policy.on_change}


def _connectors(session: HubSession, regulator: Regulator, station: Station, at: datetime) -> Iterator[PlannedDelivery]:
    for name, _part in regulator.telling("connector_status"):
        for _pile, connector in connectors_of(station):
            snapshot = connector_snapshot(session, connector)
            yield plan_connector(regulator, name, snapshot, connector.version, at)


def _is_news(session: HubSession, regulator: Regulator, name: str, snapshot: dict[str, Any], at: datetime) -> bool:
    policy = regulator.policy(name)
    (scope,) = scopes_of(regulator, name, snapshot | {"at": at})
    now = watched(policy, render(regulator.profile.engine, name, scope, at).body)
    if now is None:
        return False
    accepted = session.get(RegulatorLastValue, (regulator.id, name, str(snapshot["id"])))
    if accepted is not None and accepted.value == now:
        return False
    newest = _newest(session, regulator, name, str(snapshot["id"]))
    if newest is None:
        return True
    if newest.state in OPEN_STATES:
        return False
    refused = newest.state in (State.DEAD, State.REJECTED)
    return not (refused and (newest.body is None or watched(policy, newest.body) == now))


def _newest(session: HubSession, regulator: Regulator, interface: str, object_key: str) -> DeliveryRow | None:
    told = select(DeliveryRow).where(
        DeliveryRow.destination_kind == KIND,
        DeliveryRow.destination_id == regulator.id,
        DeliveryRow.interface == interface,
        DeliveryRow.object_key == object_key,
    )
    return session.scalars(told.order_by(DeliveryRow.object_version.desc()).limit(1)).one_or_none()
