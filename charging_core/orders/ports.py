"""What an order wants of a pile, said through a port that `piles/` fills (DECISIONS 1, 21)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from charging_core.clock import Clock
from charging_core.db import HubSession


class PileCommands(Protocol):
    """Commands are rows in the order's own transaction; the pile server picks them up after the commit."""

    def start(
        self, session: HubSession, order_id: str, connector_code: str, limit_yuan: Decimal | None, expires_at: datetime
    ) -> str:
        """Ask for a start; returns the pile side's own number for this charge.

        Not sent after `expires_at`, nor when the order no longer waits for it; the order is told of either.
        """
        ...  # pragma: no cover

    def stop(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """Ask for a stop. Never reaches a later charge: it is dropped when the order is settled or another holds the connector."""
        ...  # pragma: no cover

    def cancel_start(self, session: HubSession, order_id: str) -> bool:
        """Withdraw a start that has not left yet; false when it has."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What the order service needs from outside: the clock and the piles."""

    clock: Clock
    commands: PileCommands
