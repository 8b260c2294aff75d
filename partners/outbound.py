"""What we tell partners: the worker's driver for destinations of kind `partner` (DESIGN way 3).

A domain event becomes one delivery per link that is concerned: status changes go to every authorised link, orders only to the link that
started them. Which event feeds which interface, and how it is delivered, stands in the link's profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.stations.model import Connector, Pile, Station
from partners import metrics
from partners.bills import within_bounds
from partners.calling import TOKEN_REFUSED, UNWRITABLE, Clients, exchange_of
from partners.errors import LinkUnusable
from partners.links import Link, LinkBook
from partners.model import PartnerLink
from partners.profiles.engine import Problem, combine, contract_form, refresh_push_times, render
from partners.profiles.profile import CompiledInterface
from partners.profiles.scope import scope_of
from partners.reconcile import disputes, judging, statements
from partners.stationpush import stations_of, with_fees
from worker.api import Body, Delivery, Destination, DriverDefaults, Exchange, Outcome, PlannedDelivery, Verdict
from worker.errors import BodyRefused, NotReady
from worker.judging import judge_by_policy
from worker.policy import DeliveryPolicy

log = structlog.get_logger()

KIND = "partner"
STATUS_EVENT = "connector.status_changed"
STATION_EVENT, TARIFF_EVENT = "station.changed", "tariff.published"
EVENTS = frozenset(
    {
        STATUS_EVENT,
        STATION_EVENT,
        TARIFF_EVENT,
        "order.created",
        "order.started",
        "order.start_failed",
        "order.stopped",
        "order.settled",
        "order.resettled",
    }
)
NEVER = "false"
"""The `when` of an interface that no profile has switched on: not worth a look at the stations."""

_BEGINS_AT = {"start_result": "created_at", "order": "ended_at"}
"""From when a deadline counts, where that is not the event: the start request, and the end of the charge."""


@dataclass(frozen=True, slots=True)
class AnsweredVerdict(Verdict):
    """An acceptance whose answer matters afterwards: the differences that a statement found."""

    answer: Mapping[str, Any] = field(default_factory=dict)


class PartnerDriver(DriverDefaults):
    """The worker's driver for partner platforms."""

    kind = KIND
    subscriptions = EVENTS

    def __init__(self, clock: Clock, book: LinkBook, clients: Clients) -> None:
        self._clock = clock
        self._book = book
        self._clients = clients

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        """One delivery per concerned link and interface. Raises `LinkUnusable` rather than forget what an order's link must be told."""
        if event.type in (STATION_EVENT, TARIFF_EVENT):
            yield from self._stations_changed(session, event)
            return
        for link in self._concerned(session, event):
            if link.outbound is None:
                continue
            for interface in _interfaces_for(link, event.type):
                if interface.wanted(scope_of(interface.spec.source, event.snapshot, link=link.facts())):
                    yield plan_push(link, interface, event.subject_id, event.version, event.snapshot)

    def _stations_changed(self, session: HubSession, event: DomainEvent) -> Iterator[PlannedDelivery]:
        """For links whose profile has switched such a push on (11.15): the station that changed, or all of a tariff."""
        links = [
            link for link in self._book.of_tenant(event.tenant_id) if link.role.sells and link.outbound is not None
        ]
        listening = [(link, one) for link in links for one in _interfaces_for(link, event.type)]
        told = stations_of(session, event) if any(one.spec.when != NEVER for _, one in listening) else []
        for station in told:
            operator_id, code = station.snapshot["operator"]["id"], station.snapshot["code"]
            for link, interface in listening:
                scope = scope_of(interface.spec.source, station.snapshot, link=link.facts())
                if link.may_see(operator_id, code) and interface.wanted(scope):
                    yield station.delivery(link, interface)

    def _concerned(self, session: HubSession, event: DomainEvent) -> Iterable[Link]:
        """Orders: the link that started it, disabled or not, since its bill must arrive one day. Status: every link that may see it."""
        if event.type != STATUS_EVENT:
            link = self._link_of_order(session, event)
            return [] if link is None else [link]
        operator_id, code = event.snapshot["operator"]["id"], event.snapshot["station"]["code"]
        links = [
            link
            for link in self._book.of_tenant(event.tenant_id)
            if link.role.sells and link.may_see(operator_id, code)
        ]
        return links if links and _in_service(session, event.subject_id) else []

    def _link_of_order(self, session: HubSession, event: DomainEvent) -> Link | None:
        link_id = event.snapshot.get("link_id")
        if link_id is None or not event.snapshot.get("start_charge_seq"):
            return None
        link = self._book.get(link_id)
        if link is None and session.scalar(select(PartnerLink.id).where(PartnerLink.id == link_id)) is not None:
            self._book.refresh()  # the picture is up to two seconds old, and an order may fail faster
            link = self._book.get(link_id)
            if link is None:
                raise LinkUnusable(f"链路无法打开 / link {link_id} cannot be opened by this process")
        return link if link is not None and link.tenant_id == event.tenant_id else None

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        """By the link's profile; a link that is gone keeps its deliveries visible under the defaults."""
        link = self._book.get(delivery.destination.id)
        return DeliveryPolicy() if link is None else link.policy(delivery.interface)

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        """The body by profile. Raises `NotReady` without a usable link or an assigned id, `BodyRefused` for what can never be sent."""
        link = self._book.get(delivery.destination.id)
        if link is None:
            raise NotReady("no_link", f"链路不可用 link {delivery.destination.id} is not usable")
        if not link.enabled:  # waits without climbing its ladder, which may end
            raise NotReady("link_disabled", f"链路已停用 link {link.slug} is disabled")
        source = link.profile.interface(delivery.interface).spec.source
        facts = with_fees(delivery.snapshot) if source == "station" else within_bounds(delivery.snapshot)
        scope = scope_of(source, facts, link=link.facts())
        rendered = render(link.profile, delivery.interface, scope, self._clock.now())
        if rendered.problems:
            raise _refusal(delivery.interface, rendered.problems)
        return rendered.body

    def combine(self, deliveries: Sequence[Delivery]) -> Body:
        """The objects of several pushes as one list, where the profile has a `batch`."""
        first = deliveries[0]
        link = self._book.get(first.destination.id)
        if link is None:  # `send` says so
            return first.body or {}
        return combine(link.profile, first.interface, [one.body or {} for one in deliveries])

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        """One call on the link, with fresh push times."""
        link = self._book.get(delivery.destination.id)
        if link is None:
            return exchange_of((), delivery.interface, body)
        fresh = refresh_push_times(link.profile, delivery.interface, body, self._clock.now())
        outgoing = contract_form(link.profile, delivery.interface, fresh)
        return exchange_of(self._clients.in_turn(link), delivery.interface, outgoing)

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        """By the profile's predicates; a refused token is a matter of the link's settings, not of this push."""
        if exchange.error == TOKEN_REFUSED:
            return Verdict(Outcome.CONFIGURATION, exchange.error, exchange.answer_text[:200])
        if exchange.error == UNWRITABLE:
            return Verdict(Outcome.PERMANENT, exchange.error, exchange.answer_text[:200])
        link = self._book.get(delivery.destination.id)
        policy = DeliveryPolicy() if link is None else link.policy(delivery.interface)
        verdict = judge_by_policy(policy, delivery.body or {}, exchange)
        if delivery.interface == statements.INTERFACE and verdict.outcome is Outcome.OK:
            return AnsweredVerdict(
                verdict.outcome, verdict.code, verdict.message, answer=exchange.answer.get("Data") or {}
            )
        return verdict

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """A contested order becomes a case, a confirmed one closes it; a statement's answer is booked."""
        if delivery.interface == statements.INTERFACE:
            self._statement_finished(session, delivery, verdict)
        elif verdict.dispute:
            disputes.contest(session, _contest(delivery, verdict), self._clock.now())
        elif verdict.outcome is Outcome.OK and delivery.interface == disputes.BILL_INTERFACE:
            seq = str(delivery.snapshot.get("start_charge_seq"))
            disputes.bill_confirmed(session, delivery.destination.id, seq, delivery.object_version, self._clock.now())

    def _statement_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        if isinstance(verdict, AnsweredVerdict):
            judging.take_answer(session, delivery.object_key, verdict.answer, self._clock.now())
        else:
            judging.statement_failed(
                session, delivery.object_key, f"{verdict.outcome} {verdict.code} {verdict.message}"
            )


def _in_service(session: HubSession, connector_id: str) -> bool:
    """Whether the connector and all around it is enabled: what partners are not shown they are not told of either."""
    enabled = select(Connector.id).join(Connector.pile).join(Pile.station)
    enabled = enabled.where(Connector.id == connector_id, Connector.enabled, Pile.enabled, Station.enabled)
    return session.scalar(enabled) is not None


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


def _contest(delivery: Delivery, verdict: Verdict) -> disputes.Contest:
    snapshot = delivery.snapshot
    return disputes.Contest(
        link_id=delivery.destination.id,
        start_charge_seq=str(snapshot.get("start_charge_seq")),
        source=disputes.BILL,
        order_id=delivery.object_key,
        delivery_id=delivery.id,
        object_version=delivery.object_version,
        energy_kwh=str(snapshot.get("energy_kwh")),
        total_yuan=str(snapshot.get("total_fee")),
        reason=verdict.message[:300] or None,
    )
