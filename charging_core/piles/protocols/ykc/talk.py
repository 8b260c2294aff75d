"""What all parts of one connection's conversation share: the connection, the server's parts, and the piles logged in here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from charging_core.piles.commands import Delivery
from charging_core.piles.context import PileContext
from charging_core.piles.events import PileEvent
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.dialect import TEXTBOOK, Dialect
from charging_core.piles.registry import PileLink
from charging_core.piles.writers import EventJob, Room


class YkcLink(PileLink, Protocol):
    """What a session needs of its connection."""

    address: str
    closing: bool

    def reply(self, frame_type: int, fields: Mapping[str, Any], sequence: bytes) -> None:
        """Answer at once."""
        ...  # pragma: no cover

    def send(self, frame_type: int, fields: Callable[[], Mapping[str, Any]], delivery: Delivery | None = None) -> None:
        """Send in turn."""
        ...  # pragma: no cover

    def hold_paced(self) -> None:
        """Start a gap."""
        ...  # pragma: no cover

    def trust(self, strict_crc: bool) -> bool:
        """A login is accepted."""
        ...  # pragma: no cover

    def close(self, reason: str) -> None:
        """Flush and close."""
        ...  # pragma: no cover

    def now(self) -> datetime:
        """Receive time."""
        ...  # pragma: no cover


@dataclass(slots=True)
class LoggedPile:
    """A pile logged in on this connection."""

    code: str
    dialect: Dialect = TEXTBOOK
    next_time_sync: float = 0.0
    """Monotonic seconds."""
    sent_model: str | None = None
    """The tariff model it was sent last: what a 0x57 confirms."""


@dataclass(slots=True)
class Talk:
    """One connection's conversation."""

    context: PileContext
    link: YkcLink
    piles: dict[str, LoggedPile] = field(default_factory=dict)

    def offer(self, pile_code: str, event: PileEvent, room: Room, attempts: int = 1) -> None:
        """Hand an event to the writer threads."""
        self.context.writers.offer(pile_code, EventJob((event,), attempts=attempts, room=room))


Handler = Callable[[Talk, Frame, bytes], None]
"""Acts on one frame of a logged-in pile; gets the frame's bytes too."""
