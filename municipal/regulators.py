"""A regulator link ready for use: its row with the profile behind it, and what is in its scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.db import HubSession
from municipal import metrics
from municipal.model import RegulatorLink
from municipal.profiles.loader import RegionProfile, cached_region
from municipal.profiles.schema import RegionInterfaceSpec
from partners.profiles.errors import ProfileError
from worker.policy import DeliveryPolicy

log = structlog.get_logger()

KIND = "regulator"
"""The destination kind; the destination id is the link's."""

DISCHARGE = "discharge"
"""`direction` of an order in which the vehicle gives energy back (V2G)."""


@dataclass(frozen=True, slots=True)
class Regulator:
    """One link without its secrets. `stations` is `all`, `operator`, or the codes that the regulator is told of."""

    id: str
    tenant_id: str
    slug: str
    our_operator_id: str
    their_operator_id: str
    stations: str | frozenset[str]
    wire_names: Mapping[str, str]
    assigned: Mapping[str, Any]
    enabled: bool
    profile: RegionProfile = field(repr=False)

    def covers(self, operator_id: str, station_code: str, area_code: str) -> bool:
        """Whether a station is told of: authorised on the link, and inside the platform's region."""
        if not area_code.startswith(tuple(self.profile.spec.region.area_prefixes)):
            return False
        if isinstance(self.stations, frozenset):
            return station_code in self.stations
        return self.stations == "all" or operator_id == self.our_operator_id

    def concerns(self, snapshot: Mapping[str, Any]) -> bool:
        """`covers` for a canonical object; also leaves out what the profile does not want to hear of."""
        if self.profile.spec.scope.discharge == "exclude" and snapshot.get("direction") == DISCHARGE:
            return False
        station = snapshot.get("station") or snapshot
        return self.covers(snapshot["operator"]["id"], station["code"], station["area_code"])

    def wire_name(self, interface: str) -> str:
        """How this platform spells an interface. Raises `InvalidProfile` for one that the profile does not have."""
        published = self.profile.interface(interface).wire_name
        return published or self.wire_names[interface]

    def speaking_on(self, event: str) -> list[tuple[str, RegionInterfaceSpec]]:
        """The pushes that a domain event makes."""
        return [(name, part) for name, part in sorted(self.profile.spec.interfaces.items()) if part.event == event]

    def telling(self, source: str) -> list[tuple[str, RegionInterfaceSpec]]:
        """The pushes that map this canonical object."""
        return [(name, part) for name, part in sorted(self.profile.spec.interfaces.items()) if part.source == source]

    def policy(self, interface: str) -> DeliveryPolicy:
        """How to deliver a push on this link. Raises `InvalidProfile` for one that the profile does not have."""
        transport = self.profile.spec.transport
        # One renewed token and one repeat are four exchanges at worst, but two of them are refused at once.
        timeout_s = 2 * (transport.connect_timeout_s + transport.read_timeout_s)
        return self.profile.engine.interface(interface).policy.model_copy(update={"timeout_s": timeout_s})

    def facts(self) -> dict[str, Any]:
        """What profiles may use of the link."""
        return {
            "slug": self.slug,
            "our_operator_id": self.our_operator_id,
            "their_operator_id": self.their_operator_id,
        }


def regulator_of(row: RegulatorLink) -> Regulator:
    """The link behind a row. Raises `ProfileError` when its profile cannot be loaded."""
    return Regulator(
        id=row.id,
        tenant_id=row.tenant_id,
        slug=row.slug,
        our_operator_id=row.our_operator_id,
        their_operator_id=row.their_operator_id,
        stations=frozenset(row.stations) if isinstance(row.stations, list) else str(row.stations),
        wire_names=row.wire_names,
        assigned=row.assigned_codes,
        enabled=row.enabled,
        profile=cached_region(row.profile),
    )


def find_regulator(session: HubSession, link_id: str) -> Regulator | None:
    """The link of that id; None when it is not there or cannot be opened."""
    row = session.scalars(select(RegulatorLink).where(RegulatorLink.id == link_id)).one_or_none()
    return None if row is None else _opened(row)


def enabled_regulators(session: HubSession) -> list[Regulator]:
    """The enabled links in the session's scope. One that cannot be opened is left out, logged and counted: the others go on."""
    rows = session.scalars(select(RegulatorLink).where(RegulatorLink.enabled).order_by(RegulatorLink.id))
    return [regulator for row in rows if (regulator := _opened(row)) is not None]


def _opened(row: RegulatorLink) -> Regulator | None:
    try:
        return regulator_of(row)
    except ProfileError as error:
        metrics.UNUSABLE.inc()
        log.error("regulator_unusable", regulator=row.slug, tenant=row.tenant_id, problem=str(error))
        return None
