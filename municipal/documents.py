"""Canonical documents as region profiles see them: the engine's scopes with what only regulators ask for, and the power reading.

| source | document | roots beyond `partners.profiles.scope` |
|---|---|---|
| station | station snapshot | `periods`: the tariff's periods with their ends |
| connector_status, charge_sample, order | their snapshots | |
| power | `power_reading` of every station in scope | one scope per station, parts with `power_now_kw` |

`link`, `assigned` and `at` (the instant that the document is about) are at hand everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from charging_core.db import HubSession
from charging_core.money import ZERO, quantize
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.stations.snapshot import connector_facts, operator_object, pile_facts, station_facts
from municipal.profiles.schema import POWER
from municipal.regulators import Regulator
from partners.profiles.scope import scope_of

POWER_PLACES = 4
"""Decimals of a power in kW: 0.1 W, finer than any pile measures."""
END_OF_DAY = "240000"


def scopes_of(regulator: Regulator, interface: str, snapshot: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scopes that a push is rendered from: one, or for power one per station. `snapshot` carries `at`."""
    source = regulator.profile.interface(interface).source
    extra: dict[str, Any] = {"link": regulator.facts(), "assigned": regulator.assigned, "at": snapshot["at"]}
    if source == POWER:
        return [scope_of(source, station, **extra) for station in snapshot["stations"]]
    if source == "station":
        extra["periods"] = periods_with_ends((snapshot.get("tariff") or {}).get("periods") or [])
    return [scope_of(source, snapshot, **extra)]


def periods_with_ends(periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each period of a day with its end as `HHmmss`: the next one's start, or 240000."""
    ends = [f"{period['start'].replace(':', '')}00" for period in periods[1:]] + [END_OF_DAY]
    return [{**period, "end_hhmmss": end} for period, end in zip(periods, ends, strict=False)]


def power_reading(
    session: HubSession, stations: Iterable[Station], at: datetime, newest_within: timedelta | None
) -> dict[str, Any]:
    """What all stations draw now, in kW; a sum is the sum of its rounded parts. Idle connectors, and those whose last
    reading is older than `newest_within`, draw 0.
    """
    return {"at": at, "stations": [_station_power(session, station, at, newest_within) for station in stations]}


def connector_power(connector: Connector, at: datetime, newest_within: timedelta | None) -> Decimal:
    """What one connector draws, in kW."""
    sample = connector.sample
    if connector.state != ConnectorState.CHARGING or not sample or connector.sampled_at is None:
        return ZERO
    if newest_within is not None and at - connector.sampled_at > newest_within:
        return ZERO
    return quantize(Decimal(sample.get("power_kw") or 0), POWER_PLACES)


def _station_power(
    session: HubSession, station: Station, at: datetime, newest_within: timedelta | None
) -> dict[str, Any]:
    piles = [_pile_power(pile, at, newest_within) for pile in station.piles if pile.enabled]
    facts = station_facts(station) | {"power_now_kw": _sum(piles), "piles": piles}
    return {"operator": operator_object(session, station.operator_id), "station": facts}


def _pile_power(pile: Pile, at: datetime, newest_within: timedelta | None) -> dict[str, Any]:
    connectors = [
        connector_facts(connector) | {"power_now_kw": connector_power(connector, at, newest_within)}
        for connector in pile.connectors
        if connector.enabled
    ]
    return pile_facts(pile) | {"power_now_kw": _sum(connectors), "connectors": connectors}


def _sum(parts: Iterable[Mapping[str, Any]]) -> Decimal:
    return sum((part["power_now_kw"] for part in parts), ZERO)
