"""What we tell regulators: the worker's driver for destinations of kind `regulator` (DESIGN way 3).

A domain event becomes one delivery per regulator that is concerned and per push that speaks on it; `sweeps` adds what the clock asks for.
Everything about words and delivery is the region profile's. No call of a regulator reaches a pile from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.stations.model import Station
from municipal import metrics
from municipal.announcing import SAVED, plan_everything, remember, watched
from municipal.calling import UNOPENABLE, Clients, Opened
from municipal.mapping import body_of
from municipal.planning import plan_event, told_as
from municipal.profiles.schema import EVENTS
from municipal.regulators import KIND, Regulator, enabled_regulators, find_regulator
from partners.calling import TOKEN_REFUSED, UNWRITABLE, exchange_of
from partners.profiles.engine import Problem, combine, refresh_push_times
from partners.profiles.errors import ProfileError
from worker.api import Body, Delivery, DriverDefaults, Exchange, Outcome, PlannedDelivery, Verdict
from worker.errors import BodyRefused, NotReady
from worker.judging import judge_by_policy
from worker.policy import DeliveryPolicy

log = structlog.get_logger()

UNUSABLE = "link_unusable"
"""Nothing was sent because the link cannot be opened (its keys, its profile); that holds the destination."""
ID_AGAIN_S = 3600.0
"""Business seconds between looks whether a code has been issued by now; offices answer in days."""

_SETTINGS = frozenset({UNUSABLE, TOKEN_REFUSED})


class RegulatorDriver(DriverDefaults):
    """The worker's driver for regulators."""

    kind = KIND
    subscriptions = frozenset({*EVENTS.values(), SAVED})

    def __init__(self, clock: Clock, clients: Clients) -> None:
        self._clock = clock
        self._clients = clients

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        """One delivery per concerned regulator and push; everything for a link that was just saved."""
        if event.type == SAVED:
            return _everything(session, event)
        snapshot = event.snapshot
        if event.type == EVENTS["station"]:
            snapshot = told_as(session.get(Station, event.subject_id), snapshot)
        regulators = enabled_regulators(session)
        return [plan for regulator in regulators for plan in plan_event(regulator, event, snapshot)]

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        """By the link's profile; a link that is gone keeps its deliveries visible under the defaults."""
        return _policy(find_regulator(session, delivery.destination.id), delivery.interface)

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        """The body by profile. Raises `NotReady` without a link or an issued code, `BodyRefused` for what can never be sent."""
        regulator = find_regulator(session, delivery.destination.id)
        if regulator is None:
            raise NotReady("no_link", f"监管链路不可用 regulator {delivery.destination.id} is not usable")
        try:
            rendered = body_of(regulator, delivery.interface, delivery.snapshot, self._clock.now())
        except ProfileError as error:
            raise BodyRefused("no_interface", str(error)) from error
        if rendered.problems:
            raise _refusal(delivery.interface, rendered.problems)
        return rendered.body

    def combine(self, deliveries: Sequence[Delivery]) -> Body:
        """The objects of several pushes as one list, where the profile has a `batch`."""
        first = deliveries[0]
        try:
            opened = self._open(first)
        except UNOPENABLE:
            opened = None
        if opened is None:  # `send` says so
            return first.body or {}
        return combine(opened.regulator.profile.engine, first.interface, [one.body or {} for one in deliveries])

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        """One call of the regulator, with fresh push times."""
        try:
            opened = self._open(delivery)
        except UNOPENABLE as error:
            metrics.UNUSABLE.inc()
            log.error("regulator_unusable", regulator_id=delivery.destination.id, problem=str(error))
            return Exchange(answer_text=f"{type(error).__name__}: {error}"[:300], error=UNUSABLE, sent=False)
        if opened is None:
            return exchange_of(None, delivery.interface, body)
        regulator = opened.regulator
        fresh = refresh_push_times(regulator.profile.engine, delivery.interface, body, self._clock.now())
        return exchange_of(opened.client, regulator.wire_name(delivery.interface), fresh)

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        """By the profile's predicates; a refused token or an unusable link is a matter of settings, not of this push."""
        if exchange.error in _SETTINGS:
            return Verdict(Outcome.CONFIGURATION, exchange.error, exchange.answer_text[:200])
        if exchange.error == UNWRITABLE:
            return Verdict(Outcome.PERMANENT, exchange.error, exchange.answer_text[:200])
        opened = self._open(delivery)
        policy = _policy(opened.regulator if opened else None, delivery.interface)
        return judge_by_policy(policy, delivery.body or {}, exchange)

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """What was accepted is remembered: later changes are measured against it."""
        regulator = find_regulator(session, delivery.destination.id)
        if verdict.outcome is not Outcome.OK or regulator is None:
            return
        value = watched(_policy(regulator, delivery.interface), delivery.body or {})
        if value is not None:
            remember(session, delivery, value, self._clock.now())

    def _open(self, delivery: Delivery) -> Opened | None:
        return self._clients.open(delivery.tenant_id, delivery.destination.id)


def _everything(session: HubSession, event: DomainEvent) -> list[PlannedDelivery]:
    regulator = find_regulator(session, event.subject_id)
    if regulator is None or not regulator.enabled:
        return []
    return list(plan_everything(session, regulator, event.occurred_at))


def _policy(regulator: Regulator | None, interface: str) -> DeliveryPolicy:
    """The profile's policy; the defaults for a link or interface that is gone."""
    known = regulator is not None and interface in regulator.profile.spec.interfaces
    return regulator.policy(interface) if regulator is not None and known else DeliveryPolicy()


def _refusal(interface: str, problems: tuple[Problem, ...]) -> NotReady | BodyRefused:
    for problem in problems:
        metrics.BODY_PROBLEMS.labels(interface, problem.code).inc()
    words = "; ".join(map(str, problems))[:300]
    if all(problem.code == "id_not_assigned" for problem in problems):
        return NotReady("id_not_assigned", words, ID_AGAIN_S)
    return BodyRefused(problems[0].code, words)
