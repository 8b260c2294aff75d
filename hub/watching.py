"""Live traffic of piles for the console: in one program read from the pile server, in a cluster through short Redis streams.

All of it may be lost at any moment; nobody but the engineer who looks would notice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from redis import Redis
from redis.exceptions import RedisError

from charging_core.piles.server import PileServer
from charging_core.piles.watch import LASTS_S, RING, FrameWatch
from hub import metrics

log = structlog.get_logger()

_BLOCK_S = 1.0
_FROM_THE_START = "0"


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that went by; `cursor` is given back to read on after it."""

    cursor: str
    at: datetime
    up: bool
    raw: bytes


class Watching(Protocol):
    """Where a web process finds the frames of a pile."""

    def read(self, pile_code: str, after: str | None, wait_s: float) -> list[Seen]:
        """The frames kept after a cursor (none: all that are kept); waits for the first. Keeps the pile watched for a minute.

        `ValueError` for a cursor that is none.
        """
        ...  # pragma: no cover


class LocalWatching:
    """The pile server of this program."""

    def __init__(self, server: Callable[[], PileServer | None]) -> None:
        self._server = server

    def read(self, pile_code: str, after: str | None, wait_s: float) -> list[Seen]:
        """See `Watching`."""
        server, number = self._server(), int(after or 0)
        if server is None or not server.watch.watch(pile_code):
            return []
        frames = server.watch.read(pile_code, number, wait_s)
        return [Seen(str(frame.number), frame.at, frame.up, frame.raw) for frame in frames]


class RedisWatching:
    """The pile server that holds the pile, wherever it is: asked through its wake-up stream, answered in a stream per pile."""

    def __init__(self, redis: Redis, shard_of: Callable[[str], str | None], stream_of: Callable[[str], str]) -> None:
        self._redis = redis
        self._shard_of = shard_of
        self._stream_of = stream_of

    def read(self, pile_code: str, after: str | None, wait_s: float) -> list[Seen]:
        """See `Watching`."""
        if after is not None and not after.replace("-", "", 1).isdecimal():
            raise ValueError(after)
        until = time.monotonic() + wait_s
        try:
            self._ask(pile_code)
            while True:
                left = max(0.001, min(_BLOCK_S, until - time.monotonic()))
                stream: dict[Any, Any] = {_frames(pile_code): after or _FROM_THE_START}
                found: Any = self._redis.xread(stream, count=RING, block=int(left * 1000))
                if found or time.monotonic() >= until:
                    return [_seen(cursor, members) for _, entries in found or () for cursor, members in entries]
        except RedisError as error:
            metrics.REDIS_ERRORS.labels("watch").inc()
            log.warning("redis.failed", use="watch", error=type(error).__name__)
            return []

    def _ask(self, pile_code: str) -> None:
        shard = self._shard_of(pile_code)
        if shard is not None:
            self._redis.xadd(self._stream_of(shard), {"watch": pile_code}, maxlen=1000, approximate=True)
            self._redis.expire(self._stream_of(shard), int(LASTS_S))


class FrameForwarder(threading.Thread):
    """Passes the frames of this pile server's watched piles on to Redis."""

    def __init__(self, redis: Redis, watch: FrameWatch) -> None:
        super().__init__(name="pile-frames", daemon=True)
        self._redis = redis
        self._watch = watch
        self._ending = threading.Event()

    def stop(self) -> None:
        """End soon."""
        self._ending.set()

    def run(self) -> None:
        """Until stopped."""
        last = 0
        while not self._ending.is_set():
            frames = self._watch.read_all(last, _BLOCK_S)
            try:
                with self._redis.pipeline(transaction=False) as pipe:
                    for frame in frames:
                        members: dict[Any, Any] = {
                            "at": frame.at.isoformat(),
                            "up": int(frame.up),
                            "raw": frame.raw.hex(),
                        }
                        pipe.xadd(_frames(frame.pile_code), members, maxlen=RING, approximate=True)
                        pipe.expire(_frames(frame.pile_code), int(LASTS_S))
                    pipe.execute()
            except RedisError as error:
                metrics.REDIS_ERRORS.labels("watch").inc()
                log.warning("redis.failed", use="watch", error=type(error).__name__)
            last = frames[-1].number if frames else last


def _seen(cursor: str, members: dict[str, str]) -> Seen:
    return Seen(cursor, datetime.fromisoformat(members["at"]), members["up"] == "1", bytes.fromhex(members["raw"]))


def _frames(pile_code: str) -> str:
    return f"hub:frames:{pile_code}"
