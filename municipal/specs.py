"""Declaring regulator links: what `hub apply` reads and saves. Unknown keys are refused; secrets come by reference only.

`save_regulator_link` is idempotent and returns what changed, in the words of `charging_core.changes`; run in a transaction that is rolled
back it is the diff.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.clock import Clock, to_china
from charging_core.db import HubSession
from charging_core.events import record_event
from charging_core.ids import new_id
from charging_core.secretbox import SecretBox, SecretError
from charging_core.stations.snapshot import connector_snapshot
from charging_core.tenants import Operator
from municipal.announcing import SAVED, connectors_of, stations_in_scope
from municipal.calling import contract_of, outbound_link
from municipal.errors import RegulatorInvalid
from municipal.keys import open_secrets, seal_secrets
from municipal.model import RegulatorLink
from municipal.profiles.loader import RegionProfile, cached_region
from municipal.regulators import Regulator, regulator_of
from partners.profiles.errors import ProfileError
from partners.profiles.schema import WIRE_NAME
from partners.profiles.scope import scope_of
from partners.profiles.values import BadValue
from partners.specs import KeysSpec, OperatorId, Section
from partners.tcec102.errors import ConfigurationError

_KIND = "regulator link"
_IDS = ("station_id", "equipment_id", "connector_id")
"""Derivations that must not make one id of two things (`specs/municipal.md` 12.3)."""


def _wire_names(value: dict[str, str]) -> dict[str, str]:
    for name, spelled in value.items():
        if re.fullmatch(WIRE_NAME, spelled) is None:
            raise ValueError(f"{name}: {spelled!r} 不是接口名 / is not the name of an interface")
    if len(set(value.values())) < len(value):
        raise ValueError("两个接口同名 / two interfaces have the same wire name")
    return value


class RegulatorKeysSpec(Section):
    """`outbound`: the key set that the regulator issued to us."""

    outbound: KeysSpec


class AssignedCodesSpec(Section):
    """Codes that the regulator issued (唯一码), by our code of the station, pile or connector."""

    station: dict[str, str] = Field(default_factory=dict)
    pile: dict[str, str] = Field(default_factory=dict)
    connector: dict[str, str] = Field(default_factory=dict)


class RegulatorLinkSpec(Section):
    """A regulator link as declared (监管链路). `wire_names` names every push whose spelling the profile leaves open."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    name: str = Field(min_length=1, max_length=64)
    profile: str = Field(max_length=200)
    environment: Literal["test", "prod"] = "test"
    our_operator_id: OperatorId
    their_operator_id: OperatorId
    outbound_base: str = Field(pattern=r"^https?://\S+$", max_length=300)
    keys: RegulatorKeysSpec
    wire_names: Annotated[dict[str, str], AfterValidator(_wire_names)] = Field(default_factory=dict)
    stations: Literal["all", "operator"] | list[str] = "all"
    assigned_codes: AssignedCodesSpec = AssignedCodesSpec()
    verify_tls: bool = True
    enabled: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.environment == "prod" and not self.verify_tls:
            raise ValueError("生产环境必须校验证书 / production verifies certificates")
        return self

    def members(self) -> dict[str, Any]:
        """The columns that are not secret."""
        names = (
            "name",
            "profile",
            "environment",
            "our_operator_id",
            "their_operator_id",
            "outbound_base",
            "wire_names",
        )
        return {name: getattr(self, name) for name in (*names, "stations", "enabled")} | {
            "assigned_codes": self.assigned_codes.model_dump(),
            "options": {"verify_tls": self.verify_tls},
        }


def save_regulator_link(session: HubSession, clock: Clock, box: SecretBox, spec: RegulatorLinkSpec) -> list[Change]:
    """Create or change the regulator link of the session's tenant; nothing is written when nothing differs.

    A change records `regulator.saved`, which tells the regulator of everything in scope. Raises `RegulatorInvalid`: unknown or forbidden
    profile, missing or superfluous wire names, unusable keys, unknown operator, or ids of which two would become one.
    """
    _check_names(_check_profile(clock, spec), spec)
    _check_operator(session, spec)
    row = session.scalars(select(RegulatorLink).where(RegulatorLink.slug == spec.id)).one_or_none()
    if row is None:
        row = _new_row(session, clock, box, spec)
        changes = [Change(_KIND, spec.id, Action.CREATE)]
    else:
        fields = (*set_members(row, spec.members()), *_seal(box, row, spec))
        changes = [Change(_KIND, spec.id, Action.UPDATE, fields)] if fields else []
    if not changes:
        return changes
    _check_usable(session, box, row)
    _announce(session, clock, row, is_new=changes[0].action is Action.CREATE)
    return changes


