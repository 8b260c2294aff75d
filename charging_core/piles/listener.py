"""A further door of the pile server: another protocol on a port of its own, in the same loop and with the same shared parts."""

from collections.abc import Collection
from typing import Protocol

from charging_core.piles.context import PileContext


class ListenedLink(Protocol):
    """One open connection, as the server's sweep and its drain use it."""

    def tick(self, now: float) -> None:
        """Once per sweep, with monotonic seconds."""
        ...  # pragma: no cover

    def close(self, reason: str) -> None:
        """Send what waits, then close."""
        ...  # pragma: no cover

    def abort(self, reason: str) -> None:
        """Close at once."""
        ...  # pragma: no cover


class Listener(Protocol):
    """One protocol's port; all calls in the event loop."""

    host: str
    port: int

    async def open(self, context: PileContext) -> int:
        """Bind and return the port. Raises `OSError`."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Accept no more; open connections stay."""
        ...  # pragma: no cover

    def links(self) -> Collection[ListenedLink]:
        """The open connections, as a copy."""
        ...  # pragma: no cover
