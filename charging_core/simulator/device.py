"""The clock inside a pile: the passed clock plus an offset that the platform's 0x56 corrects."""

from datetime import datetime, timedelta

from charging_core.clock import Clock

# A correction below this is the time the frame was under way (on a fast clock a few milliseconds are a second), not a
# wrong clock: taking it over would only make the pile's time jump to and fro.
_TOLERANCE = timedelta(seconds=5)


class DeviceClock:
    """Time as the pile knows it. `offset` is added to the passed clock; a running charge keeps the one of its start."""

    def __init__(self, clock: Clock, offset: timedelta = timedelta(0)) -> None:
        self._clock = clock
        self.offset = offset

    def now(self) -> datetime:
        """The pile's time, aware, UTC."""
        return self._clock.now() + self.offset

    def set(self, platform_time: datetime) -> None:
        """Take over the platform's time if the pile is clearly wrong."""
        correction = platform_time - self.now()
        if abs(correction) > _TOLERANCE:
            self.offset += correction
