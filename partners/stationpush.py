"""Pushing stations and their prices (dialects of `specs/tcec102.md` 11.15): which stations an event is about, in which version, when.

A tariff that is published for later is told when it becomes valid, because the push has no place for a date. Hence versions count by the
instant from which something is true, not by the order in which it was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.stations.model import Station
from charging_core.stations.snapshot import station_snapshot
from partners.bills import joined_periods
from partners.links import Link
from partners.profiles.profile import CompiledInterface
from worker.api import Destination, PlannedDelivery

KIND = "partner"
TARIFF_EVENT = "tariff.published"
DAY_END = "24:00"
_TURNS = 1_000
"""Changes of one station inside one millisecond that stay apart."""


@dataclass(frozen=True, slots=True)
class ToldStation:
    """A station as it is from `since` on."""

    snapshot: dict[str, Any]
    since: datetime

    @property
    def version(self) -> int:
        """Milliseconds since 1970 and the station's own turn."""
        return int(self.since.timestamp() * 1000) * _TURNS + int(self.snapshot["version"]) % _TURNS

    def delivery(self, link: Link, interface: CompiledInterface) -> PlannedDelivery:
        """Its push on one link."""
        return PlannedDelivery(
            destination=Destination(KIND, link.id),
            interface=interface.name,
            object_key=str(self.snapshot["id"]),
            object_version=self.version,
            policy=link.policy(interface.name),
            snapshot=self.snapshot,
            not_before=self.since,
        )


def stations_of(session: HubSession, event: DomainEvent) -> list[ToldStation]:
    """The enabled stations that an event is about."""
    enabled = select(Station).where(Station.enabled)
    if event.type != TARIFF_EVENT:
        found = session.scalars(enabled.where(Station.id == event.subject_id)).one_or_none()
        return [] if found is None else [ToldStation(dict(event.snapshot), event.occurred_at)]
    valid_from: datetime = max(event.snapshot["valid_from"], event.occurred_at)
    stations = session.scalars(enabled.where(Station.tariff_id == event.subject_id).order_by(Station.code)).all()
    return [ToldStation(station_snapshot(session, station, valid_from), valid_from) for station in stations]


def with_fees(station: Mapping[str, Any]) -> dict[str, Any]:
    """The station with `fees`: its tariff's periods from `start` to `end` (`HH:MM`, the last one to 24:00)."""
    periods = joined_periods(station["tariff"]["periods"])
    ends = [*(period["start"] for period in periods[1:]), DAY_END]
    fees = [{**period, "end": end} for period, end in zip(periods, ends, strict=True)]
    return {**station, "fees": fees}
