"""Which link holds which pile. Written by the event loop only; other threads may read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from charging_core.piles.commands import Delivery


@dataclass(frozen=True, slots=True)
class LinkState:
    """A connected pile as an operator sees it."""

    pile_code: str
    connection_id: str
    address: str
    since: datetime
    silent_s: float
    suspect: bool


class PileLink(Protocol):
    """One connection of any protocol, as the server uses it; all calls in the event loop."""

    @property
    def connection_id(self) -> str:
        """Ours, unique."""
        ...  # pragma: no cover

    def deliver(self, delivery: Delivery) -> None:
        """Write the command as soon as the pile may be written to, and tell the command desk."""
        ...  # pragma: no cover

    def replaced(self, pile_code: str) -> None:
        """A newer link holds this pile: forget it, and close when nothing is left; its end is no news (6.2)."""
        ...  # pragma: no cover

    def state_of(self, pile_code: str) -> LinkState:
        """How it looks now."""
        ...  # pragma: no cover


class LinkRegistry:
    """The current link of each pile."""

    def __init__(self) -> None:
        self._links: dict[str, PileLink] = {}

    def bind(self, pile_code: str, link: PileLink) -> None:
        """Make `link` the current one; the one it replaces is told."""
        old = self._links.get(pile_code)
        self._links[pile_code] = link
        if old is not None and old is not link:
            old.replaced(pile_code)

    def release(self, pile_code: str, link: PileLink) -> None:
        """Forget the pile if `link` is still its current one."""
        if self._links.get(pile_code) is link:
            del self._links[pile_code]

    def get(self, pile_code: str) -> PileLink | None:
        """The current link of a pile."""
        return self._links.get(pile_code)

    def codes(self) -> Collection[str]:
        """Codes of all connected piles, as a copy."""
        return list(self._links)

    def states(self) -> list[LinkState]:
        """All connected piles, for display."""
        return [link.state_of(code) for code, link in list(self._links.items())]

    def __len__(self) -> int:
        return len(self._links)
