"""The worker of one process: relay, dispatcher, delivery threads, scheduler; started and stopped as one.

`hub serve` runs all of it, `hub run worker` everything but the scheduler, `hub run scheduler` the scheduler alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from charging_core.clock import Clock, SystemClock
from charging_core.db import Database
from worker.api import Registry, State
from worker.broker import Broker, BrokerAway
from worker.ledger import Claim, Ledger
from worker.metrics import BROKER_LOST, LOOP_ERRORS
from worker.pipeline import Pipeline
from worker.relay import Relay
from worker.scheduler import Scheduler
from worker.settings import WorkerSettings

log = structlog.get_logger()

AFTER_ERROR_S = 1.0
CLAIM_EVERY_S = 0.005
"""Shortest time between two claims: under load one claim serves the several attempts that ended meanwhile."""


class WorkerRuntime:
    """Owns the background threads. `wake` may be called from any thread, for instance from `HubSession.on_commit`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        registry: Registry,
        settings: WorkerSettings | None = None,
        *,
        deliver: bool = True,
        schedule: bool = True,
        real_clock: Clock | None = None,
    ) -> None:
        self.settings = settings or WorkerSettings()
        self._deliver, self._schedule = deliver, schedule
        self._registry = registry
        real = real_clock or SystemClock()
        self.relay = Relay(db, clock, registry, self.settings)
        self.ledger = Ledger(db, clock, self.settings, real)
        self.pipeline = Pipeline(db, clock, registry, self.settings, real)
        self.scheduler = Scheduler(db, clock, registry, self.settings, real)
        self._broker: Broker | None = None
        self._local: ThreadPoolExecutor | None = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._relay_wanted = threading.Event()
        self._claim_wanted = threading.Event()

    def start(self) -> None:
        """Start the threads. The sole worker of a database first takes back what its former life had leased."""
        loops: list[tuple[str, Callable[[], None]]] = []
        if self._deliver:
            if self.settings.redis_url is None:
                self.ledger.take_back_all()
            self._broker = Broker(self.settings, self._process)
            self._local = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="deliver-local")
            self._broker.start()
            loops += [("relay", self._relay_loop), ("dispatch", self._dispatch_loop), ("sweep", self._sweep_loop)]
        if self._schedule:
            loops.append(("scheduler", self._scheduler_loop))
        self._threads = [threading.Thread(target=run, name=f"worker-{name}", daemon=True) for name, run in loops]
        for thread in self._threads:
            thread.start()
        log.info("worker_started", name=self.settings.name, deliver=self._deliver, schedule=self._schedule)

    def stop(self, timeout_s: float = 20.0) -> None:
        """Stop claiming, let attempts under way end (at most `timeout_s`), give back the rest, resign as leader."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout_s)
        if self._broker is not None:
            self._broker.stop(timeout_s)
        if self._local is not None:
            self._local.shutdown(wait=True, cancel_futures=True)
        if self._deliver:
            self.ledger.give_back()
        if self._schedule:
            self.scheduler.resign()
        log.info("worker_stopped", name=self.settings.name)

    def wake(self) -> None:
        """Something was committed: look at the outbox and the ledger now instead of at the next poll."""
        self._relay_wanted.set()
        self._claim_wanted.set()

    def alive(self) -> bool:
        """True while every thread runs (for `/readyz`)."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def run_until_idle(self, most: int = 10_000) -> int:
        """Relay and deliver everything that is due now in the calling thread; returns the attempts made.

        For tests, the demo and repairs; needs no `start`. Time does not move: retries wait for their time.
        """
        done = 0
        while done < most:
            planned = self.relay.run_batch()
            claims = self.ledger.claim(self._registry.kinds, self._room)
            if not planned and not claims:
                break
            done += sum(1 for claim in claims if self.pipeline.process(claim) is not None)
        return done

    @property
    def _room(self) -> int:
        # Half as many again as threads: the next delivery is at hand when a thread becomes free.
        return self.settings.threads + self.settings.threads // 2

    def _process(self, claim: Claim) -> State | None:
        try:
            return self.pipeline.process(claim)
        except Exception:  # the edge of a worker thread: the lease ends and the delivery is due again
            log.error("delivery_processing_failed", delivery_id=claim.delivery_id, exc_info=True)
            LOOP_ERRORS.labels("deliver").inc()
            return None
        finally:
            self._claim_wanted.set()

    def _relay_loop(self) -> None:
        def step() -> None:
            while not self._stopping.is_set():
                planned = self.relay.run_batch()
                if planned:
                    self._claim_wanted.set()
                if planned < self.settings.batch:
                    break
            self._pause(self._relay_wanted, self.settings.poll_s)

        self._loop("relay", step)

    def _dispatch_loop(self) -> None:
        def step() -> None:
            claims = self.ledger.claim(self._registry.kinds, self._room)
            if claims:
                self._submit(claims)
            self._stopping.wait(CLAIM_EVERY_S)
            self._pause(self._claim_wanted, self.settings.poll_s)

        self._loop("dispatch", step)

    def _submit(self, claims: list[Claim]) -> None:
        if self._broker is None or self._local is None:
            raise RuntimeError("the runtime was not started")
        try:
            self._broker.submit(claims)
        except BrokerAway as problem:
            # Redis may vanish at any moment; this process has threads of its own, and tokens make doubles harmless.
            log.warning("broker_away", problem=str(problem), claims=len(claims))
            BROKER_LOST.inc()
            for claim in claims:
                self._local.submit(self._process, claim)

    def _sweep_loop(self) -> None:
        def step() -> None:
            if self.ledger.take_back_expired():
                self._claim_wanted.set()
            self.ledger.observe(self._registry.kinds)
            self._stopping.wait(self.settings.sweep_s)

        self._loop("sweep", step)

    def _scheduler_loop(self) -> None:
        def step() -> None:
            if self.scheduler.run_due():
                self.wake()
            self._stopping.wait(self.settings.poll_s)

        self._loop("scheduler", step)

    def _loop(self, name: str, step: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                step()
            except Exception:  # the edge: a database that restarts must not end the worker
                log.error("worker_loop_failed", loop=name, exc_info=True)
                LOOP_ERRORS.labels(name).inc()
                self._stopping.wait(AFTER_ERROR_S)

    def _pause(self, wanted: threading.Event, seconds: float) -> None:
        wanted.wait(seconds)
        wanted.clear()
