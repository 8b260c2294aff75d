"""A driver for the worker's tests: answers as told, remembers what it was asked, checks nothing of the worker itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from charging_core.clock import ManualClock
from charging_core.db import Database, HubSession
from charging_core.events import DomainEvent, record_event
from worker.api import Body, Delivery, Destination, DriverDefaults, Exchange, PlannedDelivery, Registry, Verdict
from worker.judging import judge_by_policy
from worker.model import DeliveryAttempt, DeliveryRow
from worker.planning import enqueue
from worker.policy import DeliveryPolicy, RetryPolicy
from worker.runtime import WorkerRuntime
from worker.settings import WorkerSettings

TENANT = "t1"
SUCCESS = Exchange(request_text="{}", answer_text='{"Ret":0}', http_status=200, answer={"Ret": 0}, duration_ms=3)
BUSY = Exchange(http_status=200, answer={"Ret": -1, "Msg": "busy"})
NO_JITTER = DeliveryPolicy(jitter=0, retry=RetryPolicy(ladder=(15, 15, 30), then="stop"))

Answer = Exchange | Callable[[Delivery], Exchange]


@dataclass
class RecordingDriver(DriverDefaults):
    """Plans one delivery per event and destination; `answers` are used up in order, the last one again and again."""

    kind: str = "partner"
    destinations: tuple[str, ...] = ("link-1",)
    subscriptions: frozenset[str] = frozenset({"order.settled"})
    delivery_policy: DeliveryPolicy = NO_JITTER
    answers: list[Answer] = field(default_factory=lambda: [SUCCESS])
    planned: Callable[[DomainEvent, str], Any] | None = None
    sent: list[tuple[str, str, int]] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    finished: list[tuple[str, Verdict]] = field(default_factory=list)
    renders: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        for destination in self.destinations:
            if self.planned is not None:
                self.planned(event, destination)
            yield plan_of(self, event.subject_id, event.version, destination)

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        return self.delivery_policy

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        self.renders += 1
        return {"OrderNo": delivery.object_key, **delivery.snapshot}

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        with self._lock:
            self.sent.append((delivery.destination.id, delivery.object_key, delivery.object_version))
            self.bodies.append(body)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(delivery) if callable(answer) else answer

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        return judge_by_policy(self.delivery_policy, delivery.body or {}, exchange)

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        self.finished.append((delivery.object_key, verdict))


def plan_of(
    driver: RecordingDriver, key: str, version: int = 1, destination: str = "link-1", **more: Any
) -> PlannedDelivery:
    """A delivery of `order` to one of the driver's destinations."""
    more.setdefault("policy", driver.delivery_policy)
    return PlannedDelivery(Destination(driver.kind, destination), "order", key, version, **more)


def runtime(
    db: Database, clock: ManualClock, *drivers: RecordingDriver, real: ManualClock | None = None, **settings: Any
) -> WorkerRuntime:
    """A runtime with these drivers, to be pumped by hand or started."""
    registry = Registry()
    for driver in drivers:
        registry.register(driver)
    return WorkerRuntime(db, clock, registry, WorkerSettings(**settings), real_clock=real)


def put(db: Database, clock: ManualClock, *plans: PlannedDelivery, tenant: str = TENANT, **more: Any) -> list[str]:
    """Enqueue without an event."""
    with db.session(tenant) as session:
        return enqueue(session, plans, clock, tenant, **more)


def tell(
    db: Database, at: datetime, key: str, version: int = 1, kind: str = "order.settled", tenant: str = TENANT
) -> str:
    """Commit one domain event and return its id."""
    with db.session(tenant) as session:
        return record_event(session, kind, key, version, {"total": "1.20"}, at).id


def rows(db: Database) -> dict[tuple[str, str, int], DeliveryRow]:
    """All deliveries by (destination, object key, version)."""
    with db.read_system("test") as session:
        found = session.query(DeliveryRow).all()
        return {(row.destination_id, row.object_key, row.object_version): row for row in found}


def row(db: Database, key: str, version: int = 1, destination: str = "link-1") -> DeliveryRow:
    """One delivery."""
    return rows(db)[destination, key, version]


def attempts(db: Database, key: str) -> list[DeliveryAttempt]:
    """The attempts of the delivery of `key`, oldest first."""
    with db.read_system("test") as session:
        query = session.query(DeliveryAttempt).join(DeliveryRow, DeliveryRow.id == DeliveryAttempt.delivery_id)
        return query.filter(DeliveryRow.object_key == key).order_by(DeliveryAttempt.number).all()
