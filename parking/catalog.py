"""Declaring parks with their connections, lanes, stations and rule: what `hub apply` saves. Idempotent; nothing is ever deleted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.db import HubSession
from charging_core.errors import InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.secretbox import SecretBox
from charging_core.stations.catalog import find_station
from parking.adapters.registry import AdapterKind, adapter_kind
from parking.connections import open_secrets, seal_secrets
from parking.model import ExitPolicy, GateLane, Park, ParkConnection, ParkStation, Role
from parking.port import Capabilities
from parking.rules import GrantRule

_INBOUND_BYTES = 24
"""Random bytes of an inbound path: 192 bits, 32 characters; cameras cut paths at 128 characters."""


@dataclass(frozen=True, slots=True)
class StationRef:
    """A station inside the park, by its operator and code. `rule` replaces the park's rule for its orders."""

    operator_id: str
    code: str
    rule: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection as declared. `settings` are the adapter's, secrets included; `roles` None means all that it offers."""

    code: str
    adapter: str
    settings: Mapping[str, Any]
    roles: tuple[Role, ...] | None = None


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """A lane as declared; `gate` is the code of the connection that moves its barrier."""

    code: str
    direction: Literal["entry", "exit"]
    name: str | None = None
    gate: str | None = None


@dataclass(frozen=True, slots=True)
class ParkSpec:
    """A park as declared."""

    code: str
    name: str
    connections: tuple[ConnectionSpec, ...]
    lanes: tuple[LaneSpec, ...] = ()
    stations: tuple[StationRef, ...] = ()
    rule: Mapping[str, Any] | None = None
    exit_policy: ExitPolicy = ExitPolicy.COVERED
    max_stay_days: int = 30


def check_park(spec: ParkSpec) -> None:
    """Everything that can be said about a declaration without a database.

    Raises `InvalidInput` naming the member, or `SettingsError` listing the wrong settings of a connection.
    """
    rules = [(f"parks.{spec.code}.rule", spec.rule)]
    rules += [(f"parks.{spec.code}.stations.{station.code}.rule", station.rule) for station in spec.stations]
    checked = [_rule(name, rule) for name, rule in rules if rule is not None]
    _unique(spec, "connections", (connection.code for connection in spec.connections))
    _unique(spec, "lanes", (lane.code for lane in spec.lanes))
    offers = {connection.code: _offer(spec, connection) for connection in spec.connections}
    for lane in spec.lanes:
        if lane.gate is not None and Role.GATE not in offers.get(lane.gate, ((), None))[0]:
            raise InvalidInput(f"parks.{spec.code}.lanes.{lane.code}.gate", f"no connection {lane.gate} with role gate")
    _check_grants(spec, checked, offers)


def save_park(session: HubSession, box: SecretBox, spec: ParkSpec, *, prune: bool = False) -> list[Change]:
    """Bring a park to its declared state and return what changed; secrets show as `changed`.

    What is not declared stays; `prune` disables it. Raises `InvalidInput`, `SettingsError`, and `NotFound` for a station.
    """
    check_park(spec)
    park, changes = _park(session, spec)
    connections = {}
    for declared in spec.connections:
        connections[declared.code], found = _connection(session, box, park, declared)
        changes += found
    for lane in spec.lanes:
        changes += _lane(session, park, lane, connections)
    for reference in spec.stations:
        changes += _station(session, park, reference)
    session.flush()
    if prune:
        changes += _prune(session, park, spec)
    return changes


def find_park(session: HubSession, code: str) -> Park | None:
    """The park with this code in the session's tenant."""
    return session.scalars(select(Park).where(Park.code == code)).one_or_none()


def disable_park(park: Park) -> list[Change]:
    """Take a park out of use; its history stays. Does nothing when it is disabled already."""
    if not park.enabled:
        return []
    park.enabled = False
    return [Change("park", park.code, Action.DISABLE)]


def roles_offered(capabilities: Capabilities) -> frozenset[Role]:
    """The roles that a connection with these capabilities can have."""
    offered = {
        Role.GRANTS: bool(capabilities.grant_kinds),
        Role.STAYS: capabilities.finds_stays,
        Role.GATE: bool(capabilities.gate_actions),
        Role.PASSAGES: bool(capabilities.passage_kinds),
    }
    return frozenset(role for role, there in offered.items() if there)


def _rule(name: str, rule: Mapping[str, Any]) -> GrantRule:
    try:
        return GrantRule.model_validate(dict(rule))
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(".".join([name, *map(str, first["loc"])]), first["msg"]) from error


def _unique(spec: ParkSpec, member: str, codes: Iterable[str]) -> None:
    seen: set[str] = set()
    for code in codes:
        if code in seen:
            raise InvalidInput(f"parks.{spec.code}.{member}", f"{code} is there twice")
        seen.add(code)


def _offer(spec: ParkSpec, connection: ConnectionSpec) -> tuple[frozenset[Role], Capabilities]:
    capabilities = adapter_kind(connection.adapter).capabilities(connection.settings)
    offered = roles_offered(capabilities)
    wanted = offered if connection.roles is None else frozenset(connection.roles)
    if wanted - offered:
        lacking = ", ".join(sorted(wanted - offered))
        raise InvalidInput(
            f"parks.{spec.code}.connections.{connection.code}.roles", f"{connection.adapter} does not offer {lacking}"
        )
    return wanted, capabilities


