"""Destinations by the names the operator knows: a partner's or regulator's link, a park. The ledger itself knows only ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import Conflict, NotFound
from municipal.model import RegulatorLink
from parking.model import Park
from partners.model import PartnerLink
from worker.api import Destination
from worker.errors import NotRepairable

PARTNER, REGULATOR, PARK = "partner", "regulator", "park"
_SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Named:
    """A destination with its tenant, its short name (unique per kind and tenant) and its name for people."""

    tenant_id: str
    destination: Destination
    short: str
    title: str

    @property
    def label(self) -> str:
        """`kind:short`: what lists show and what every command takes."""
        return f"{self.destination.kind}{_SEPARATOR}{self.short}"

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """A refused repair of this destination names it as people do, not by its id."""
        try:
            yield
        except NotRepairable as error:
            words = str(error).replace(f"{self.destination.kind} {self.destination.id}", self.label)
            raise NotRepairable(words) from error


class Destinations:
    """Every destination of the session's scope."""

    def __init__(self, session: HubSession) -> None:
        self._all = [*_links(session), *_parks(session)]
        self._by_id = {(one.destination.kind, one.destination.id): one for one in self._all}

    def label(self, kind: str, destination_id: str) -> str:
        """`kind:short name`; the id stands for one that is not declared any more."""
        known = self._by_id.get((kind, destination_id))
        return known.label if known else f"{kind}{_SEPARATOR}{destination_id}"

    def title(self, kind: str, destination_id: str) -> str:
        """The name for people; the label when there is none."""
        known = self._by_id.get((kind, destination_id))
        return known.title if known else self.label(kind, destination_id)

    def subject(self, subject: str) -> str:
        """What an entry in the record of actions is about: `kind:id` becomes the label, a delivery's id stays."""
        kind, _, destination_id = subject.partition(_SEPARATOR)
        return self.label(kind, destination_id) if destination_id else subject

    def find(self, name: str) -> Named:
        """By `kind:short name`, short name or id. Raises `NotFound`, or `Conflict` when several have this name."""
        found = [one for one in self._all if name in (one.label, one.short, one.destination.id)]
        if not found:
            known = " ".join(sorted({one.label for one in self._all})) or "-"
            raise NotFound(f"destination {name} (已有 / known: {known})")
        if len(found) > 1:
            same = " ".join(f"{one.label} ({one.tenant_id})" for one in found)
            raise Conflict(f"{name}: 有多个, 请写明种类或租户 / several, name the kind or the tenant: {same}")
        return found[0]


def _links(session: HubSession) -> list[Named]:
    tables: Mapping[str, type[PartnerLink] | type[RegulatorLink]] = {PARTNER: PartnerLink, REGULATOR: RegulatorLink}
    found = []
    for kind, table in tables.items():
        for tenant, key, slug, name in session.execute(select(table.tenant_id, table.id, table.slug, table.name)):
            found.append(Named(tenant, Destination(kind, key), slug, name))
    return found


def _parks(session: HubSession) -> list[Named]:
    rows = session.execute(select(Park.tenant_id, Park.id, Park.code, Park.name))
    return [Named(tenant, Destination(PARK, key), code, name) for tenant, key, code, name in rows]
