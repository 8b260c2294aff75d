"""What a cluster keeps in Redis: where a pile is connected, wake-up calls to pile servers, request budgets.

All of it may be lost at any moment: routes are announced again, pile servers also poll, budgets begin anew. So every call here
fails open: an error is logged and counted, never raised.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import structlog
from redis import Redis
from redis.exceptions import RedisError

from hub import metrics

log = structlog.get_logger()

ROUTE_TTL_S = 60
"""Three times the interval in which pile servers announce (`PileServerSettings.route_refresh_s`)."""
WAKE_TTL_S = 60
"""A wake-up stream nobody reads disappears after this; the commands themselves expire earlier."""
WAKE_LENGTH = 1000
"""Wake-up calls kept per shard: a reader that is that far behind looks at all its piles anyway."""
_BLOCK_MS = 1000
_AFTER_ERROR_S = 1.0

# Removes a route only while it is still this shard's: the pile may have gone to another one meanwhile.
_WITHDRAW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"

Result = TypeVar("Result")


def connect(url: str) -> Redis:
    """A client with short time-outs: nobody waits long for what may be lost."""
    client: Redis = Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=2.0, decode_responses=True)
    return client


class RedisRoutes:
    """Which shard holds which pile: one key per pile with a time to live. Fills `charging_core.piles.ports.RouteTable`."""

    def __init__(self, redis: Redis, shard: str) -> None:
        self._redis = redis
        self._shard = shard

    def announce(self, pile_codes: Collection[str]) -> None:
        """See the port."""

        def call() -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for code in pile_codes:
                    pipe.set(_route(code), self._shard, ex=ROUTE_TTL_S)
                pipe.execute()

        _open("routes", call, None)

    def withdraw(self, pile_codes: Collection[str]) -> None:
        """See the port."""

        def call() -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                for code in pile_codes:
                    pipe.eval(_WITHDRAW, 1, _route(code), self._shard)
                pipe.execute()

        _open("routes", call, None)

    def shard_of(self, pile_code: str) -> str | None:
        """The shard that holds the pile, when it is known."""
        found = _open("routes", lambda: self._redis.get(_route(pile_code)), None)
        return str(found) if found is not None else None


class RedisWaker:
    """Calls the shard that holds a pile, through its short stream. Fills `CommandWaker`."""

    def __init__(self, redis: Redis, routes: RedisRoutes) -> None:
        self._redis = redis
        self._routes = routes

    def wake(self, pile_code: str) -> None:
        """A command for this pile has been committed."""
        shard = self._routes.shard_of(pile_code)
        if shard is None:
            return

        def call() -> None:
            stream = wake_stream(shard)
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(stream, {"pile": pile_code}, maxlen=WAKE_LENGTH, approximate=True)
                pipe.expire(stream, WAKE_TTL_S)
                pipe.execute()

        _open("wake", call, None)


class WakeListener(threading.Thread):
    """Reads this shard's stream and wakes its pile server; `watch` is called for piles that somebody wants to look at."""

    def __init__(
        self, redis: Redis, shard: str, wake: Callable[[str | None], None], watch: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(name="pile-wake", daemon=True)
        self._redis = redis
        self._stream = wake_stream(shard)
        self._wake = wake
        self._watch = watch
        self._ending = threading.Event()

    def stop(self) -> None:
        """End soon; at most one blocking read later."""
        self._ending.set()

    def run(self) -> None:
        """Until stopped."""
        last = "$"
        while not self._ending.is_set():
            try:
                last = self._read(last)
            except RedisError as error:
                metrics.REDIS_ERRORS.labels("wake").inc()
                log.warning("redis.wake_listener", error=type(error).__name__)
                self._ending.wait(_AFTER_ERROR_S)
                self._wake(None)
                last = "$"

    def _read(self, last: str) -> str:
        found: Any = self._redis.xread({self._stream: last}, block=_BLOCK_MS)
        for _stream_name, entries in found or ():
            for entry_id, members in entries:
                if "watch" not in members:
                    self._wake(members.get("pile"))
                elif self._watch is not None:
                    self._watch(members["watch"])
                last = entry_id
        return last


class RedisRateLimiter:
    """Request budgets shared by all web processes. Fills `hub.limits.RateLimiter`; without Redis nobody is limited."""

    def __init__(self, redis: Redis, per_minute: int) -> None:
        self._redis = redis
        self._per_minute = per_minute

    def allow(self, caller: str) -> bool:
        """See `RateLimiter`."""

        def call() -> int:
            key = f"hub:rate:{int(time.time() // 60)}:{caller}"
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.incr(key)
                pipe.expire(key, 120)
                return int(pipe.execute()[0])

        return _open("rate", call, 0) <= self._per_minute


def _open(use: str, call: Callable[[], Result], otherwise: Result) -> Result:
    try:
        return call()
    except RedisError as error:
        metrics.REDIS_ERRORS.labels(use).inc()
        log.warning("redis.failed", use=use, error=type(error).__name__)
        return otherwise


def _route(pile_code: str) -> str:
    return f"hub:route:{pile_code}"


def wake_stream(shard: str) -> str:
    """The stream that a shard's pile server reads."""
    return f"hub:wake:{shard}"
