"""The threads that call destinations, arranged so that a slow destination costs the others nothing.

`threads` is the number of calls under way that make progress. A call that takes longer than `SLOW_S` is not counted any more: another
thread takes its place, up to `MOST_TIMES` as many. Per destination no more than its concurrency is called at once; what waits too long for
a free place goes back to the ledger with its attempt undone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from charging_core.clock import Clock
from worker.claiming import Key
from worker.metrics import LOOP_ERRORS
from worker.work import Work, log_facts

log = structlog.get_logger()

SLOW_S = 0.5
"""A partner platform answers within 0.3 s; who takes longer gets threads of its own."""
MOST_TIMES = 4
WAITS_AT_MOST_S = 2.0
"""Longest wait for a free place at a destination; half of nothing beside a lease, and long enough for ordinary answers."""
_IDLE_S = 5.0


@dataclass
class _Queued:
    work: Work
    since: float
    not_before: float


@dataclass
class Senders:
    """Runs `call` for each work in one of its threads and hands it to `done`, which must not raise.

    `concurrency(key)` is the most calls that may be under way to one destination.
    """

    threads: int
    concurrency: Callable[[Key], int]
    clock: Clock
    call: Callable[[Work], None]
    done: Callable[[Work], None]
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _queue: list[_Queued] = field(default_factory=list)
    _calls: dict[int, tuple[Key, float]] = field(default_factory=dict)
    _busy: Counter[Key] = field(default_factory=Counter)
    _alive: int = 0
    _idle: int = 0
    _number: int = 0
    _stopping: bool = False

    def put(self, work: Work) -> None:
        """Queue one work; it begins when its destination and a thread are free, and not before its turn."""
        now = time.monotonic()
        wait_s = 0.0
        if work.start_at is not None:
            wait_s = self.clock.real_seconds((work.start_at - self.clock.now()).total_seconds())
        with self._changed:
            self._queue.append(_Queued(work, now, now + max(0.0, wait_s)))
            self._recruit(now)
            self._changed.notify()

    def flowing(self, key: Key) -> bool:
        """Whether calls to a destination are under way, none of them slowly."""
        begun = [since for called, since in list(self._calls.values()) if called == key]
        return bool(begun) and min(begun) > time.monotonic() - SLOW_S

    @property
    def room(self) -> int:
        """How many more calls than `threads` may be under way because some hang."""
        return self._slow(time.monotonic())

    @property
    def stocked(self) -> bool:
        """Whether every thread has its next two calls at hand already; those of busy destinations do not count."""
        queued = list(self._queue)
        if len(queued) < 2 * self.threads:
            return False
        free = sum(1 for one in queued if self._busy[one.work.key] < self.concurrency(one.work.key))
        return free >= 2 * self.threads

    @property
    def under_way(self) -> int:
        """Calls under way at this moment."""
        return len(self._calls)

    def relieve(self) -> list[Work]:
        """Look after slow calls: take in threads for those that wait, and take out what has waited too long for its destination."""
        now = time.monotonic()
        with self._changed:
            late = [one for one in self._queue if max(one.since, one.not_before) < now - WAITS_AT_MOST_S]
            self._queue = [one for one in self._queue if one not in late]
            for _ in range(min(len(self._queue), self.threads)):
                self._recruit(now)
        return [one.work for one in late]

    def stop(self, timeout_s: float) -> list[Work]:
        """Begin nothing more and wait for the calls under way, at most `timeout_s` seconds; returns what was not begun."""
        end = time.monotonic() + timeout_s
        with self._changed:
            self._stopping = True
            left, self._queue = [one.work for one in self._queue], []
            self._changed.notify_all()
            while self._alive and time.monotonic() < end:
                self._changed.wait(0.05)
        return left

    def _recruit(self, now: float) -> None:
        counted = self._alive - self._slow(now)
        if self._idle or self._stopping or counted >= self.threads or self._alive >= self.threads * MOST_TIMES:
            return
        self._alive += 1
        self._number += 1
        threading.Thread(target=self._run, args=(self._number,), name=f"deliver-{self._number}", daemon=True).start()

    def _slow(self, now: float) -> int:
        return sum(1 for _, since in list(self._calls.values()) if since < now - SLOW_S)

    def _run(self, number: int) -> None:
        work = self._next(number, None)
        while work is not None:
            try:
                self.call(work)
            except Exception:  # the edge of a thread: the lease ends and the delivery is due again
                log.error("delivery_processing_failed", exc_info=True, **log_facts(work.row))
                LOOP_ERRORS.labels("deliver").inc()
            self.done(work)
            work = self._next(number, work)

    def _next(self, number: int, ended: Work | None) -> Work | None:
        with self._changed:
            if ended is not None:
                self._busy[ended.key] -= 1
                del self._calls[number]
            until = time.monotonic() + _IDLE_S
            while True:
                now = time.monotonic()
                work = None if self._surplus(now) else self._take(now)
                if work is not None:
                    self._calls[number] = (work.key, now)
                    self._busy[work.key] += 1
                    return work
                if self._stopping or now > until or self._surplus(now):
                    self._alive -= 1
                    self._changed.notify()
                    return None
                self._idle += 1
                self._changed.wait(self._patience(now))
                self._idle -= 1

    def _surplus(self, now: float) -> bool:
        # Slow calls have ended: the threads that stood in for theirs go.
        return self._alive - self._slow(now) > self.threads

    def _take(self, now: float) -> Work | None:
        for place, one in enumerate(self._queue):
            if one.not_before <= now and self._busy[one.work.key] < self.concurrency(one.work.key):
                del self._queue[place]
                return one.work
        return None

    def _patience(self, now: float) -> float:
        turns = [one.not_before - now for one in self._queue if one.not_before > now]
        return max(0.0005, min([_IDLE_S, *turns]))
