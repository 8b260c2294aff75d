"""How many requests a caller may make: a fixed budget per minute, counted in process or in Redis for a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

_MOST_CALLERS = (
    50_000  # beyond that many callers in one minute the table is dropped: memory is worth more than their count
)


class RateLimiter(Protocol):
    """Counts requests of callers."""

    def allow(self, caller: str) -> bool:
        """Count one request of `caller`; false when its budget of this minute is spent."""
        ...  # pragma: no cover


class LocalRateLimiter:
    """Counts in this process, in real minutes."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._minute = 0
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def allow(self, caller: str) -> bool:
        """See `RateLimiter`."""
        minute = int(self._now() // 60)
        with self._lock:
            if minute != self._minute or len(self._used) > _MOST_CALLERS:
                self._minute, self._used = minute, {}
            used = self._used[caller] = self._used.get(caller, 0) + 1
        return used <= self._per_minute
