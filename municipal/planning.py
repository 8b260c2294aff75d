"""Which delivery a fact becomes: object, version, lane and prerequisite of each push (DECISIONS 19).

| push of | object key | version |
|---|---|---|
| station | station id | instant of the change, then the station's version: what the clock finds changed fits in between |
| connector_status | connector code | the connector's version, so that every transition has its place |
| charge_sample | order id | second of the sample's push |
| order | order id | the order's version |
| power | `stations` | second of the reading |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from charging_core.events import DomainEvent
from charging_core.stations.model import Station
from municipal import metrics
from municipal.profiles.schema import RegionInterfaceSpec
from municipal.regulators import KIND, Regulator
from worker.api import Destination, PlannedDelivery, Requirement

ALL_STATIONS = "stations"
"""Object key of what is told about all stations at once."""

CLOSED = "closed"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSIONS_PER_MS = 1_000


def plan_event(regulator: Regulator, event: DomainEvent, snapshot: Mapping[str, Any]) -> Iterator[PlannedDelivery]:
    """The deliveries of one domain event to one regulator; `snapshot` is the event's, as it is to be told."""
    if not regulator.concerns(snapshot):
        return
    for name, part in regulator.speaking_on(event.type):
        match part.source:
            case "station":
                yield plan_station(regulator, name, snapshot, event.version, event.occurred_at)
            case "connector_status":
                yield plan_connector(regulator, name, snapshot, event.version, event.occurred_at)
            case "charge_sample":
                yield from plan_sample(regulator, name, snapshot, event.occurred_at)
            case _:
                yield _planned(regulator, name, event.subject_id, event.version, snapshot, event.occurred_at)


def plan_station(
    regulator: Regulator, name: str, snapshot: Mapping[str, Any], version: int, at: datetime
) -> PlannedDelivery:
    """Station information, as of `at`."""
    place = instant_ms(at) * _VERSIONS_PER_MS + version % _VERSIONS_PER_MS
    return _planned(regulator, name, str(snapshot["id"]), place, snapshot, at)


def plan_connector(
    regulator: Regulator, name: str, snapshot: Mapping[str, Any], version: int, at: datetime
) -> PlannedDelivery:
    """A connector's status, as of `at`."""
    code = str(snapshot["connector"]["code"])
    return _planned(regulator, name, code, version, snapshot, at, lane_key=code)


def plan_sample(
    regulator: Regulator, name: str, snapshot: Mapping[str, Any], at: datetime
) -> Iterator[PlannedDelivery]:
    """The charge status of an order, if its last sample is not too old at `at`."""
    part = regulator.profile.interface(name)
    sample = snapshot.get("sample")
    if not sample or not fresh(sample["at"], at, part):
        metrics.STALE_SAMPLES.inc()
        return
    yield _planned(regulator, name, str(snapshot["id"]), instant_ms(at) // 1000, snapshot, at)


def plan_power(regulator: Regulator, name: str, reading: Mapping[str, Any]) -> PlannedDelivery:
    """The power of all stations."""
    at: datetime = reading["at"]
    return _planned(regulator, name, ALL_STATIONS, instant_ms(at) // 1000, reading, at)


def fresh(sampled_at: datetime, at: datetime, part: RegionInterfaceSpec) -> bool:
    """Whether a sample may still be told, by the interface's `max_age`."""
    return part.max_age is None or at - sampled_at <= timedelta(seconds=part.max_age)


def told_as(station: Station | None, snapshot: dict[str, Any]) -> dict[str, Any]:
    """A station out of use is told as closed; it keeps its own status for the day it comes back."""
    return snapshot if station is not None and station.enabled else snapshot | {"status": CLOSED}


def instant_ms(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _planned(
    regulator: Regulator,
    name: str,
    object_key: str,
    version: int,
    snapshot: Mapping[str, Any],
    at: datetime,
    *,
    lane_key: str | None = None,
) -> PlannedDelivery:
    requires = regulator.profile.interface(name).requires
    return PlannedDelivery(
        destination=Destination(KIND, regulator.id),
        interface=name,
        object_key=object_key,
        object_version=version,
        policy=regulator.policy(name),
        snapshot={**snapshot, "at": at},
        lane_key=lane_key,
        occurred_at=at,
        requires=Requirement(requires, str(snapshot["station"]["id"])) if requires else None,
    )
