"""Writer threads: the only place where the pile server waits for a database (DECISIONS 22).

Jobs of one pile go to one thread and keep their order. A thread takes everything that waits, stores all events in one commit,
and reports the outcome to the event loop. Queues are bounded; what does not fit is refused at once, never waited for (P15).
"""

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Any

import structlog

from charging_core import faultpoints
from charging_core.piles import metrics
from charging_core.piles.events import PileEvent, TradeRecord
from charging_core.piles.ports import PileEventSink

log = structlog.get_logger()

RETRY_PAUSE_S = 0.5
"""Pause of a writer that has something to try again: long enough for a database to come back, short for a pile."""
_NAMED = 5
"""Piles named in one log line."""
GIVE_UP_AFTER = 3
"""So many single failures in a row mean that the sink is down, not that one event is bad."""

Report = Callable[[Sequence[Callable[[], None]]], None]
"""Runs call-backs in the event loop."""


class Room(Enum):
    """How much of a queue a job may fill, as a share of its limit."""

    SAMPLE = 0.75
    """Replaced by the next one anyway; leaves room for what counts."""
    ANSWERED = 1.0
    """The pile repeats what is not answered."""
    ALWAYS = float("inf")
    """Never repeated by anybody; at most a few per connection."""


@dataclass(slots=True)
class EventJob:
    """Events to store together. `done(True)` after the commit, `done(False)` when they are not stored and will not be."""

    events: tuple[PileEvent, ...]
    done: Callable[[bool], None] | None = None
    attempts: int = 1
    room: Room = Room.SAMPLE
    pile_code: str = ""
    offered_at: float = field(default_factory=time.monotonic)

    @property
    def holds_record(self) -> bool:
        """Whether a trade record is among them."""
        return any(isinstance(event, TradeRecord) for event in self.events)


@dataclass(slots=True)
class CallJob:
    """A call that blocks, in order with the events of its pile. `done` gets its result, or None when it raised."""

    name: str
    run: Callable[[], Any]
    done: Callable[[Any], None]
    room: Room = Room.ANSWERED
    pile_code: str = ""
    offered_at: float = field(default_factory=time.monotonic)


Job = EventJob | CallJob


class WriterPool:
    """All writer threads. `offer` is for the event loop and never blocks for longer than a queue operation."""

    def __init__(self, sink: PileEventSink, report: Report, threads: int, queue_limit: int, batch_limit: int) -> None:
        self._writers = [_Writer(n, sink, report, queue_limit, batch_limit) for n in range(threads)]

    def start(self) -> None:
        """Start the threads."""
        for writer in self._writers:
            writer.start()

    def offer(self, pile_code: str, job: Job) -> bool:
        """Queue a job of a pile; False, counted, when there is no room for it."""
        job.pile_code = pile_code
        return self._writers[zlib.crc32(pile_code.encode()) % len(self._writers)].offer(job)

    def depth(self) -> int:
        """Jobs waiting or in work."""
        return sum(writer.depth() for writer in self._writers)

    def oldest_s(self) -> float:
        """Age of the oldest waiting job in seconds; 0 when none waits."""
        return max(writer.oldest_s() for writer in self._writers)

    def stop(self, deadline: float) -> bool:
        """Let the threads finish what is queued, until the monotonic `deadline`; True when all did."""
        for writer in self._writers:
            writer.finish()
        for writer in self._writers:
            writer.join(max(0.0, deadline - time.monotonic()))
        return not any(writer.is_alive() for writer in self._writers)


