"""What a pile is besides its connectors: its clock, and what the platform set on it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from charging_core.clock import Clock

# A correction below this is the time the frame was under way (on a fast clock a few milliseconds are a second), not a
# wrong clock: taking it over would only make the pile's time jump to and fro.
_TOLERANCE = timedelta(seconds=5)

LOCK_RAISED, LOCK_LOWERED = 0x55, 0xFF


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


@dataclass(slots=True)
class DeviceState:
    """What the platform set: work parameters (0x52), QR prefix (0xF0), off-line cards (0x44), ground locks (0x62), firmware (0x94).

    `cards` maps physical to logical card numbers; `locks` a connector to where the lock of its bay stands.
    """

    software: str
    out_of_service: bool = False
    max_power_percent: int = 100
    qr_prefix: str | None = None
    cards: dict[str, str] = field(default_factory=dict)
    locks: dict[int, int] = field(default_factory=dict)
