"""The interface of this room for the rooms above: drivers, planned deliveries, verdicts, schedules.

A room registers one `Driver` per destination kind (`partner`, `regulator`, `park`). The worker calls it in this order:

    plan(session, event)      in the relay's transaction: to whom, which interface, by which policy
    policy(session, delivery) when work on the delivery begins
    render(session, delivery) once, from the snapshot; the body is frozen
    validate(delivery, body)  before the network
    send(delivery, body)      outside of any transaction; never raises for what the other side does
    judge(delivery, exchange) what the answer means
    on_finished(session, delivery, verdict)  in the transaction that ends the delivery

A driver whose interfaces take several objects in one call is `Combining` besides. With a policy that has `batch`, `combine` makes one
body of those of several deliveries, `send` is called once with it and the first delivery, `judge` once for each delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from charging_core.db import HubSession
from charging_core.events import DomainEvent
from worker.errors import UnknownDriver
from worker.policy import DeliveryPolicy

__all__ = [
    "Body",
    "Combining",
    "Delivery",
    "Destination",
    "Driver",
    "DriverDefaults",
    "Exchange",
    "Job",
    "Outcome",
    "PlannedDelivery",
    "Problem",
    "Registry",
    "Requirement",
    "State",
    "Verdict",
]

Body = dict[str, Any]


class State(StrEnum):
    """Where a delivery is (DESIGN section 4). The first three are open, the others final."""

    WAITING = "waiting"
    LEASED = "leased"
    HELD = "held"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    DEAD = "dead"
    SUPERSEDED = "superseded"


class Outcome(StrEnum):
    """What one attempt came to (DECISIONS 20)."""

    OK = "ok"
    IGNORED = "ignored"
    BUSINESS_REFUSED = "business_refused"
    RETRYABLE = "retryable"
    PERMANENT = "permanent"
    CONFIGURATION = "configuration"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom a delivery is for: the driver's kind, and the id of the link, regulator or park in that room."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """Another delivery to the same destination that must have been accepted first (station before its status)."""

    interface: str
    object_key: str


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One delivery to be. Unique by (destination, interface, object_key, object_version); planning it twice is harmless.

    `lane_key` names the connector for `per_connector` lanes; `lane_order` is the place inside the lane (default: the version).
    `occurred_at` defaults to the event's and starts the deadline; `not_before` delays the first attempt.
    """

    destination: Destination
    interface: str
    object_key: str
    object_version: int
    policy: DeliveryPolicy
    snapshot: Mapping[str, Any] | None = None
    lane_key: str | None = None
    lane_order: int | None = None
    occurred_at: datetime | None = None
    not_before: datetime | None = None
    requires: Requirement | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as a driver sees it. `body` is None until the first attempt; times are business times."""

    id: str
    tenant_id: str
    destination: Destination
    interface: str
    object_key: str
    object_version: int
    snapshot: Mapping[str, Any]
    body: Body | None
    attempt_count: int
    event_id: str | None
    policy_name: str
    policy_version: str
    created_at: datetime
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went out and what came back. Texts are masked by the driver: they are kept and shown.

    `error` is empty when an answer was received: `timeout`, `connection`, `tls`, `invalid_answer`, … otherwise. `answer` holds the opened
    members (`Ret`, `Msg`, `Data`) that predicates look at. `sent` is false when it is certain that nothing left the house.
    """

    request_text: str = ""
    answer_text: str = ""
    http_status: int | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    duration_ms: int = 0
    error: str = ""
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The meaning of an attempt; `code` is the destination's own, `message` may be shown. `dispute` marks a contested order."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    dispute: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a body may not be sent: machine code (`missing`, `too_long`, `bad_enum`, …), the member, and words."""

    code: str
    member: str
    message: str = ""


class Driver(Protocol):
    """What a room does for one kind of destination. Methods are called from several threads at once."""

    @property
    def kind(self) -> str:
        """The destination kind, at most 32 characters."""
        ...

    @property
    def subscriptions(self) -> frozenset[str]:
        """The domain event types that `plan` wants to see."""
        ...

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        """Whom to tell of `event`. The session sees the event's tenant only; writing in it is allowed, sending is not."""
        ...

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        """How to deliver it, by the profile version named in the delivery."""
        ...

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        """The body, from the snapshot alone wherever possible. Raises `NotReady` or `BodyRefused`."""
        ...

    def validate(self, delivery: Delivery, body: Body) -> tuple[Problem, ...]:
        """Local check against the destination's rules; any problem ends the delivery before the network."""
        ...

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        """One attempt, at most the policy's `timeout_s` long; failures of the network are part of the result."""
        ...

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        """What the exchange means; `worker.judging.judge_by_policy` does it from the profile alone."""
        ...

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """Called once in the transaction that ends the delivery as delivered, rejected or dead; scoped to its tenant."""
        ...


@runtime_checkable
class Combining(Protocol):
    """A driver that can send several deliveries of one interface in one call."""

    def combine(self, deliveries: Sequence[Delivery]) -> Body:
        """One call's body out of the (frozen) bodies of deliveries to one destination, in their order."""
        ...


class DriverDefaults:
    """Base for drivers that have nothing to validate or to do at the end."""

    def validate(self, delivery: Delivery, body: Body) -> tuple[Problem, ...]:
        """No local rules."""
        return ()

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something done on a schedule by the one leading scheduler.

    `run(tick)` gets the business instant it is for. `align: clock` ticks at multiples of `every_s` on the Chinese wall clock, `start` at
    multiples after the scheduler first saw the job. `daily` gives one tick a day instead, at a steady random moment of the
    window. Missed ticks are not replayed unless `backfill`.
    """

    name: str
    run: Callable[[datetime], None]
    every_s: float = 60.0
    align: Literal["clock", "start"] = "clock"
    daily: tuple[time, time] | None = None
    backfill: bool = False


class Registry:
    """What the rooms above have brought: drivers by kind, jobs by name. Filled by the composition before the runtime starts."""

    def __init__(self) -> None:
        self._drivers: dict[str, Driver] = {}
        self._jobs: dict[str, Job] = {}

    def register(self, driver: Driver) -> None:
        """Add a driver. Raises `ValueError` when its kind is taken."""
        if driver.kind in self._drivers:
            raise ValueError(f"destination kind {driver.kind!r} has a driver already")
        self._drivers[driver.kind] = driver

    def schedule(
        self,
        name: str,
        run: Callable[[datetime], None],
        *,
        every_s: float = 60.0,
        align: Literal["clock", "start"] = "clock",
        daily: tuple[time, time] | None = None,
        backfill: bool = False,
    ) -> None:
        """Add a job (see `Job`). Raises `ValueError` when its name is taken."""
        if name in self._jobs:
            raise ValueError(f"job {name!r} exists already")
        self._jobs[name] = Job(name, run, every_s, align, daily, backfill)

    def driver(self, kind: str) -> Driver:
        """The driver of a kind. Raises `UnknownDriver`."""
        try:
            return self._drivers[kind]
        except KeyError as error:
            raise UnknownDriver(f"no driver for destination kind {kind!r}") from error

    def subscribers(self, event_type: str) -> tuple[Driver, ...]:
        """The drivers that want to see events of this type."""
        return tuple(driver for driver in self._drivers.values() if event_type in driver.subscriptions)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Destination kinds this process can serve."""
        return tuple(self._drivers)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All scheduled jobs."""
        return tuple(self._jobs.values())
