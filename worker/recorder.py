"""Writes the results of deliveries in groups: what ended while the last group was being committed goes into the next.

A result that cannot be written is not thrown away: while the database is away the group is tried again, because the answer is known and
asking the destination once more would be wrong. Only when the process stops before that does the lease end it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from worker.metrics import LOOP_ERRORS, RECORDED_TOGETHER
from worker.work import Work

log = structlog.get_logger()

MOST = 200
AWAY_S = 0.5
_AWAY = (OperationalError, InterfaceError, TimeoutError)


@dataclass
class Recorder:
    """One thread that calls `record` with groups and then `recorded`. `linger_s` says how long a result waits for company."""

    record: Callable[[Sequence[Work]], None]
    recorded: Callable[[], None]
    linger_s: Callable[[], float]
    _queue: queue.SimpleQueue[Work | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _give_up_at: float | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="worker-recorder", daemon=True)
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue a decided work."""
        self._queue.put(work)

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout_s: float) -> None:
        """Write what is queued, at most `timeout_s` seconds long."""
        self._give_up_at = time.monotonic() + timeout_s
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s + 1)

    def _run(self) -> None:
        while True:
            group, last = self._group()
            if group:
                RECORDED_TOGETHER.observe(len(group))
                self._write(group)
                self.recorded()
            if last:
                return

    def _group(self) -> tuple[list[Work], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        group, began = [first], time.monotonic()
        while len(group) < MOST:
            left_s = began + self.linger_s() - time.monotonic()
            try:
                more = self._queue.get(timeout=left_s) if left_s > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return group, True
            group.append(more)
        return group, False

    def _write(self, group: Sequence[Work]) -> None:
        if self._wrote(group) or len(group) == 1:
            return
        for work in group:  # one of them cannot be written: find it, so that the others are
            self._wrote([work])

    def _wrote(self, group: Sequence[Work]) -> bool:
        while True:
            try:
                self.record(group)
                return True
            except _AWAY as error:
                log.warning("record_postponed", deliveries=len(group), problem=type(error).__name__)
                LOOP_ERRORS.labels("record").inc()
                if self._give_up_at is not None and time.monotonic() > self._give_up_at:
                    return False
                time.sleep(AWAY_S)
            except Exception:
                log.error("record_failed", deliveries=[work.row.id for work in group], exc_info=True)
                LOOP_ERRORS.labels("record").inc()
                return False
