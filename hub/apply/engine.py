"""Writes a declaration in one transaction and says what changed. A dry run does the same work and rolls it back, so its diff is exact.

Absent objects stay untouched; `prune` disables them and never deletes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from charging_core.changes import Action, Change, set_members
from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import CoreError, NotFound
from charging_core.members.catalog import disable_members_except, save_member
from charging_core.piles.protocols.ocpp16.access import save_access
from charging_core.piles.protocols.ocpp16.book import PROTOCOL as OCPP
from charging_core.secretbox import SecretBox
from charging_core.stations.catalog import disable_station, save_station
from charging_core.stations.model import Station
from charging_core.tariffs.catalog import save_tariff
from charging_core.tariffs.model import Tariff
from charging_core.tenants import Operator, Tenant
from hub.apply.catalog import OperatorSection, StationSection
from hub.apply.checks import foreign_owners, unfit_tariffs
from hub.apply.document import Declaration
from hub.apply.marks import Path
from hub.apply.members import MemberSection
from hub.apply.parks import ParkSection
from hub.apply.tariffs import TariffSection
from hub.errors import ApplyError, Problem
from municipal.errors import MunicipalError
from municipal.specs import RegulatorLinkSpec, disable_regulators_except, save_regulator_link
from parking.catalog import disable_park, save_park
from parking.errors import ParkingError
from parking.model import Park
from partners.errors import PartnerError
from partners.specs import PartnerLinkSpec, disable_links_except, save_link

REFUSALS = (CoreError, MunicipalError, ParkingError, PartnerError)
"""What a room raises when an object contradicts what is stored; becomes a problem at the object's line."""


@dataclass(frozen=True)
class Applier:
    """Where declarations go."""

    db: Database
    clock: Clock
    box: SecretBox

    def apply(self, declaration: Declaration, *, dry_run: bool = False, prune: bool = False) -> list[Change]:
        """Bring the tenant to the declared state; returns what changed (nothing when applied before).

        Raises `ApplyError` when the declaration contradicts what is stored; nothing is changed then.
        """
        problems = foreign_owners(self.db, declaration)
        if problems:
            raise ApplyError(problems)
        try:
            with self.db.session(declaration.document.tenant.id) as session:
                changes = _Writer(self, session, declaration, prune=prune).write()
                if dry_run:
                    raise _RollBackError(changes)
        except _RollBackError as done:
            return done.changes
        return changes


class _RollBackError(Exception):
    """Raised at the end of a dry run, inside the transaction; carries what would have changed."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__()
        self.changes = changes


class _Writer:
    """One application of one declaration inside a transaction."""

    def __init__(self, applier: Applier, session: HubSession, declaration: Declaration, *, prune: bool) -> None:
        self._clock, self._box = applier.clock, applier.box
        self._session = session
        self._declaration = declaration
        self._prune = prune
        self._changes: list[Change] = []
        self._problems: list[Problem] = []

    def write(self) -> list[Change]:
        document = self._declaration.document
        self._changes += self._tenant()
        for name, save in self._savers():
            for index, section in enumerate(getattr(document, name)):
                self._save((name, index), save, section)
        if self._prune:
            self._changes += self._disable_absent()
        self._session.flush()
        self._problems += unfit_tariffs(self._session, self._declaration)
        if self._problems:
            raise ApplyError(self._problems)
        return self._changes

    def _savers(self) -> list[tuple[str, Callable[[Any], Iterable[Change]]]]:
        """The sections in the order in which one may refer to another."""
        return [
            ("operators", self._operator),
            ("tariffs", self._tariff),
            ("stations", self._station),
            ("partners", self._partner),
            ("regulators", self._regulator),
            ("parks", self._park),
            ("members", self._member),
        ]

    def _save(self, path: Path, save: Callable[[Any], Iterable[Change]], section: Any) -> None:
        try:
            self._changes += save(section)
        except REFUSALS as error:
            self._problems.append(self._declaration.marked.problem(path, str(error)))

    def _tenant(self) -> list[Change]:
        section = self._declaration.document.tenant
        tenant = self._session.scalars(select(Tenant).where(Tenant.id == section.id)).one_or_none()
        if tenant is None:
            self._session.add(Tenant(id=section.id, name=section.name, created_at=self._clock.now()))
            self._session.flush()
            return [Change("tenant", section.id, Action.CREATE)]
        fields = set_members(tenant, {"name": section.name})
        return [Change("tenant", section.id, Action.UPDATE, fields)] if fields else []

    def _operator(self, section: OperatorSection) -> list[Change]:
        wanted = section.model_dump(exclude={"id"}) | {"enabled": True}
        operator = self._session.scalars(select(Operator).where(Operator.operator_id == section.id)).one_or_none()
        if operator is None:
            self._session.add(Operator(operator_id=section.id, **wanted))
            self._session.flush()
            return [Change("operator", section.id, Action.CREATE)]
        fields = set_members(operator, wanted)
        return [Change("operator", section.id, Action.UPDATE, fields)] if fields else []

    def _tariff(self, section: TariffSection) -> list[Change]:
        return save_tariff(self._session, self._clock, section.spec())

    def _station(self, section: StationSection) -> list[Change]:
        changes = save_station(self._session, self._clock, section.spec(), prune=self._prune)
        for pile in section.piles:
            if pile.protocol == OCPP:
                password = pile.password.get_secret_value() if pile.password else None
                identity = pile.charge_point_id or pile.code
                changes += save_access(self._session, self._box, pile.code, identity, password)
        return changes

    def _partner(self, section: PartnerLinkSpec) -> list[Change]:
        return save_link(self._session, self._clock, self._box, section)

    def _regulator(self, section: RegulatorLinkSpec) -> list[Change]:
        return save_regulator_link(self._session, self._clock, self._box, section)

    def _park(self, section: ParkSection) -> list[Change]:
        return save_park(self._session, self._box, section.spec(), prune=self._prune)

    def _member(self, section: MemberSection) -> list[Change]:
        known = set(self._session.scalars(select(Station.code))) if section.stations else set()
        for code in section.stations or ():
            if code not in known:
                raise NotFound(f"没有场站 / there is no station {code}")
        return save_member(self._session, self._clock, section.spec())

    def _disable_absent(self) -> list[Change]:
        document = self._declaration.document
        declared = {(station.operator, station.code) for station in document.stations}
        changes = []
        for station in self._session.scalars(select(Station)).all():
            if (station.operator_id, station.code) not in declared:
                changes += disable_station(self._session, self._clock, station)
        changes += disable_links_except(self._session, self._clock, {link.id for link in document.partners})
        regulators = {link.id for link in document.regulators}
        changes += disable_regulators_except(self._session, self._clock, regulators)
        parks = {park.code for park in document.parks}
        for park in self._session.scalars(select(Park)).all():
            changes += disable_park(park) if park.code not in parks else []
        changes += disable_members_except(self._session, (member.code for member in document.members))
        changes += self._disable("tariff", Tariff, "code", {tariff.code for tariff in document.tariffs})
        changes += self._disable("operator", Operator, "operator_id", {operator.id for operator in document.operators})
        return changes

    def _disable(self, kind: str, model: type[Any], key: str, declared: set[str]) -> list[Change]:
        changes = []
        for row in self._session.scalars(select(model)).all():
            if row.enabled and getattr(row, key) not in declared:
                row.enabled = False
                changes.append(Change(kind, getattr(row, key), Action.DISABLE))
        return changes