class _Writer(threading.Thread):
    def __init__(self, number: int, sink: PileEventSink, report: Report, queue_limit: int, batch_limit: int) -> None:
        super().__init__(name=f"pile-writer-{number}", daemon=True)
        self._sink = sink
        self._report = report
        self._limit = queue_limit
        self._batch_limit = batch_limit
        self._jobs: deque[Job] = deque()
        self._working = 0
        self._finishing = False
        self._changed = threading.Condition()

    def offer(self, job: Job) -> bool:
        with self._changed:
            if self._finishing or len(self._jobs) >= self._limit * job.room.value:
                metrics.JOBS_DROPPED.labels(job.name if isinstance(job, CallJob) else "events").inc()
                return False
            self._jobs.append(job)
            self._changed.notify()
            return True

    def depth(self) -> int:
        return len(self._jobs) + self._working

    def oldest_s(self) -> float:
        with self._changed:
            return time.monotonic() - self._jobs[0].offered_at if self._jobs else 0.0

    def finish(self) -> None:
        with self._changed:
            self._finishing = True
            self._changed.notify()

    def run(self) -> None:
        while batch := self._next_batch():
            try:
                self._work(batch)
            except Exception:
                metrics.LOOP_ERRORS.labels("writer").inc()
                log.exception("pile_writer_failed", jobs=len(batch))
            self._working = 0

    def _next_batch(self) -> list[Job]:
        """Everything that waits, up to the batch limit; empty when the thread shall end."""
        with self._changed:
            while not self._jobs and not self._finishing:
                self._changed.wait()
            batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._batch_limit))]
            self._working = len(batch)
            return batch

    def _work(self, batch: list[Job]) -> None:
        again: list[EventJob] = []
        for is_call, jobs in groupby(batch, lambda job: isinstance(job, CallJob)):
            if is_call:
                self._report([self._call(job) for job in jobs if isinstance(job, CallJob)])
            else:
                again += self._store([job for job in jobs if isinstance(job, EventJob)])
        if again:
            time.sleep(RETRY_PAUSE_S)
            with self._changed:
                self._jobs.extendleft(reversed(again))

    def _call(self, job: CallJob) -> Callable[[], None]:
        result = None
        try:
            result = job.run()
        except Exception:
            metrics.PORT_ERRORS.labels(job.name).inc()
            log.exception("pile_port_failed", call=job.name, pile_code=job.pile_code)
        return lambda: job.done(result)

    def _store(self, jobs: list[EventJob]) -> list[EventJob]:
        """Store in one commit, or one by one when that fails; reports, and returns what is to be tried again."""
        stored, failed = (jobs, []) if self._handled(jobs) else self._one_by_one(jobs)
        again = [job for job in failed if job.attempts > 1]
        for job in again:
            job.attempts -= 1
        lost = [job for job in failed if job not in again]
        self._report([_reported(job, True) for job in stored] + [_reported(job, False) for job in lost])
        return again

    def _one_by_one(self, jobs: list[EventJob]) -> tuple[list[EventJob], list[EventJob]]:
        """One bad event must not cost its neighbours their commit; but a sink that is down is not asked 200 times."""
        if len(jobs) == 1:
            return [], jobs
        stored: list[EventJob] = []
        failed: list[EventJob] = []
        in_a_row = 0
        for job in jobs:
            handled = in_a_row < GIVE_UP_AFTER and self._handled([job])
            in_a_row = 0 if handled else in_a_row + 1
            (stored if handled else failed).append(job)
        return stored, failed

    def _handled(self, jobs: list[EventJob]) -> bool:
        try:
            self._sink.handle([event for job in jobs for event in job.events])
        except Exception:
            metrics.PORT_ERRORS.labels("handle").inc()
            log.exception("pile_events_not_stored", jobs=len(jobs), piles=_some_piles(jobs))
            return False
        self._note_records([job for job in jobs if job.holds_record])
        return True

    def _note_records(self, jobs: list[EventJob]) -> None:
        if not jobs:
            return
        now = time.monotonic()
        for job in jobs:
            metrics.RECORD_COMMIT_SECONDS.observe(now - job.offered_at)
        faultpoints.hit("piles.record.committed")


def _some_piles(jobs: Sequence[EventJob]) -> list[str]:
    """Whose events they are, for a log line: a handful is enough to look at."""
    return sorted({job.pile_code for job in jobs})[:_NAMED]


def _reported(job: EventJob, stored: bool) -> Callable[[], None]:
    done = job.done
    return (lambda: None) if done is None else (lambda: done(stored))
