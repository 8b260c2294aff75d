"""The worker of one process: relay, dispatcher, delivery threads, scheduler; started and stopped as one.

`hub serve` runs all of it, `hub run worker` everything but the scheduler, `hub run scheduler` the scheduler alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import time as clock_time

import structlog

from charging_core.clock import Clock, SystemClock
from charging_core.db import Database
from worker.api import Registry
from worker.broker import Broker, BrokerAway
from worker.decision import Again
from worker.ledger import Claim, Ledger
from worker.metrics import BROKER_LOST, LOOP_ERRORS
from worker.pipeline import Pipeline
from worker.recorder import Recorder
from worker.relay import Relay
from worker.retention import Retention
from worker.scheduler import Scheduler
from worker.senders import Senders
from worker.settings import WorkerSettings
from worker.work import Work

log = structlog.get_logger()

AFTER_ERROR_S = 1.0
OBSERVE_EVERY_S = 5.0
"""How often the gauges are read: counting a backlog of 100 000 takes a tenth of a second."""
CLAIM_EVERY_S, CLAIM_STOCKED_S = 0.04, 0.08
"""Shortest time between two claims under load: one claim serves the several attempts that ended meanwhile. The longer one while there
is a stock of calls at hand, which lasts for 0.1 s when they are answered in 50 ms; larger groups cost less for each."""
LINGER_S, LINGER_STOCKED_S = 0.02, 0.05
"""How long a result waits for company while other calls are under way: at 300 attempts/s six share a commit, out of a stock fifteen."""


RELAY_EVERY_S = 0.03
"""Pause after a batch that took everything there was: at 200 events/s six share a transaction instead of three."""
WAITS_FOR_ROOM_S, ROOM_EVERY_S = 3.0, 0.01
"""How long claims wait at most while there are calls enough at hand (a fifth of their lease), and how often is looked."""
RETENTION = "ledger_retention"
RETENTION_WINDOW = (clock_time(3), clock_time(5))
"""When the day is quiet: after the nightly statements, before the first commuters."""


def _forget(retention: Retention) -> None:
    retention.run()


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
        self._registry, self._clock = registry, clock
        self._stopping = threading.Event()
        self._relay_wanted = threading.Event()
        self._claim_wanted = threading.Event()
        real = real_clock or SystemClock()
        self.relay = Relay(db, clock, registry, self.settings)
        self.ledger = Ledger(db, clock, self.settings, real)
        self.pipeline = Pipeline(db, clock, registry, self.settings, self.ledger, real)
        if schedule and RETENTION not in {job.name for job in registry.jobs}:
            retention = Retention(db, clock, self.settings.keep, self.settings.keep_of_kind)
            registry.schedule(RETENTION, lambda _tick: _forget(retention), daily=RETENTION_WINDOW)
        self.scheduler = Scheduler(db, clock, registry, self.settings, real)
        self._broker: Broker | None = None
        self._senders = Senders(
            self.settings.threads, self.ledger.concurrency, clock, self.pipeline.exchange, self._sent
        )
        self._recorder = Recorder(self.pipeline.record, self._claim_again, self._linger_s)
        self.ledger.flowing = self._senders.flowing
        self._threads: list[threading.Thread] = []
        self._observe_at = 0.0

    def start(self) -> None:
        """Start the threads. The sole worker of a database first takes back what its former life had leased."""
        loops: list[tuple[str, Callable[[], None]]] = []
        if self._deliver:
            if self.settings.redis_url is None:
                self.ledger.take_back_all()
            self._recorder.start()
            self._broker = Broker(self.settings, self._take_over)
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
            self._undo(self._senders.stop(timeout_s), "the worker stopped")
            self._recorder.stop(timeout_s)
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
        recording = self._recorder.alive() or not self._deliver
        return bool(self._threads) and recording and all(thread.is_alive() for thread in self._threads)

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
        # Leases also cover what is being prepared and recorded: three times the threads keep all of them calling. Calls that hang
        # have threads of their own.
        return 6 * self.settings.threads + self._senders.room

    def _take_over(self, claims: list[Claim]) -> None:
        self._wait_for_room()
        try:
            works = self.pipeline.prepare(claims)
        except Exception:  # the edge of a consumer's thread: the leases end and the deliveries are due again
            log.error("claims_not_prepared", claims=len(claims), exc_info=True)
            LOOP_ERRORS.labels("prepare").inc()
            return
        for work in works:
            if work.decision is None:
                self._senders.put(work)
            else:
                self._recorder.put(work)

    def _wait_for_room(self) -> None:
        # What this process has no thread for stays with the broker, where another one may take it.
        until = time.monotonic() + WAITS_FOR_ROOM_S
        while self._senders.stocked and time.monotonic() < until and not self._stopping.is_set():
            time.sleep(ROOM_EVERY_S)

    def _sent(self, work: Work) -> None:
        for one in work.whole_call:
            if one.decision is not None:  # without one the call failed in a way nobody foresaw: the lease ends it
                self._recorder.put(one)

    def _undo(self, works: Iterable[Work], reason: str) -> None:
        for work in (one for leader in works for one in leader.whole_call):
            work.decision = Again(self._clock.now(), False, None, reason)
            self._recorder.put(work)

    def _linger_s(self) -> float:
        if not self._senders.under_way:
            return 0.0
        return LINGER_STOCKED_S if self._senders.stocked else LINGER_S

    def _claim_again(self) -> None:
        self._claim_wanted.set()

    def _relay_loop(self) -> None:
        def step() -> None:
            while not self._stopping.is_set():
                planned = self.relay.run_batch()
                if planned:
                    self._claim_wanted.set()
                if planned < self.settings.batch:
                    self._stopping.wait(RELAY_EVERY_S if planned else 0.0)
                    break
            self._pause(self._relay_wanted, self.settings.poll_s)

        self._loop("relay", step)

    def _dispatch_loop(self) -> None:
        def step() -> None:
            claims = self.ledger.claim(self._registry.kinds, self._room, patient=True)
            if claims:
                self._submit(claims)
            self._undo(self._senders.relieve(), "its destination was busy")
            if self._senders.under_way:
                self._stopping.wait(CLAIM_STOCKED_S if self._senders.stocked else CLAIM_EVERY_S)
            self._pause(self._claim_wanted, min(self.settings.poll_s, self.ledger.look_again_s()))

        self._loop("dispatch", step)

    def _submit(self, claims: list[Claim]) -> None:
        if self._broker is None:
            raise RuntimeError("the runtime was not started")
        try:
            self._broker.submit(claims)
        except BrokerAway as problem:
            # Redis may vanish at any moment; this process has threads of its own, and tokens make doubles harmless.
            log.warning("broker_away", problem=str(problem), claims=len(claims))
            BROKER_LOST.inc()
            self._take_over(claims)

    def _sweep_loop(self) -> None:
        def step() -> None:
            if self.ledger.take_back_expired():
                self._claim_wanted.set()
            if time.monotonic() >= self._observe_at:
                self.ledger.observe(self._registry.kinds)
                self._observe_at = time.monotonic() + OBSERVE_EVERY_S
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
