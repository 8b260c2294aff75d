"""The measured side of the pile bench: the product's pile server with ports in memory, metrics on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Sequence

import structlog

from charging_core.clock import SystemClock
from charging_core.piles.events import PileEvent, PileLogin
from charging_core.piles.ports import CommandState, LoginDecision, PendingCommand, PilePorts, PileTariff
from charging_core.piles.server import PileServer


class Open:
    """Every port, saying yes and keeping nothing."""

    def login(self, login: PileLogin) -> LoginDecision:
        return LoginDecision(accepted=True, tenant_id="bench")

    def handle(self, batch: Sequence[PileEvent]) -> None:
        """Nothing to keep: the frames of this bench carry no facts."""

    def pending(self, pile_codes: Collection[str]) -> Sequence[PendingCommand]:
        return []

    def mark(self, command_id: str, state: CommandState, detail: str) -> bool:
        return True

    def for_pile(self, pile_code: str) -> PileTariff | None:
        return None

    def confirmed(self, pile_code: str, model_number: str) -> None:
        """No tariffs here."""

    def announce(self, pile_codes: Collection[str]) -> None:
        """Nobody asks."""

    def withdraw(self, pile_codes: Collection[str]) -> None:
        """Nobody asks."""


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ports = Open()
    server = PileServer("127.0.0.1", 0, PilePorts(ports, ports, ports, ports, ports), SystemClock())
    print(server.start(), flush=True)
    threading.Event().wait()
