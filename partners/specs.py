"""Declaring partner links: what `hub apply` reads and saves. Unknown keys are refused; secrets come by reference only.

`save_link` is idempotent and returns what changed, in the words of `charging_core.changes`; run in a transaction that is rolled
back it is the diff.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)
from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.clock import Clock, to_china
from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.secretbox import SecretBox, SecretError
from charging_core.tenants import Operator
from partners.authorised import authorised_connectors, authorised_stations, station_scope
from partners.errors import LinkInvalid
from partners.keys import Direction, Secrets, open_secrets, seal_secrets
from partners.links import Link, make_link
from partners.model import PartnerLink
from partners.profiles.errors import ProfileError
from partners.profiles.loader import load_profile
from partners.profiles.profile import Profile
from partners.roles import Role
from partners.secrets import SecretValue
from partners.tcec102.errors import ConfigurationError


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _network(value: str) -> str:
    return str(ip_network(value, strict=False))


def _placed(value: str, info: ValidationInfo) -> str:
    """An absolute path, since every process has its own working folder; relative ones start at the file's folder."""
    return str((Path((info.context or {}).get("folder", ".")) / value).absolute())


def _base(value: str) -> str:
    return f"/{value.strip('/')}/" if value.strip("/") else "/"


OperatorId = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{9}$")]
Base = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$"), AfterValidator(_base)]
Network = Annotated[str, AfterValidator(_network)]
StationName = Annotated[str, Field(pattern=r"^([0-9A-Za-z]{9}/)?[0-9A-Za-z]{1,20}$")]
"""A station code of `our_operator_id`, or `OperatorID/code` of another operator of the tenant."""
PemFile = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_placed)]
Seconds = Annotated[int, Field(gt=5, le=3600)]
ENVIRONMENT_MEMBERS = frozenset(
    {"their_operator_id", "our_operator_id", "inbound_base", "outbound_base", "keys", "verify_tls", "proxy"}
    | {"client_certificate", "ca_file", "allow_ips"}
)
"""What may differ between the test and the production side of one partner."""


class Section(BaseModel):
    """A part of a link's declaration."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class KeysSpec(Section):
    """One key set; each member `{env: NAME}` or `{file: path}`."""

    operator_secret: SecretValue
    data_secret: SecretValue
    data_iv: SecretValue
    sig_secret: SecretValue

    def secrets(self) -> Secrets:
        """In clear, for sealing."""
        names = ("operator_secret", "data_secret", "data_iv", "sig_secret")
        return Secrets(**{name: getattr(self, name).get_secret_value() for name in names})


class PreviousKeysSpec(KeysSpec):
    """A set that is being replaced; accepted until then, or as long as it is declared."""

    until: AwareDatetime | None = None


class NextKeysSpec(KeysSpec):
    """A set that replaces the present one at an instant agreed with the partner."""

    from_: AwareDatetime = Field(alias="from")


class OutboundKeysSpec(KeysSpec):
    """The partner's set for us, and the one that follows it."""

    next: NextKeysSpec | None = None


class LinkKeysSpec(Section):
    """`inbound`: the set that we issued, `inbound_previous` still accepted during a rotation; `outbound`: the partner's for us."""

    inbound: KeysSpec
    inbound_previous: PreviousKeysSpec | None = None
    outbound: OutboundKeysSpec | None = None

    def schedule(self) -> dict[str, str]:
        """When sets change, as options of the link."""
        until = self.inbound_previous.until if self.inbound_previous else None
        following = self.outbound.next if self.outbound else None
        changes = {"inbound_previous_until": until, "outbound_next_from": following.from_ if following else None}
        return {name: instant.astimezone(UTC).isoformat() for name, instant in changes.items() if instant}


class CertificateSpec(Section):
    """Our certificate for a partner that wants one (双向 TLS): PEM files that every process can read."""

    cert: PemFile
    key: PemFile


class TimingSpec(Section):
    """Deadlines agreed with this partner, in seconds; absent = the profile's."""

    start_result_s: Seconds | None = None
    stop_result_s: Seconds | None = None
    charge_status_s: Seconds | None = None
    order_s: Seconds | None = None
    status_query_s: Seconds | None = None