def _check_grants(
    spec: ParkSpec, rules: list[GrantRule], offers: Mapping[str, tuple[frozenset[Role], Capabilities]]
) -> None:
    granting = {code: capabilities for code, (roles, capabilities) in offers.items() if Role.GRANTS in roles}
    if len(granting) > 1:
        raise InvalidInput(f"parks.{spec.code}.connections", "one connection may have the role grants, not several")
    for rule in rules:
        for code, capabilities in granting.items():
            if rule.benefit_type not in capabilities.grant_kinds:
                raise InvalidInput(f"parks.{spec.code}.rule.benefit_type", f"{code} cannot give {rule.benefit_type}")
    if spec.exit_policy is ExitPolicy.BILL and not any(Role.STAYS in roles for roles, _ in offers.values()):
        raise InvalidInput(f"parks.{spec.code}.exit_policy", "bill needs a connection with the role stays")


def _park(session: HubSession, spec: ParkSpec) -> tuple[Park, list[Change]]:
    wanted = {
        "name": spec.name,
        "rule": None if spec.rule is None else GrantRule.model_validate(dict(spec.rule)).model_dump(mode="json"),
        "exit_policy": spec.exit_policy.value,
        "max_stay_days": spec.max_stay_days,
        "enabled": True,
    }
    park = find_park(session, spec.code)
    if park is None:
        park = Park(id=new_id(), code=spec.code, **wanted)
        session.add(park)
        session.flush()
        return park, [Change("park", spec.code, Action.CREATE)]
    return park, _updated("park", spec.code, set_members(park, wanted))


def _connection(
    session: HubSession, box: SecretBox, park: Park, spec: ConnectionSpec
) -> tuple[ParkConnection, list[Change]]:
    kind = adapter_kind(spec.adapter)
    plain, hidden = _split(kind, spec.settings)
    offered = roles_offered(kind.capabilities(spec.settings))
    roles = sorted(offered if spec.roles is None else spec.roles)
    wanted = {"adapter": spec.adapter, "settings": plain, "roles": [role.value for role in roles], "enabled": True}
    query = select(ParkConnection).where(ParkConnection.park_id == park.id, ParkConnection.code == spec.code)
    row = session.scalars(query).one_or_none()
    if row is None:
        row = ParkConnection(
            id=new_id(), park_id=park.id, code=spec.code, inbound_token=secrets.token_urlsafe(_INBOUND_BYTES), **wanted
        )
        row.secrets = seal_secrets(box, row.id, hidden)
        session.add(row)
        session.flush()
        return row, [Change("park_connection", _key(park, spec.code), Action.CREATE)]
    fields = set_members(row, wanted)
    if open_secrets(box, row) != hidden:
        row.secrets = seal_secrets(box, row.id, hidden)
        fields += (FieldChange("secrets", "changed", "changed"),)
    if fields:
        row.version += 1
        row.auth_failed_at = None
    return row, _updated("park_connection", _key(park, spec.code), fields)


def _split(kind: AdapterKind[Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Plain settings as JSON has them, and the secret ones."""
    hidden = {name: str(settings[name]) for name in kind.secret_members if name in settings}
    plain = {name: value for name, value in settings.items() if name not in hidden}
    return json.loads(json.dumps(plain, default=str)), hidden


def _lane(session: HubSession, park: Park, spec: LaneSpec, connections: Mapping[str, ParkConnection]) -> list[Change]:
    wanted = {
        "name": spec.name or spec.code,
        "direction": spec.direction,
        "connection_id": connections[spec.gate].id if spec.gate is not None else None,
        "enabled": True,
    }
    row = session.scalars(select(GateLane).where(GateLane.park_id == park.id, GateLane.code == spec.code)).one_or_none()
    if row is None:
        session.add(GateLane(id=new_id(), park_id=park.id, code=spec.code, **wanted))
        return [Change("gate_lane", _key(park, spec.code), Action.CREATE)]
    return _updated("gate_lane", _key(park, spec.code), set_members(row, wanted))


def _station(session: HubSession, park: Park, reference: StationRef) -> list[Change]:
    station = find_station(session, reference.operator_id, reference.code)
    if station is None:
        raise NotFound(f"station {reference.code} of operator {reference.operator_id}")
    rule = None if reference.rule is None else GrantRule.model_validate(dict(reference.rule)).model_dump(mode="json")
    wanted = {"park_id": park.id, "rule": rule, "enabled": True}
    row = session.scalars(select(ParkStation).where(ParkStation.station_id == station.id)).one_or_none()
    if row is None:
        session.add(ParkStation(station_id=station.id, **wanted))
        return [Change("park_station", _key(park, reference.code), Action.CREATE)]
    return _updated("park_station", _key(park, reference.code), set_members(row, wanted))


def _prune(session: HubSession, park: Park, spec: ParkSpec) -> list[Change]:
    session.expire(park, ["connections", "lanes", "stations"])
    declared = {find_station(session, one.operator_id, one.code) for one in spec.stations}
    station_ids = {station.id for station in declared if station is not None}
    absent: list[tuple[str, str, ParkConnection | GateLane | ParkStation]] = []
    absent += [
        ("park_connection", row.code, row)
        for row in park.connections
        if row.code not in {one.code for one in spec.connections}
    ]
    absent += [("gate_lane", row.code, row) for row in park.lanes if row.code not in {one.code for one in spec.lanes}]
    absent += [("park_station", row.station_id, row) for row in park.stations if row.station_id not in station_ids]
    changes = []
    for kind, code, row in absent:
        if row.enabled:
            row.enabled = False
            changes.append(Change(kind, _key(park, code), Action.DISABLE))
    return changes


def _key(park: Park, code: str) -> str:
    return f"{park.code}/{code}"


def _updated(kind: str, key: str, fields: tuple[FieldChange, ...]) -> list[Change]:
    return [Change(kind, key, Action.UPDATE, fields)] if fields else []
