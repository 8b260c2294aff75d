"""What we tell partners: the worker's driver for destinations of kind `partner` (DESIGN way 3).

A domain event becomes one delivery per link that is concerned: status changes go to every authorised link, orders only to the link that
started them. Which event feeds which interface, and how it is delivered, stands in the link's profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import structlog

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.ids import new_id
from partners import metrics
from partners.calling import TOKEN_REFUSED, UNWRITABLE, Clients, exchange_of
from partners.links import Link, LinkBook
from partners.model import PartnerDispute
from partners.profiles.engine import Problem, contract_form, refresh_push_times, render
from partners.profiles.profile import CompiledInterface
from partners.profiles.scope import scope_of
from worker.api import Body, Delivery, Destination, DriverDefaults, Exchange, Outcome, PlannedDelivery, Verdict
from worker.errors import BodyRefused, NotReady
from worker.judging import judge_by_policy
from worker.policy import DeliveryPolicy

log = structlog.get_logger()

KIND = "partner"
STATUS_EVENT = "connector.status_changed"
EVENTS = frozenset(
    {
        STATUS_EVENT,
        "order.created",
        "order.started",
        "order.start_failed",
        "order.stopped",
        "order.settled",
        "order.resettled",
    }
)
OPEN = "open"
"""State of a dispute that nobody has dealt with."""

_BEGINS_AT = {"start_result": "created_at", "order": "ended_at"}
"""From when a deadline counts, where that is not the event: the start request, and the end of the charge."""


class PartnerDriver(DriverDefaults):
    """The worker's driver for partner platforms."""

    kind = KIND
    subscriptions = EVENTS

    def __init__(self, clock: Clock, book: LinkBook, clients: Clients) -> None:
        self._clock = clock
        self._book = book
        self._clients = clients

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        """One delivery per concerned link and interface."""
        for link in self._book.of_tenant(event.tenant_id):
            if link.outbound is None or not concerns(link, event.type, event.snapshot):
                continue
            for interface in _interfaces_for(link, event.type):
                if interface.wanted(scope_of(interface.spec.source, event.snapshot, link=link.facts())):
                    yield plan_push(link, interface, event.subject_id, event.version, event.snapshot)

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        """By the link's profile; a link that is gone keeps its deliveries visible under the defaults."""
        link = self._book.get(delivery.destination.id)
        return DeliveryPolicy() if link is None else link.policy(delivery.interface)

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        """The body by profile. Raises `NotReady` without a link or an assigned id, `BodyRefused` for what can never be sent."""
        link = self._book.get(delivery.destination.id)
        if link is None:
            raise NotReady("no_link", f"链路不可用 link {delivery.destination.id} is not usable")
        source = link.profile.interface(delivery.interface).spec.source
        scope = scope_of(source, delivery.snapshot, link=link.facts())
        rendered = render(link.profile, delivery.interface, scope, self._clock.now())
        if rendered.problems:
            raise _refusal(delivery.interface, rendered.problems)
        return rendered.body

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        """One call on the link, with fresh push times."""
        link = self._book.get(delivery.destination.id)
        if link is None:
            return exchange_of(None, delivery.interface, body)
        fresh = refresh_push_times(link.profile, delivery.interface, body, self._clock.now())
        outgoing = contract_form(link.profile, delivery.interface, fresh)
        return exchange_of(self._clients.client(link), delivery.interface, outgoing)

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        """By the profile's predicates; a refused token is a matter of the link's settings, not of this push."""
        if exchange.error == TOKEN_REFUSED:
            return Verdict(Outcome.CONFIGURATION, exchange.error, exchange.answer_text[:200])
        if exchange.error == UNWRITABLE:
            return Verdict(Outcome.PERMANENT, exchange.error, exchange.answer_text[:200])
        link = self._book.get(delivery.destination.id)
        policy = DeliveryPolicy() if link is None else link.policy(delivery.interface)
        return judge_by_policy(policy, delivery.body or {}, exchange)

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """A contested order becomes a case."""
        if verdict.dispute:
            metrics.DISPUTES.inc()
            session.add(_dispute(delivery, verdict, self._clock.now()))


def concerns(link: Link, event_type: str, snapshot: dict[str, Any]) -> bool:
    """Whether the event is this link's business: its own orders, and the status of stations it may see."""
    if event_type == STATUS_EVENT:
        return link.may_see(snapshot["operator"]["id"], snapshot["station"]["code"])
    return snapshot.get("link_id") == link.id and bool(snapshot.get("start_charge_seq"))


def plan_push(
    link: Link, interface: CompiledInterface, object_key: str, version: int, snapshot: dict[str, Any]
) -> PlannedDelivery:
    """The delivery of one interface on one link."""
    begins = _BEGINS_AT.get(interface.spec.source)
    return PlannedDelivery(
        destination=Destination(KIND, link.id),
        interface=interface.name,
        object_key=object_key,
        object_version=version,
        policy=link.policy(interface.name),
        snapshot=snapshot,
        lane_key=(snapshot.get("connector") or {}).get("code"),
        occurred_at=snapshot.get(begins) if begins else None,
    )


def _interfaces_for(link: Link, event_type: str) -> Iterator[CompiledInterface]:
    for name in sorted(link.profile.names):
        interface = link.profile.interface(name)
        if interface.spec.direction == "push" and any(
            event_type in (trigger.on_event or ()) for trigger in interface.spec.trigger
        ):
            yield interface


def _refusal(interface: str, problems: tuple[Problem, ...]) -> NotReady | BodyRefused:
    for problem in problems:
        metrics.BODY_PROBLEMS.labels(interface, problem.code).inc()
    words = "; ".join(map(str, problems))[:300]
    if all(problem.code == "id_not_assigned" for problem in problems):
        return NotReady("id_not_assigned", words)
    return BodyRefused(problems[0].code, words)


def _dispute(delivery: Delivery, verdict: Verdict, now: datetime) -> PartnerDispute:
    snapshot = delivery.snapshot
    return PartnerDispute(
        id=new_id(),
        tenant_id=delivery.tenant_id,
        link_id=delivery.destination.id,
        order_id=delivery.object_key,
        start_charge_seq=str(snapshot.get("start_charge_seq")),
        delivery_id=delivery.id,
        energy_kwh=str(snapshot.get("energy_kwh")),
        total_yuan=str(snapshot.get("total_fee")),
        reason=verdict.message[:300] or None,
        state=OPEN,
        opened_at=now,
    )
