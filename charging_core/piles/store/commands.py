"""Commands as rows: written by orders in their own transaction, handed to the pile server, marked as they go."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Protocol, cast

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.engine import CursorResult

from charging_core.clock import Clock, to_china
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from charging_core.members.model import MemberCard
from charging_core.orders import progress
from charging_core.orders.life import lock_order
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import open_order
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.piles.model import FirmwareRollout, PileCommand
from charging_core.piles.ports import CommandKind, CommandState, PendingCommand
from charging_core.secretbox import SecretBox, SecretError
from charging_core.stations.model import Connector, Pile

log = structlog.get_logger()

PILE_CODE_DIGITS = 14
YKC = "ykc"
PARALLEL_NUMBER = "parallel_number"
"""The parameter of a start that is one of several of a parallel charge (YKC: 0xA4 instead of 0x34)."""

NO_LIMIT_YUAN = Decimal(9999)
"""What a pile is told as balance when the payer set no limit: a pile ends the charge at its balance, so it must be told one."""

_ALLOWED_FROM = {
    CommandState.SENT: (CommandState.PENDING,),
    CommandState.PENDING: (CommandState.SENT,),
    CommandState.ACKNOWLEDGED: (CommandState.SENT,),
    CommandState.FAILED: (CommandState.PENDING, CommandState.SENT),
    CommandState.EXPIRED: (CommandState.PENDING,),
}

_NUMBERS = 10_000
"""What the last four digits of a trade number tell apart."""


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
        self._numbers = count(secrets.randbelow(_NUMBERS))

    def start(
        self,
        session: HubSession,
        order_id: str,
        connector_code: str,
        limit_yuan: Decimal | None,
        expires_at: datetime,
        group_number: str | None = None,
    ) -> str:
        """A start command with a fresh trade number; with a group's number it is one of a parallel charge."""
        trade_number = self.number_for(session, connector_code)
        balance = NO_LIMIT_YUAN if limit_yuan is None else limit_yuan
        parameters = {} if group_number is None else {PARALLEL_NUMBER: group_number}
        self._add(
            session,
            CommandKind.START,
            order_id,
            connector_code,
            trade_number,
            balance,
            expires_at,
            parameters=parameters,
        )
        return trade_number

    def number_for(self, session: HubSession, connector_code: str) -> str:
        """A fresh trade number: pile code + connector + yyMMddHHmmss + 4 digits (`specs/ykc.md` 3).

        The digits count up, from anywhere: what this process makes in one second is told apart, and hardly meets another's.
        """
        stamp = to_china(self._clock.now()).strftime("%y%m%d%H%M%S")
        return f"{connector_code}{stamp}{next(self._numbers) % _NUMBERS:04d}"

    def stop(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """A stop command, remembered with the trade number it is meant for."""
        trade_number = _trade_number(session, order_id)
        self._add(session, CommandKind.STOP, order_id, connector_code, trade_number, None, expires_at)

    def tell_balance(
        self, session: HubSession, order_id: str, connector_code: str, balance_yuan: Decimal, expires_at: datetime
    ) -> None:
        """The new balance; piles of a protocol that knows none are not told (our own guard ends the charge)."""
        pile_code = connector_code[:PILE_CODE_DIGITS]
        protocol = session.scalars(select(Pile.protocol).where(Pile.code == pile_code)).one_or_none()
        if protocol != YKC:
            return
        trade_number, parameters = _trade_number(session, order_id), _shown_card(session, order_id)
        self._add(
            session,
            CommandKind.BALANCE,
            order_id,
            connector_code,
            trade_number,
            balance_yuan,
            expires_at,
            parameters=parameters,
        )

    def read(self, session: HubSession, order_id: str, connector_code: str, expires_at: datetime) -> None:
        """Ask for a sample (0x12, TriggerMessage)."""
        self._add(session, CommandKind.READ, order_id, connector_code, None, None, expires_at)

    def hold_start(self, session: HubSession, order_id: str, until: datetime) -> None:
        """The order's start waits, however long its pile is there already."""
        session.flush()
        own = PileCommand.order_id == order_id, PileCommand.kind == CommandKind.START
        session.execute(update(PileCommand).where(*own).values(hold_until=until))

    def release_starts(self, session: HubSession, connector_code: str) -> None:
        """Starts at this connector wait no longer."""
        pile_code = connector_code[:PILE_CODE_DIGITS]
        released = session.execute(
            update(PileCommand)
            .where(
                PileCommand.pile_code == pile_code,
                PileCommand.state == CommandState.PENDING,
                PileCommand.connector_no == int(connector_code[PILE_CODE_DIGITS:]),
                PileCommand.kind == CommandKind.START,
                PileCommand.hold_until.is_not(None),
            )
            .values(hold_until=None)
        )
        if cast(CursorResult[object], released).rowcount > 0:
            session.on_commit(lambda: self._waker.wake(pile_code))

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
        parameters: Mapping[str, Any] | None = None,
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
                parameters=dict(parameters or {}),
                expires_at=expires_at,
                state=CommandState.PENDING,
                created_at=now,
                changed_at=now,
            )
        )
        session.on_commit(lambda: self._waker.wake(pile_code))


