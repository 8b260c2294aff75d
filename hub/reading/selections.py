"""Which deliveries are meant, in the words of the console and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from charging_core.db import HubSession
from charging_core.errors import InvalidInput
from hub.reading.destinations import Destinations
from hub.reading.times import instant_or_ago
from worker.api import Outcome, State
from worker.repair import Selection


@dataclass(frozen=True, slots=True)
class Wanted:
    """Members that are given must all fit. `destination` as `Destinations.find` takes it; times as texts, spans mean "so long ago"."""

    destination: str | None = None
    interface: str | None = None
    object_key: str | None = None
    states: Sequence[str] = ()
    outcome: str | None = None
    since: str | None = None
    until: str | None = None

    @property
    def bounded(self) -> bool:
        """Whether anything narrows it at all; what changes deliveries does not start from "all of them"."""
        return any((self.destination, self.interface, self.object_key, self.outcome, self.since))

    def read(self, session: HubSession, now: datetime) -> Selection:
        """The selection. Raises `NotFound`, `Conflict` for the destination, `InvalidInput` for the rest."""
        named = Destinations(session).find(self.destination) if self.destination else None
        return Selection(
            destination=named.destination if named else None,
            interface=self.interface,
            object_key=self.object_key,
            states=tuple(_state(text) for text in self.states),
            outcome=_outcome(self.outcome),
            since=instant_or_ago("since", self.since, now) if self.since else None,
            until=instant_or_ago("until", self.until, now) if self.until else None,
        )


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError as error:
        raise InvalidInput("state", f"应为 / one of: {' '.join(State)}") from error


def _outcome(text: str | None) -> Outcome | None:
    try:
        return None if text is None else Outcome(text)
    except ValueError as error:
        raise InvalidInput("outcome", f"应为 / one of: {' '.join(Outcome)}") from error
