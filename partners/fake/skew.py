"""A clock that goes wrong on demand."""

from __future__ import annotations

from datetime import datetime, timedelta

from charging_core.clock import Clock


class SkewedClock:
    """Another clock, `skew_s` seconds fast (or slow, below zero)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.skew_s = 0.0

    def now(self) -> datetime:
        """What the other clock says, and the skew."""
        return self._clock.now() + timedelta(seconds=self.skew_s)

    def real_seconds(self, business_seconds: float) -> float:
        """The pace is that of the other clock."""
        return self._clock.real_seconds(business_seconds)