def _trade_number(session: HubSession, order_id: str) -> str | None:
    return session.scalars(select(ChargeOrder.trade_number).where(ChargeOrder.id == order_id)).one_or_none()


def _shown_card(session: HubSession, order_id: str) -> dict[str, str]:
    """The physical number of the card that the charge was started with; a pile compares it when it is told a balance."""
    query = select(MemberCard.physical).join(
        ChargeOrder, (ChargeOrder.card == MemberCard.number) & (ChargeOrder.tenant_id == MemberCard.tenant_id)
    )
    physical = session.scalars(query.where(ChargeOrder.id == order_id)).one_or_none()
    return {} if physical is None else {"physical_card": physical}


class TableCommandSource:
    """Fills the pile server's `CommandSource` port; what happens to a start command is told to its order at once."""

    def __init__(self, db: Database, context: OrderContext, box: SecretBox | None = None) -> None:
        self._db = db
        self._context = context
        self._box = box

    def pending(self, pile_codes: Collection[str]) -> Sequence[PendingCommand]:
        """Commands that wait for these piles, oldest first."""
        if not pile_codes:
            return []
        query = (
            select(PileCommand)
            .where(
                PileCommand.state == CommandState.PENDING,
                PileCommand.pile_code.in_(pile_codes),
                or_(PileCommand.hold_until.is_(None), PileCommand.hold_until <= self._context.clock.now()),
            )
            .order_by(PileCommand.id)
        )
        with self._db.read_system("pile commands") as session:
            return [_pending(row, self._secrets(session, row)) for row in session.scalars(query)]

    def _secrets(self, session: HubSession, row: PileCommand) -> dict[str, str]:
        """What a firmware update needs besides its row. Without it the frame cannot be made, and the command fails."""
        if row.kind != CommandKind.UPDATE or self._box is None:
            return {}
        rollout_id = str(row.batch_id)
        sealed = session.scalars(select(FirmwareRollout.password).where(FirmwareRollout.id == rollout_id)).one_or_none()
        try:
            return {} if sealed is None else {"password": self._box.open(sealed, f"firmware:{rollout_id}")}
        except SecretError:
            log.error("pile.firmware_password_unreadable", rollout_id=rollout_id)
            return {}

    def mark(self, command_id: str, state: CommandState, detail: str) -> bool:
        """Change the state if the present one allows it; the order hears of a start that left or that failed."""
        with self._db.system("pile commands") as session:
            order_id = session.scalars(select(PileCommand.order_id).where(PileCommand.id == command_id)).one_or_none()
            # The order's row first, as everybody does who ends an order and withdraws its command.
            order = lock_order(session, order_id) if order_id else None
            command = session.scalars(
                select(PileCommand).where(PileCommand.id == command_id).with_for_update()
            ).one_or_none()
            if command is None or command.state not in _ALLOWED_FROM[state]:
                return False
            moot = _why_moot(session, command, order) if state is CommandState.SENT else None
            if moot is not None:
                self._change(session, command, CommandState.EXPIRED, moot)
                return False
            self._change(session, command, state, detail)
            return True

    def _change(self, session: HubSession, command: PileCommand, state: CommandState, detail: str) -> None:
        command.state, command.detail = state, detail[:200] or None
        command.changed_at = self._context.clock.now()
        if command.kind != CommandKind.START or command.order_id is None:
            return
        if state is CommandState.SENT:
            progress.start_sent(session, self._context, command.order_id)
        elif state is CommandState.EXPIRED:
            progress.start_not_delivered(session, self._context, command.order_id, f"command {state}: {detail}")


def _why_moot(session: HubSession, command: PileCommand, order: ChargeOrder | None) -> str | None:
    """Why sending the command now would do harm; none when it may go."""
    if order is None:
        return None
    if command.kind == CommandKind.START:
        waits = order.current_state in (OrderState.CREATED, OrderState.STARTING)
        return None if waits else "the order no longer waits for a start"
    if command.kind in (CommandKind.BALANCE, CommandKind.READ):
        return None if order.current_state in OPEN_STATES else "the charge is over"
    if command.kind != CommandKind.STOP:
        return None
    # A stop carries no trade number on the wire: it must not stop the next customer (`specs/ykc.md` 0x36).
    if order.current_state is OrderState.SETTLED:
        return "the charge is over"
    if order.link_lost:
        return "the pile has not shown this charge since its link is new"
    current = open_order(session, order.connector_id)
    return None if current is None or current.id == order.id else "another charge runs on the connector"


def _pending(row: PileCommand, secrets: dict[str, str]) -> PendingCommand:
    return PendingCommand(
        id=row.id,
        order_id=row.order_id,
        kind=CommandKind(row.kind),
        pile_code=row.pile_code,
        connector_no=row.connector_no,
        trade_number=row.trade_number,
        balance_yuan=row.balance_yuan,
        expires_at=row.expires_at,
        parameters=row.parameters | secrets,
        answer_within_s=row.answer_within_s if row.order_id is None else None,
    )
