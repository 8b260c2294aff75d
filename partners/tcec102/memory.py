"""Ports kept in memory: enough for one process, for tests and for whoever uses this package alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from partners.tcec102.errors import ConfigurationError
from partners.tcec102.exchanges import Exchange
from partners.tcec102.ports import InboundLink, Route

_REPLAY_SWEEP_S = 30.0
"""How often old replay keys are dropped; a walk through a million of them takes a tenth of a second."""
MAX_ROUTES = 4_096
"""Paths remembered: about two hundred links with all their interfaces; others are taken apart each time."""
MAX_ADDRESSES = 10_000
"""Buckets after which those that are full again are forgotten; forgetting one changes nothing for its caller."""


class MemoryLinkDirectory:
    """Links by base path and OperatorID. ``replace`` swaps the whole table at once, so readers never see half of it."""

    def __init__(self, links: Iterable[tuple[str, InboundLink]] = ()) -> None:
        self._table: dict[tuple[str, str], InboundLink] = {}
        self._routing: tuple[frozenset[str], dict[str, Route]] = (frozenset(), {})
        self.replace(links)

    def replace(self, links: Iterable[tuple[str, InboundLink]]) -> None:
        """Take these ``(base, link)`` pairs instead; a link may have several bases.

        :raises ConfigurationError: a base is not ``/…/``, or two links share a base and an OperatorID.
        """
        table: dict[tuple[str, str], InboundLink] = {}
        for base, link in links:
            if not base.startswith("/") or not base.endswith("/"):
                raise ConfigurationError(f"link {link.link_id}: the base path {base!r} must begin and end with /")
            for operator_id in link.operator_ids:
                if table.setdefault((base, operator_id), link) is not link:
                    raise ConfigurationError(f"two links for {base} and {operator_id}")
        self._table, self._routing = table, (frozenset(base for base, _ in table), {})

    def resolve(self, path: str) -> Route | None:
        """The route of a path below one of the bases."""
        bases, known = self._routing
        return known.get(path) or _route(path, bases, known)

    def find(self, base: str, operator_id: str) -> InboundLink | None:
        """The link of this base and caller."""
        return self._table.get((base, operator_id))


def _route(path: str, bases: frozenset[str], known: dict[str, Route]) -> Route | None:
    """Take a path apart, and remember it while there is room: callers may invent interface names."""
    head, slash, interface = path.rpartition("/")
    base = head + slash
    if base not in bases:
        return None
    route = Route(base, interface)
    if len(known) < MAX_ROUTES:
        known[path] = route
    return route


class NoLimit:
    """Lets everybody through; for links behind a gateway that limits already."""

    def allow(self, base: str, remote: str) -> bool:
        """Always."""
        return True


class TokenBuckets:
    """One bucket per base and address: ``burst`` calls at once, ``rate_per_s`` in the long run. Real time."""

    def __init__(self, rate_per_s: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ConfigurationError("a rate above 0 and a burst of at least 1 are due")
        self._rate = rate_per_s
        self._burst = float(burst)
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], list[float]] = {}

    def allow(self, base: str, remote: str) -> bool:
        """Take one call out of the bucket, if one is left."""
        now, key = self._now(), (base, remote)
        with self._lock:
            bucket = self._buckets.get(key) or self._new_bucket(key, now)
            level = bucket[0] + (now - bucket[1]) * self._rate
            bucket[1] = now
            if level > self._burst:
                level = self._burst
            allowed = level >= 1
            bucket[0] = level - 1 if allowed else level
        return allowed

    def _new_bucket(self, key: tuple[str, str], now: float) -> list[float]:
        """A full bucket; when there are too many, those that have filled up again meanwhile are forgotten."""
        if len(self._buckets) >= MAX_ADDRESSES:
            full_since = now - self._burst / self._rate
            self._buckets = {old: bucket for old, bucket in self._buckets.items() if bucket[1] > full_since}
        return self._buckets.setdefault(key, [self._burst, now])


class MemoryReplays:
    """Signed texts of one process, forgotten when they are too old to pass the time window anyway. Real time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}
        self._sweep_at = 0.0

    def is_new(self, link_id: str, key: bytes, keep_s: float) -> bool:
        """True the first time within ``keep_s`` seconds; the key is unique over all links."""
        del link_id
        now = self._now()
        with self._lock:
            if now >= self._sweep_at:
                self._until = {old: until for old, until in self._until.items() if until > now}
                self._sweep_at = now + _REPLAY_SWEEP_S
            seen = self._until.get(key, 0.0) > now
            if not seen:
                self._until[key] = now + keep_s
        return not seen


class MemorySink:
    """Keeps the newest exchanges, oldest first."""

    def __init__(self, limit: int = 1000) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=limit)

    def record(self, exchange: Exchange) -> None:
        """Keep one."""
        self.exchanges.append(exchange)
