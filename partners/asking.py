"""One question of a partner: the link, the opened body, and the few things every handler does with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from charging_core.db import Database, HubSession
from charging_core.orders.ports import OrderContext
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector
from partners import metrics
from partners.authorised import authorised_connectors, connector_scope
from partners.links import Link
from partners.profiles.engine import contract_form, render
from partners.profiles.scope import scope_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on a link. `body` is in the standard's form."""

    db: Database
    context: OrderContext
    link: Link
    body: dict[str, Any] = field(repr=False)  # plates, phones, secrets

    @contextmanager
    def reading(self) -> Iterator[HubSession]:
        """A read session of the link's tenant."""
        with self.db.read(self.link.tenant_id) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[HubSession]:
        """One transaction of the link's tenant."""
        with self.db.session(self.link.tenant_id) as session:
            yield session

    def answer(self, interface: str, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's body by the profile. What does not fit is our fault: it is left out, logged and counted."""
        profile = self.link.profile
        source = profile.interface(interface).spec.source
        named = scope_of(source, scope, link=self.link.facts(), request=self.body)
        rendered = render(profile, interface, named, self.context.clock.now())
        for problem in rendered.problems:
            metrics.BODY_PROBLEMS.labels(interface, problem.code).inc()
            log.error("partner_answer_incomplete", interface=interface, link=self.link.slug, problem=str(problem))
        return contract_form(profile, interface, rendered.body)

    def connector(self, session: HubSession, wire_id: str) -> Connector | None:
        """The authorised connector that the partner calls `wire_id`; None when it has none of that name."""
        code = wire_id if self.link.profile.native_id("connector_id") else self._connector_code(session, wire_id)
        found = None if code is None else find_connector(session, code)
        if found is None:
            return None
        station = found.pile.station
        return found if self.link.may_see(station.operator_id, station.code) else None

    def means(self, connector: Connector, wire_id: str) -> bool:
        """Whether the partner calls this connector `wire_id`, authorised for it (any more) or not."""
        if self.link.profile.native_id("connector_id"):
            return connector.code == wire_id
        scope = connector_scope(connector.pile.station, connector.pile, connector)
        return bool(self.link.profile.derive("connector_id", scope) == wire_id)

    def _connector_code(self, session: HubSession, wire_id: str) -> str | None:
        """Our code behind a derived id, by deriving all of them: only profiles with such ids pay for it."""
        for scope in authorised_connectors(session, self.link):
            if self.link.profile.derive("connector_id", scope) == wire_id:
                return str(scope["connector"]["code"])
        return None