class PartnerLinkSpec(Section):
    """A link as declared (互联链路).

    `role` is ours: `cpo` sells our charging on it (they query, we push), `msp` lets our drivers charge at theirs (we query, they push).
    `ca_file` is a PEM file of the authorities that we trust on this link instead of the usual ones.
    `environments` holds what differs between test and production (addresses, keys, proxy …); `environment` says which of them counts.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    name: str = Field(min_length=1, max_length=64)
    profile: str = Field(default="textbook", max_length=200)
    environment: Literal["test", "prod"] = "test"
    role: Role = Role.CPO
    our_operator_id: OperatorId
    their_operator_id: Annotated[list[OperatorId], BeforeValidator(_as_list), Field(min_length=1)]
    inbound_base: Annotated[list[Base], BeforeValidator(_as_list)] = []
    outbound_base: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=300)] | None = None
    keys: LinkKeysSpec
    stations: Literal["all", "operator"] | list[StationName] = "all"
    timing: TimingSpec = TimingSpec()
    token_ttl_s: int | None = Field(default=None, ge=60, le=604_800)
    verify_tls: bool = True
    proxy: Annotated[str, Field(pattern=r"^https?://[^@\s/]+/?$", max_length=300)] | None = None
    client_certificate: CertificateSpec | None = None
    ca_file: PemFile | None = None
    allow_ips: list[Network] = []
    enabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _one_environment(cls, values: Any) -> Any:
        """Put the members of the named environment over the common ones."""
        if not isinstance(values, dict) or "environments" not in values:
            return values
        common = {name: value for name, value in values.items() if name != "environments"}
        sets, wanted = values["environments"], common.get("environment", "test")
        if not isinstance(sets, dict) or not set(sets) <= {"test", "prod"} or not isinstance(sets.get(wanted), dict):
            raise ValueError(f"environments 需要 {wanted} / environments needs {wanted}; only test and prod")
        strange = set(sets[wanted]) - ENVIRONMENT_MEMBERS
        if strange:
            raise ValueError(f"environments.{wanted}: {', '.join(sorted(strange))}?")
        return common | sets[wanted]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.outbound_base is not None and self.keys.outbound is None:
            raise ValueError("outbound_base 需要 keys.outbound / outbound_base needs keys.outbound")
        if self.ca_file is not None and not self.verify_tls:
            raise ValueError("ca_file 与 verify_tls: false 矛盾 / ca_file contradicts verify_tls: false")
        if self.environment == "prod" and not self.verify_tls:
            raise ValueError("生产环境必须校验证书 / production verifies certificates")
        if self.role is not Role.CPO and self.outbound_base is None:
            raise ValueError("role msp 需要 outbound_base / an msp link needs outbound_base")
        return self

    def members(self, tenant_id: str) -> dict[str, Any]:
        """The columns that are not secret."""
        certificate = self.client_certificate
        options = {
            "timing": self.timing.model_dump(exclude_none=True),
            "token_ttl_s": self.token_ttl_s,
            "verify_tls": self.verify_tls,
            "ca_file": self.ca_file,
            "role": self.role.value,
            "proxy": self.proxy,
            "client_certificate": certificate.model_dump() if certificate else None,
            **self.keys.schedule(),
        }
        return {
            "name": self.name,
            "profile": self.profile,
            "environment": self.environment,
            "our_operator_id": self.our_operator_id,
            "their_operator_ids": self.their_operator_id,
            "inbound_bases": self.inbound_base or [f"/{tenant_id}/evcs/v1/"],
            "outbound_base": self.outbound_base,
            "stations": self.stations,
            "options": options,
            "allow_ips": self.allow_ips,
            "enabled": self.enabled,
        }


def save_link(session: HubSession, clock: Clock, box: SecretBox, spec: PartnerLinkSpec) -> list[Change]:
    """Create or change the link of the session's tenant; nothing is written when nothing differs.

    Raises `LinkInvalid`: unknown or forbidden profile, unusable keys, unknown operator, or a route that another link has.
    """
    _check_profile(clock, spec)
    _check_operator(session, spec)
    _check_files(spec)
    # Locked: two changes at once must not end in one version, or processes would never notice the second.
    row = session.scalars(select(PartnerLink).where(PartnerLink.slug == spec.id).with_for_update()).one_or_none()
    wanted = spec.members(session.tenant_id)
    if row is None:
        row = _new_row(session, clock, spec, wanted)
        _seal_all(box, row, spec)
        session.add(row)
        changes = [Change("partner link", spec.id, Action.CREATE)]
    else:
        fields = (*set_members(row, wanted), *_seal_all(box, row, spec))
        changes = [Change("partner link", spec.id, Action.UPDATE, fields)] if fields else []
        if fields:
            row.version += 1
            row.changed_at = clock.now()
    link = _usable(box, row, clock)
    session.flush()
    _check_routes(session, row)
    _check_ids(session, link)
    return changes


def disable_links_except(session: HubSession, clock: Clock, declared: set[str]) -> list[Change]:
    """`--prune`: disable the tenant's links that are not declared; nothing is deleted."""
    changes = []
    absent = select(PartnerLink).where(PartnerLink.enabled, PartnerLink.slug.not_in(declared)).with_for_update()
    for row in session.scalars(absent):
        row.enabled = False
        row.version += 1
        row.changed_at = clock.now()
        changes.append(Change("partner link", row.slug, Action.DISABLE))
    return changes


def route_conflicts(session: HubSession) -> list[str]:
    """Routes (path, OperatorID) that more than one enabled link claims, in words. Needs a system session to see all tenants."""
    owners: dict[tuple[str, str], str] = {}
    conflicts = []
    for row in session.scalars(select(PartnerLink).where(PartnerLink.enabled).order_by(PartnerLink.id)):
        for route in _routes(row):
            first = owners.setdefault(route, row.id)
            if first != row.id:
                conflicts.append(f"{route[0]} + {route[1]}: {row.slug}")
    return conflicts


