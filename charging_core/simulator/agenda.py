"""Timers that count on the passed clock: one heap and one short real tick for all piles of a process.

Protocol periods belong to the pile's time, so at 120x a period of 15 s passes in 0.125 real seconds. The agenda looks at
the clock every tick instead of computing a sleep, because a shared clock may change its rate and a manual clock only
moves when told. What waits for an answer over a socket gets a real floor as well: the other side answers in real time.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from charging_core.clock import Clock

_log = structlog.get_logger()

Action = Callable[[], None]
# fine enough for a 15 s period at 120x (0.125 s), cheap enough to run all day
_TICK_S = 0.01


@dataclass(slots=True)
class Timer:
    """One planned action; `cancel` is final and may be called at any time, also afterwards."""

    due: datetime
    floor_s: float
    action: Action
    cancelled: bool = False

    def cancel(self) -> None:
        """Never run it."""
        self.cancelled = True


class Agenda:
    """Runs actions when the clock has reached their time. Single-threaded: everything happens on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.failures = 0
        self._heap: list[tuple[datetime, int, Timer]] = []
        self._order = itertools.count()
        self._tick: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick on the running loop."""
        self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._on_tick)

    def stop(self) -> None:
        """Stop ticking and forget what was planned."""
        if self._tick is not None:
            self._tick.cancel()
        self._heap.clear()

    def at(self, when: datetime, action: Action) -> Timer:
        """Run `action` once the clock shows `when`."""
        return self._add(Timer(due=when, floor_s=0.0, action=action))

    def after(self, period: timedelta, action: Action, *, real_floor_s: float = 0.0) -> Timer:
        """Run `action` after `period` of the clock, but not before `real_floor_s` real seconds have passed."""
        return self._add(Timer(due=self.clock.now() + period, floor_s=time.monotonic() + real_floor_s, action=action))

    def every(self, period: timedelta, action: Action) -> "Repeating":
        """Run `action` after each `period`; a clock that jumps over several periods gives one run, not a burst."""
        return Repeating(self, period, action)

    def run_due(self) -> None:
        """Run what is due now. Called by the tick."""
        now, held = self.clock.now(), []
        while self._heap and self._heap[0][0] <= now:
            _, order, timer = heapq.heappop(self._heap)
            if timer.cancelled:
                continue
            if timer.floor_s > time.monotonic():
                held.append((timer.due, order, timer))
            else:
                self._run(timer)
        for entry in held:
            heapq.heappush(self._heap, entry)

    def _add(self, timer: Timer) -> Timer:
        heapq.heappush(self._heap, (timer.due, next(self._order), timer))
        return timer

    def _run(self, timer: Timer) -> None:
        try:
            timer.action()
        except Exception:
            self.failures += 1
            _log.exception("simulator_action_failed")

    def _on_tick(self) -> None:
        self.run_due()
        self.start()


class Repeating:
    """A periodic action on the agenda; `restart` begins the period anew, `cancel` ends it."""

    def __init__(self, agenda: Agenda, period: timedelta, action: Action) -> None:
        self._agenda, self._period, self._action = agenda, period, action
        self._timer = agenda.after(period, self._run)

    def cancel(self) -> None:
        """No further runs."""
        self._timer.cancel()

    def restart(self, period: timedelta) -> None:
        """Next run after `period`, which is also the new period."""
        self._timer.cancel()
        self._period = period
        self._timer = self._agenda.after(period, self._run)

    def _run(self) -> None:
        self._timer = self._agenda.after(self._period, self._run)
        self._action()
