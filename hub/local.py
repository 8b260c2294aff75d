"""The same small services inside one program: no routes needed, commands wake the pile server beside them, events wake the worker."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import event

from charging_core.db import Database, HubSession
from charging_core.events import DomainEvent


class LocalRoutes:
    """Every pile is here. Fills `charging_core.piles.ports.RouteTable`."""

    def announce(self, pile_codes: Collection[str]) -> None:
        """Nothing to tell anybody."""

    def withdraw(self, pile_codes: Collection[str]) -> None:
        """Nothing to tell anybody."""


class LocalWaker:
    """Wakes the pile server of this program once there is one. Fills `CommandWaker`."""

    def __init__(self) -> None:
        self._target: Callable[[str | None], None] | None = None

    def attach(self, target: Callable[[str | None], None] | None) -> None:
        """From now on `target` is called; none: nobody."""
        self._target = target

    def wake(self, pile_code: str) -> None:
        """A command for this pile has been committed."""
        if self._target is not None:
            self._target(pile_code)


class WakeOnEvent:
    """Calls `wake` after every commit of this database that wrote a domain event, so that nobody waits for a poll."""

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._engine = db.engine
        self._wake = wake

    def start(self) -> None:
        """Begin to watch this process's sessions."""
        event.listen(HubSession, "after_flush", self._flushed)

    def stop(self) -> None:
        """Stop watching."""
        event.remove(HubSession, "after_flush", self._flushed)

    def _flushed(self, session: HubSession, _context: Any) -> None:
        if session.get_bind() is self._engine and any(isinstance(row, DomainEvent) for row in session.new):
            session.on_commit(self._wake)
