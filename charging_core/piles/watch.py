"""Live traffic of watched piles, for engineers: the last frames of each, kept while somebody looks and not a moment longer.

Costs one look at a flag per frame while nobody watches. The event loop writes, any thread reads.
"""

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

RING = 500
"""Frames kept per watched pile: a busy pile sends that many in ten minutes."""
MOST_WATCHED = 100
"""Piles watched at once in one process; whoever comes later is told so."""
LASTS_S = 60.0
"""A pile is watched for this long after the last look at it."""


@dataclass(frozen=True, slots=True)
class WatchedFrame:
    """A frame as it was on the wire. `number` grows, within this process and from one process to the next."""

    number: int
    pile_code: str
    at: datetime
    up: bool
    raw: bytes


@dataclass(slots=True)
class _Ring:
    until: float
    frames: deque[WatchedFrame] = field(default_factory=lambda: deque(maxlen=RING))


class FrameWatch:
    """The watched piles of one pile server."""

    def __init__(self) -> None:
        self.active = False
        """Whether any pile is watched."""
        self._rings: dict[str, _Ring] = {}
        self._number = time.time_ns() // 1000
        self._changed = threading.Condition()

    def watch(self, pile_code: str, lasts_s: float = LASTS_S) -> bool:
        """Keep the frames of this pile from now on, for so long; call again to go on. False when too many are watched."""
        now = time.monotonic()
        with self._changed:
            self._forget(now)
            ring = self._rings.get(pile_code)
            if ring is None and len(self._rings) >= MOST_WATCHED:
                return False
            if ring is None:
                ring = self._rings[pile_code] = _Ring(now)
            ring.until = now + lasts_s
            self.active = True
            return True

    def note(self, pile_codes: Iterable[str], raw: bytes, at: datetime, *, up: bool) -> None:
        """A frame of one of these piles went by. From the event loop, only while `active`."""
        with self._changed:
            self._forget(time.monotonic())
            for code in pile_codes:
                ring = self._rings.get(code)
                if ring is not None:
                    self._number += 1
                    ring.frames.append(WatchedFrame(self._number, code, at, up, bytes(raw)))
                    self._changed.notify_all()

    def read(self, pile_code: str, after: int, wait_s: float = 0.0) -> list[WatchedFrame]:
        """The kept frames of this pile with a number above `after`; waits for one when there is none yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._newer((pile_code,), after), wait_s)
            return self._newer((pile_code,), after)

    def read_all(self, after: int, wait_s: float) -> list[WatchedFrame]:
        """The same of all watched piles, in order; for a thread that passes them on."""
        with self._changed:
            self._changed.wait_for(lambda: self._newer(self._rings, after), wait_s)
            return self._newer(self._rings, after)

    def _newer(self, codes: Collection[str], after: int) -> list[WatchedFrame]:
        rings = (self._rings.get(code) for code in codes)
        found = [frame for ring in rings if ring is not None for frame in ring.frames if frame.number > after]
        return sorted(found, key=lambda frame: frame.number)

    def _forget(self, now: float) -> None:
        for code in [code for code, ring in self._rings.items() if ring.until < now]:
            del self._rings[code]
        self.active = bool(self._rings)
