"""Commands as rows: written by orders in their own transaction, handed to the pile server, marked as they go."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, cast

from sqlalchemy import select, update
from sqlalchemy.engine import CursorResult

from charging_core.clock import Clock, to_china
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from charging_core.orders import progress
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import open_order
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandKind, CommandState, PendingCommand
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector

PILE_CODE_DIGITS = 14

NO_LIMIT_YUAN = Decimal(9999)
"""What a pile is told as balance when the payer set no limit: a pile ends the charge at its balance, so it must be told one."""

_ALLOWED_FROM = {
    CommandState.SENT: (CommandState.PENDING,),
    CommandState.PENDING: (CommandState.SENT,),
    CommandState.ACKNOWLEDGED: (CommandState.SENT,),
    CommandState.FAILED: (CommandState.PENDING, CommandState.SENT),
    CommandState.EXPIRED: (CommandState.PENDING,),
}


class CommandWaker(Protocol):
    """Tells the pile server that holds a pile that a command waits. May be lost: the server also polls."""

    def wake(self, pile_code: str) -> None:
        """A command for this pile has been committed."""
        ...  # pragma: no cover


class TableCommands:
    """Fills the orders' `PileCommands` port with rows of `pile_command`."""

    def __init__(self, clock: Clock, waker: CommandWaker) -> None:
        self._clock = clock
        self._waker = waker

    def start(
        self, session: HubSession, order_id: str, connector_code: str, limit_yuan: Decimal | None, expires_at: datetime
    ) -> str:
        """A start command with a fresh trade number: pile code + connector + yyMMddHHmmss + 4 digits (`specs/ykc.md` 3)."""
        stamp = to_china(self._clock.now()).strftime("%y%m%d%H%M%S")
        trade_number = f"{connector_code}{stamp}{secrets.randbelow(10_000):04d}"
        balance = NO_LIMIT_YUAN if limit_yuan is None else limit_yuan
        self._add(session, CommandKind.START, order_id, connector_code, trade_number, balance, expires_at)
        return trade_number

    def stop(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """A stop command, remembered with the trade number it is meant for."""
        trade_number = session.scalars(
            select(PileCommand.trade_number).where(
                PileCommand.order_id == order_id, PileCommand.kind == CommandKind.START
            )
        ).first()
        self._add(session, CommandKind.STOP, order_id, connector_code, trade_number, None, expires_at)

    def cancel_start(self, session: HubSession, order_id: str) -> bool:
        """Expire the start if it has not been sent."""
        withdrawn = session.execute(
            update(PileCommand)
            .where(
                PileCommand.order_id == order_id,
                PileCommand.kind == CommandKind.START,
                PileCommand.state == CommandState.PENDING,
            )
            .values(state=CommandState.EXPIRED, detail="withdrawn", changed_at=self._clock.now())
        )
        return cast(CursorResult[object], withdrawn).rowcount > 0

    def push_tariff(self, session: HubSession, pile_code: str, tenant_id: str, valid_for: timedelta) -> None:
        """Ask the pile to take the tariff that should be valid now."""
        expires_at = self._clock.now() + valid_for
        self._add(session, CommandKind.PUSH_TARIFF, None, pile_code + "00", None, None, expires_at, tenant_id)

    def _add(
        self,
        session: HubSession,
        kind: CommandKind,
        order_id: str | None,
        connector_code: str,
        trade_number: str | None,
        limit_yuan: Decimal | None,
        expires_at: datetime,
        tenant_id: str | None = None,
    ) -> None:
        pile_code, number = connector_code[:PILE_CODE_DIGITS], connector_code[PILE_CODE_DIGITS:]
        if tenant_id is None:
            tenant_id = session.scalars(select(Connector.tenant_id).where(Connector.code == connector_code)).one()
        now = self._clock.now()
        session.add(
            PileCommand(
                id=new_id(),
                tenant_id=tenant_id,
                order_id=order_id,
                kind=kind,
                pile_code=pile_code,
                connector_no=int(number),
                trade_number=trade_number,
                balance_yuan=limit_yuan,
                expires_at=expires_at,
                state=CommandState.PENDING,
                created_at=now,
                changed_at=now,
            )
        )
        session.on_commit(lambda: self._waker.wake(pile_code))


class TableCommandSource:
    """Fills the pile server's `CommandSource` port; what happens to a start command is told to its order at once."""

    def __init__(self, db: Database, context: OrderContext) -> None:
        self._db = db
        self._context = context

    def pending(self, pile_codes: Collection[str]) -> Sequence[PendingCommand]:
        """Commands that wait for these piles, oldest first."""
        if not pile_codes:
            return []
        query = (
            select(PileCommand)
            .where(PileCommand.state == CommandState.PENDING, PileCommand.pile_code.in_(pile_codes))
            .order_by(PileCommand.id)
        )
        with self._db.read_system("pile commands") as session:
            return [_pending(row) for row in session.scalars(query)]

    def mark(self, command_id: str, state: CommandState, detail: str) -> bool:
        """Change the state if the present one allows it; the order hears of a start that left or that failed."""
        with self._db.system("pile commands") as session:
            command = session.scalars(
                select(PileCommand).where(PileCommand.id == command_id).with_for_update()
            ).one_or_none()
            if command is None or command.state not in _ALLOWED_FROM[state]:
                return False
            if state is CommandState.SENT and self._would_hit_another(session, command):
                command.state, command.detail = CommandState.EXPIRED, "another charge runs on the connector"
                return False
            command.state, command.detail = state, detail[:200] or None
            command.changed_at = self._context.clock.now()
            if command.kind == CommandKind.START and command.order_id is not None:
                self._tell_order(session, command.order_id, state, detail)
            return True

    def _would_hit_another(self, session: HubSession, command: PileCommand) -> bool:
        """A stop carries no trade number on the wire: it must not stop the next customer (`specs/ykc.md` 0x36)."""
        if command.kind != CommandKind.STOP:
            return False
        connector = find_connector(session, f"{command.pile_code}{command.connector_no:02d}")
        current = open_order(session, connector.id) if connector else None
        return current is not None and current.id != command.order_id

    def _tell_order(self, session: HubSession, order_id: str, state: CommandState, detail: str) -> None:
        if state is CommandState.SENT:
            progress.start_sent(session, self._context, order_id)
        elif state is CommandState.EXPIRED:
            progress.start_not_delivered(session, self._context, order_id, f"command {state}: {detail}"[:64])


def _pending(row: PileCommand) -> PendingCommand:
    return PendingCommand(
        id=row.id,
        order_id=row.order_id,
        kind=CommandKind(row.kind),
        pile_code=row.pile_code,
        connector_no=row.connector_no,
        trade_number=row.trade_number,
        balance_yuan=row.balance_yuan,
        expires_at=row.expires_at,
    )
