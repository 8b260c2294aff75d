"""Hands claimed deliveries to worker processes through dramatiq: on Redis, or inside the process.

Only ids travel, those of one claim together.
The ledger is the truth: a message that is lost with Redis comes back when its lease ends, a message that is
delivered twice finds its token used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerError
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.ledger import Claim
from worker.settings import WorkerSettings

QUEUE = "deliveries"
NAMESPACE = "hub"
HEARTBEAT_TIMEOUT_MS = 10_000
MAINTENANCE_CHANCE = 1_000_000
"""With these two a killed worker's messages are back after 11 s instead of 221 s (`specs/stack.md`)."""
CONSUMERS = 2
"""Threads that take messages over: one prepares while the other waits for the database. Sending has threads of its own."""
TOGETHER, PREFETCH = 8, 1
"""Claims in one message, and messages that a process takes before it has room: their cost is shared, and two processes still share what
one of them claimed."""
CONSUMER_POLL_MS = 100
"""How long an idle consumer of Redis sleeps at most; half of it is the median delay it adds."""
SOCKET_TIMEOUT_S = 5.0


class BrokerAway(Exception):
    """Raised by `submit` when Redis cannot be reached; the claims are the caller's again."""


class Broker:
    """One queue of claims and the threads that take them over. `handle` must not raise."""

    def __init__(self, settings: WorkerSettings, handle: Callable[[list[Claim]], object]) -> None:
        self._broker = _make(settings.redis_url)

        def deliver(*claims: list[str]) -> None:
            handle([Claim(delivery_id, token) for delivery_id, token in claims])

        self._actor = dramatiq.actor(actor_name="deliver", queue_name=QUEUE, broker=self._broker)(deliver)
        self._worker: dramatiq.Worker | None = None

    def start(self) -> None:
        """Start the threads. They wait for Redis when it is away."""
        self._worker = dramatiq.Worker(
            self._broker, worker_threads=CONSUMERS, worker_timeout=CONSUMER_POLL_MS, queues={QUEUE}
        )
        self._worker.queue_prefetch = PREFETCH
        self._worker.start()

    def submit(self, claims: Sequence[Claim]) -> None:
        """Queue claims. Raises `BrokerAway`; those queued before the failure may be worked on all the same."""
        try:
            for start in range(0, len(claims), TOGETHER):
                some = claims[start : start + TOGETHER]
                self._actor.send(*([claim.delivery_id, claim.token] for claim in some))
        except (BrokerError, redis.RedisError, OSError) as error:
            raise BrokerAway(str(error)) from error

    def stop(self, timeout_s: float) -> None:
        """Let the attempts under way end, at most `timeout_s` long, and close."""
        if self._worker is not None:
            self._worker.stop(timeout=int(timeout_s * 1000))
        self._broker.close()


def _make(redis_url: str | None) -> dramatiq.Broker:
    # No middleware: retries, time limits and results are the ledger's business.
    if redis_url is None:
        return StubBroker(middleware=[])
    client = redis.Redis.from_url(
        redis_url,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; who submits has another way to go
    )
    return RedisBroker(  # type: ignore[no-untyped-call]  # its constructor is not annotated
        client=client,
        middleware=[],
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
