"""What an order wants of a pile, said through a port that `piles/` fills (DECISIONS 1, 21)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.orders.guard import GuardPolicy
from charging_core.orders.rules import MissingRecord


class PileCommands(Protocol):
    """Commands are rows in the order's own transaction; the pile server picks them up after the commit."""

    def start(
        self,
        session: HubSession,
        order_id: str,
        connector_code: str,
        limit_yuan: Decimal | None,
        expires_at: datetime,
        group_number: str | None = None,
    ) -> str:
        """Ask for a start; returns the pile side's own number for this charge. `group_number` joins it to others of the same pile.

        Not sent after `expires_at`, nor when the order no longer waits for it; the order is told of either.
        """
        ...  # pragma: no cover

    def number_for(self, session: HubSession, connector_code: str) -> str:
        """The pile side's own number for a charge that the pile asked for; it starts by the answer, nothing is sent."""
        ...  # pragma: no cover

    def tell_balance(
        self, session: HubSession, order_id: str, connector_code: str, balance_yuan: Decimal, expires_at: datetime
    ) -> None:
        """Tell the pile, while it charges for this order, how much the payer has for it now in all."""
        ...  # pragma: no cover

    def stop(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """Ask for a stop. Never reaches a later charge: it is dropped when the order is settled or another holds the connector."""
        ...  # pragma: no cover

    def read(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """Ask the pile how the connector is now; its answer is a sample."""
        ...  # pragma: no cover

    def hold_start(self, session: HubSession, order_id: str, until: datetime) -> None:
        """Send the order's start not before `until`, unless `release_starts` comes first."""
        ...  # pragma: no cover

    def release_starts(self, session: HubSession, connector_code: str) -> None:
        """What the starts at this connector waited for is there."""
        ...  # pragma: no cover

    def cancel_start(self, session: HubSession, order_id: str) -> bool:
        """Withdraw a start that has not left yet; false when it has."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What the order service needs from outside: the clock and the piles, and by which rules it works."""

    clock: Clock
    commands: PileCommands
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    missing_record: MissingRecord = MissingRecord.WAIT