def disable_regulators_except(session: HubSession, clock: Clock, declared: set[str]) -> list[Change]:
    """`--prune`: disable the tenant's regulator links that are not declared; nothing is deleted."""
    changes = []
    unwanted = select(RegulatorLink).where(RegulatorLink.enabled, RegulatorLink.slug.not_in(declared))
    for row in session.scalars(unwanted):
        row.enabled = False
        row.version += 1
        row.changed_at = clock.now()
        changes.append(Change(_KIND, row.slug, Action.DISABLE))
    return changes


def _check_profile(clock: Clock, spec: RegulatorLinkSpec) -> RegionProfile:
    try:
        profile = cached_region(spec.profile)
        profile.engine.check_allowed(spec.environment, to_china(clock.now()).date())
    except ProfileError as error:
        raise RegulatorInvalid("profile", str(error)) from error
    return profile


def _check_names(profile: RegionProfile, spec: RegulatorLinkSpec) -> None:
    missing = profile.names_to_give - set(spec.wire_names)
    if missing:
        raise RegulatorInvalid("wire_names", f"缺少 / missing: {', '.join(_hints(profile, missing))}")
    unknown = set(spec.wire_names) - profile.names_to_give
    if unknown:
        raise RegulatorInvalid(
            "wire_names", f"档案没有或已定名 / not asked for by the profile: {', '.join(sorted(unknown))}"
        )


def _hints(profile: RegionProfile, names: frozenset[str]) -> Iterator[str]:
    for name in sorted(names):
        inferred = profile.interface(name).inferred_name
        yield f"{name} (推测 / probably {inferred})" if inferred else name


def _check_operator(session: HubSession, spec: RegulatorLinkSpec) -> None:
    known = session.scalars(select(Operator).where(Operator.operator_id == spec.our_operator_id)).one_or_none()
    if known is None:
        raise RegulatorInvalid("our_operator_id", f"没有这个运营商 / no operator {spec.our_operator_id} in this tenant")


def _check_usable(session: HubSession, box: SecretBox, row: RegulatorLink) -> None:
    try:
        regulator = regulator_of(row)
        outbound_link(row, regulator, box)
        contract_of(regulator)
    except (ConfigurationError, ProfileError) as error:
        raise RegulatorInvalid("keys", str(error)) from error
    collision = next(id_collisions(session, regulator), None)
    if collision is not None:
        raise RegulatorInvalid("profile", f"id_collision: {collision}")


def id_collisions(session: HubSession, regulator: Regulator) -> Iterator[str]:
    """Ids that the profile derives from two different things in scope, in words."""
    owners: dict[tuple[str, str], str] = {}
    for station in stations_in_scope(session, regulator):
        for pile, connector in connectors_of(station):
            snapshot = connector_snapshot(session, connector)
            scope = scope_of("connector_status", snapshot, link=regulator.facts(), assigned=regulator.assigned)
            ours = dict(zip(_IDS, (station.id, pile.code, connector.code), strict=True))
            for kind in _IDS:
                derived = _derived(regulator, kind, scope)
                if derived and owners.setdefault((kind, derived), ours[kind]) != ours[kind]:
                    yield f"{kind} {derived}: {owners[kind, derived]}, {ours[kind]}"


def _derived(regulator: Regulator, kind: str, scope: dict[str, Any]) -> str:
    if kind not in regulator.profile.spec.ids:
        return ""
    try:
        return str(regulator.profile.engine.derive(kind, scope) or "")
    except BadValue as error:
        raise RegulatorInvalid("profile", f"ids.{kind}: {error}") from error


def _new_row(session: HubSession, clock: Clock, box: SecretBox, spec: RegulatorLinkSpec) -> RegulatorLink:
    now = clock.now()
    row = RegulatorLink(
        id=new_id(),
        tenant_id=session.tenant_id,
        slug=spec.id,
        version=0,
        created_at=now,
        changed_at=now,
        **spec.members(),
    )
    row.outbound_keys = seal_secrets(box, row.id, spec.keys.outbound.secrets())
    session.add(row)
    return row


def _seal(box: SecretBox, row: RegulatorLink, spec: RegulatorLinkSpec) -> tuple[FieldChange, ...]:
    """Seal the keys when they differ from the stored ones; the diff only says that something changed."""
    wanted = spec.keys.outbound.secrets()
    try:
        same = not box.stale(row.outbound_keys) and open_secrets(box, row.id, row.outbound_keys) == wanted
    except SecretError:
        same = False
    if same:
        return ()
    row.outbound_keys = seal_secrets(box, row.id, wanted)
    return (FieldChange("keys.outbound", "changed", "changed"),)


def _announce(session: HubSession, clock: Clock, row: RegulatorLink, *, is_new: bool) -> None:
    row.version += 1
    row.changed_at = clock.now()
    session.flush()
    snapshot = {"slug": row.slug, "is_new": is_new}
    record_event(session, SAVED, row.id, row.version, snapshot, clock.now())
