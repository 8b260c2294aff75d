"""One clock, passed in wherever a rule depends on time.

Business time (pile time, tariffs, deadlines, retry ladders) comes from a `Clock`. Sockets, leases and tokens use real time
and never see this module. Stored times are UTC; China time appears at the edges only.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China standard time. A fixed offset: the country has had no daylight saving since 1991."""

MAX_RATE = 120
"""Fastest allowed clock: at 120x one second of real time is two minutes of business time (DECISIONS 26)."""

_SPEC = re.compile(r"^(?P<start>[^@]+)@(?P<rate>\d+(?:\.\d+)?)$")
_STAT_EVERY_S = 0.05


class ClockError(ValueError):
    """Raised when `HUB_CLOCK` cannot be understood or asks for a rate above the maximum."""


class Clock(Protocol):
    """Anything that tells business time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...  # pragma: no cover

    def real_seconds(self, business_seconds: float) -> float:
        """How many real seconds pass while `business_seconds` of business time pass (to size a wait)."""
        ...  # pragma: no cover


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)

    def real_seconds(self, business_seconds: float) -> float:
        """Business seconds are real seconds here."""
        return business_seconds


class ManualClock:
    """A clock that moves only when told; for tests and for replaying a past."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ClockError("a clock starts at an aware datetime")
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The instant it was last set to, in UTC."""
        return self._now

    def advance(self, step: timedelta) -> datetime:
        """Move by `step` and return the new instant."""
        with self._lock:
            self._now += step
            return self._now

    def set(self, instant: datetime) -> None:
        """Jump to `instant`."""
        with self._lock:
            self._now = instant.astimezone(UTC)

    def real_seconds(self, business_seconds: float) -> float:
        """A manual clock never passes by itself; waits are told their nominal length."""
        return business_seconds


class ScaledClock:
    """Runs `rate` times as fast as real time from `start`, anchored at the real instant `anchor_s` (Unix seconds)."""

    def __init__(self, start: datetime, rate: float, anchor_s: float | None = None) -> None:
        _check_rate(rate)
        self._start = start.astimezone(UTC)
        self._rate = rate
        self._anchor_s = time.time() if anchor_s is None else anchor_s

    @property
    def rate(self) -> float:
        """Business seconds per real second."""
        return self._rate

    def now(self) -> datetime:
        """Start plus the scaled time since the anchor, in UTC."""
        return self._start + timedelta(seconds=(time.time() - self._anchor_s) * self._rate)

    def real_seconds(self, business_seconds: float) -> float:
        """Business seconds divided by the rate."""
        return business_seconds / self._rate


class FileClock:
    """A scaled clock whose course is a small JSON file shared by several processes.

    The file holds `{"start": ISO time, "rate": number, "anchor": Unix seconds}`; whoever rewrites it (see `write_clock_file`)
    changes the speed of all of them without a jump. Used by the demo, where hub, piles and fakes must agree.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._checked_s = 0.0
        self._stamp = -1
        self._inner = self._load()
        self._latest = self._inner.now()

    def now(self) -> datetime:
        """The shared business time, in UTC. Never goes back: a process that hears late of a slower rate waits for the others."""
        instant = self._current().now()
        with self._lock:
            self._latest = max(self._latest, instant)
            return self._latest

    def real_seconds(self, business_seconds: float) -> float:
        """Business seconds divided by the present rate."""
        return self._current().real_seconds(business_seconds)

    def _current(self) -> ScaledClock:
        if time.monotonic() - self._checked_s > _STAT_EVERY_S:
            with self._lock:
                self._checked_s = time.monotonic()
                if self._path.stat().st_mtime_ns != self._stamp:
                    self._inner = self._load()
        return self._inner

    def _load(self) -> ScaledClock:
        try:
            stamp = self._path.stat().st_mtime_ns
            course = json.loads(self._path.read_text())
            clock = ScaledClock(datetime.fromisoformat(course["start"]), float(course["rate"]), float(course["anchor"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ClockError(f"the clock file {self._path} cannot be read: {error}") from error
        self._stamp = stamp
        return clock


def write_clock_file(path: Path, start: datetime, rate: float) -> None:
    """Set the shared clock: from this real instant on it runs from `start` at `rate`. Replaces the file atomically."""
    _check_rate(rate)
    course = {"start": start.astimezone(UTC).isoformat(), "rate": rate, "anchor": time.time()}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(course))
    fresh.replace(path)


def clock_from_spec(spec: str | None) -> Clock:
    """The clock that a `HUB_CLOCK` text asks for: empty = system, `START@RATE` = scaled, `file:PATH` = shared file.

    Raises `ClockError` when the text is neither or the rate exceeds 120.
    """
    if not spec:
        return SystemClock()
    if spec.startswith("file:"):
        return FileClock(Path(spec.removeprefix("file:")))
    match = _SPEC.match(spec)
    if match is None:
        raise ClockError(f"HUB_CLOCK is START@RATE (2026-03-02T07:20:00+08:00@60) or file:PATH, not {spec!r}")
    try:
        start = datetime.fromisoformat(match["start"])
    except ValueError as error:
        raise ClockError(f"HUB_CLOCK starts with an ISO time, not {match['start']!r}") from error
    return ScaledClock(start if start.tzinfo else start.replace(tzinfo=CHINA), float(match["rate"]))


def clock_from_env(environ: Mapping[str, str] | None = None) -> Clock:
    """The clock named by the environment variable `HUB_CLOCK`."""
    return clock_from_spec((os.environ if environ is None else environ).get("HUB_CLOCK"))


def to_china(instant: datetime) -> datetime:
    """The same instant on a Chinese wall clock."""
    return instant.astimezone(CHINA)


def china_text(instant: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` in China time, as the protocols write it."""
    return to_china(instant).strftime("%Y-%m-%d %H:%M:%S")


def _check_rate(rate: float) -> None:
    if not 0 < rate <= MAX_RATE:
        raise ClockError(f"a clock runs at a rate above 0 and up to {MAX_RATE}, not {rate}")