def _check_profile(clock: Clock, spec: PartnerLinkSpec) -> Profile:
    try:
        profile = load_profile(spec.profile)
        profile.check_allowed(spec.environment, to_china(clock.now()).date())
    except ProfileError as error:
        raise LinkInvalid("profile", str(error)) from error
    return profile


def _check_operator(session: HubSession, spec: PartnerLinkSpec) -> None:
    known = session.scalars(select(Operator).where(Operator.operator_id == spec.our_operator_id)).one_or_none()
    if known is None:
        raise LinkInvalid("our_operator_id", f"没有这个运营商 / no operator {spec.our_operator_id} in this tenant")


def _check_files(spec: PartnerLinkSpec) -> None:
    certificate = spec.client_certificate
    files = {"ca_file": spec.ca_file}
    if certificate is not None:
        files |= {"client_certificate.cert": certificate.cert, "client_certificate.key": certificate.key}
    for member, name in files.items():
        if name is not None and not Path(name).is_file():
            raise LinkInvalid(member, f"文件不存在 / no such file: {name}")


def _usable(box: SecretBox, row: PartnerLink, clock: Clock) -> Link:
    try:
        return make_link(row, box, clock.now())
    except (ConfigurationError, ProfileError) as error:
        raise LinkInvalid("keys", str(error)) from error


def _check_routes(session: HubSession, row: PartnerLink) -> None:
    if not row.enabled:
        return
    others = session.scalars(select(PartnerLink).where(PartnerLink.enabled, PartnerLink.id != row.id))
    taken = {route: other.slug for other in others for route in _routes(other)}
    for route in _routes(row):
        if route in taken:
            raise LinkInvalid("inbound_base", f"{route[0]} + {route[1]} 已属于 / belongs to {taken[route]}")


def _check_ids(session: HubSession, link: Link) -> None:
    """Two connectors must never have one id at the partner, nor two stations of an operator (`specs/municipal.md` 12.3)."""
    if not link.profile.native_id("connector_id"):
        twice = link.profile.collisions("connector_id", authorised_connectors(session, link))
        _refuse_twice("接口编码重复 / one ConnectorID for several connectors", twice)
    if not link.profile.native_id("station_id"):
        stations = [station_scope(station) for station in session.scalars(authorised_stations(link))]
        for operator_id in {scope["operator"]["id"] for scope in stations}:
            own = [scope for scope in stations if scope["operator"]["id"] == operator_id]
            _refuse_twice(
                "场站编码重复 / one StationID for several stations", link.profile.collisions("station_id", own)
            )


def _refuse_twice(words: str, twice: Iterable[str]) -> None:
    if twice:
        raise LinkInvalid("profile", f"{words}: {', '.join(sorted(twice))}")


def _routes(row: PartnerLink) -> list[tuple[str, str]]:
    return [(base, operator_id) for base in row.inbound_bases for operator_id in row.their_operator_ids]


def _new_row(session: HubSession, clock: Clock, spec: PartnerLinkSpec, wanted: dict[str, Any]) -> PartnerLink:
    now = clock.now()
    stamps = {"version": 1, "created_at": now, "changed_at": now}
    return PartnerLink(
        id=new_id(),
        tenant_id=session.tenant_id,
        slug=spec.id,
        inbound_keys=[],
        outbound_keys=None,
        outbound_next_keys=None,
        **stamps,
        **wanted,
    )


def _seal_all(box: SecretBox, row: PartnerLink, spec: PartnerLinkSpec) -> tuple[FieldChange, ...]:
    """Seal what differs from the stored sets; the diff only says that something changed."""
    changed = []
    keys = spec.keys
    inbound = [one.secrets() for one in (keys.inbound, keys.inbound_previous) if one is not None]
    if not _same(box, row, "inbound", row.inbound_keys, inbound):
        row.inbound_keys = [seal_secrets(box, row.id, "inbound", one) for one in inbound]
        changed.append(FieldChange("keys.inbound", "changed", "changed"))
    for column, declared, name in (
        ("outbound_keys", keys.outbound, "keys.outbound"),
        ("outbound_next_keys", keys.outbound.next if keys.outbound else None, "keys.outbound.next"),
    ):
        wanted = [] if declared is None else [declared.secrets()]
        stored = getattr(row, column)
        if not _same(box, row, "outbound", [stored] if stored else [], wanted):
            setattr(row, column, seal_secrets(box, row.id, "outbound", wanted[0]) if wanted else None)
            changed.append(FieldChange(name, "changed", "changed"))
    return tuple(changed)


def _same(box: SecretBox, row: PartnerLink, direction: Direction, sealed: list[str], wanted: list[Secrets]) -> bool:
    if any(box.stale(text) for text in sealed):
        return False
    try:
        return [open_secrets(box, row.id, direction, text) for text in sealed] == wanted
    except SecretError:
        return False
