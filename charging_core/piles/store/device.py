"""What the staff asks of piles: each request is a row of `pile_command` with who asked and why, and what became of it.

The row is the audit: it is written in the transaction of the request, marked by the pile server as it goes (sent, acknowledged,
failed, expired), and never deleted. One that nobody will answer any more is closed by `sweep_commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.piles.model import ANSWER_WITHIN_S, PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import PILE_CODE_DIGITS, CommandWaker
from charging_core.stations.model import Connector, Pile

VALID_FOR = timedelta(minutes=10)
"""How long a request waits for a pile that is not connected, unless its caller says otherwise."""
LOST_AFTER = timedelta(minutes=2)
"""Beyond its own time for an answer: by then the server that waited for it is gone (a restart forgets who waits)."""
QR_CHARACTERS = 180
"""The text allows 200, but with them the frame would pass its own limit of 200 bytes (`specs/ykc.md` 1)."""
_POWER = range(30, 101)
_PROTOCOLS = MappingProxyType(
    {
        "ykc": frozenset(CommandKind) - {CommandKind.UNLOCK, CommandKind.CONFIGURE},
        "ocpp16": frozenset(
            {
                CommandKind.START,
                CommandKind.STOP,
                CommandKind.READ,
                CommandKind.SET_WORK,
                CommandKind.SYNC_TIME,
                CommandKind.REBOOT,
                CommandKind.UNLOCK,
                CommandKind.CONFIGURE,
            }
        ),
    }
)
"""What the piles of a protocol can be asked; a pile of a protocol that is not named here can be asked nothing."""
_KEY_LENGTH, _VALUE_LENGTH = 50, 500
"""Characters of a configuration key and its value, by OCPP 1.6."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks and why, and what joins this request to others."""

    by: str
    reason: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `target` is a pile code, or a connector code for kinds that concern a connector (lock, read)."""

    kind: CommandKind
    target: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    valid_for: timedelta = VALID_FOR
    answer_within_s: int = ANSWER_WITHIN_S


def protocols_with(kind: CommandKind) -> frozenset[str]:
    """The protocols whose piles can be told this."""
    return frozenset(name for name, kinds in _PROTOCOLS.items() if kind in kinds)


def ask(session: HubSession, clock: Clock, waker: CommandWaker, request: Request, asked: Asked) -> PileCommand:
    """Write the request; the pile server is woken by the commit.

    Raises `NotFound` for a pile or connector of nobody or another tenant, `Conflict` when the pile's protocol has no such command,
    `InvalidInput` for parameters of no use.
    """
    check = _CHECKS.get(request.kind)
    if check is None:
        raise InvalidInput("kind", f"{request.kind} 不能由人工下发 / is not for people to send")
    pile, number = _target(session, request)
    if pile.protocol not in protocols_with(request.kind):
        raise Conflict(f"{pile.code}: 协议 {pile.protocol} 不支持 {request.kind} / its protocol has no such command")
    row = _row(request, pile, number, check(request.parameters), asked, clock.now())
    session.add(row)
    session.on_commit(lambda: waker.wake(pile.code))
    return row


def _row(
    request: Request, pile: Pile, number: int, parameters: dict[str, Any], asked: Asked, now: datetime
) -> PileCommand:
    return PileCommand(
        id=new_id(),
        tenant_id=pile.tenant_id,
        kind=request.kind,
        pile_code=pile.code,
        connector_no=number,
        parameters=parameters,
        asked_by=asked.by[:64],
        reason=asked.reason[:200] if asked.reason else None,
        batch_id=asked.batch_id,
        answer_within_s=request.answer_within_s,
        expires_at=now + request.valid_for,
        state=CommandState.PENDING,
        created_at=now,
        changed_at=now,
    )


def _target(session: HubSession, request: Request) -> tuple[Pile, int]:
    wants_connector = request.kind in _OF_CONNECTOR
    pile = session.scalars(select(Pile).where(Pile.code == request.target[:PILE_CODE_DIGITS])).one_or_none()
    if pile is None or (len(request.target) > PILE_CODE_DIGITS) is not wants_connector:
        raise NotFound(f"{'connector' if wants_connector else 'pile'} {request.target}")
    if not wants_connector:
        return pile, 0
    known = session.scalars(select(Connector.number).where(Connector.code == request.target)).one_or_none()
    if known is None:
        raise NotFound(f"connector {request.target}")
    return pile, known


# -- parameters


def _take(given: Mapping[str, Any], **kinds: tuple[type, Any]) -> dict[str, Any]:
    """The named parameters, each of its type, its default where it is left out; none but these."""
    for name in given:
        if name not in kinds:
            raise InvalidInput(name, "未知参数 / no such parameter")
    taken = {name: given.get(name, default) for name, (_, default) in kinds.items()}
    for name, (kind, _) in kinds.items():
        if type(taken[name]) is not kind:
            raise InvalidInput(name, f"需要 {kind.__name__} / is needed")
    return taken


def _nothing(given: Mapping[str, Any]) -> dict[str, Any]:
    return _take(given)


def _work(given: Mapping[str, Any]) -> dict[str, Any]:
    taken = _take(given, out_of_service=(bool, None), max_power_percent=(int, 100))
    if taken["max_power_percent"] not in _POWER:
        raise InvalidInput("max_power_percent", "应为 30…100 / is 30…100")
    return taken


def _reboot(given: Mapping[str, Any]) -> dict[str, Any]:
    return _take(given, when_idle=(bool, True))


def _lock(given: Mapping[str, Any]) -> dict[str, Any]:
    return _take(given, **{"raise": (bool, None)})


def _qr(given: Mapping[str, Any]) -> dict[str, Any]:
    taken = _take(given, prefix=(str, None), with_connector=(bool, True))
    prefix = taken["prefix"]
    if not (0 < len(prefix) <= QR_CHARACTERS and prefix.isascii() and prefix.isprintable()):
        raise InvalidInput("prefix", f"应为 1…{QR_CHARACTERS} 个 ASCII 字符 / is 1…{QR_CHARACTERS} ASCII characters")
    return taken


def _configure(given: Mapping[str, Any]) -> dict[str, Any]:
    taken = _take({"value": "", **given}, key=(str, None), value=(str, ""))
    if not (0 < len(taken["key"]) <= _KEY_LENGTH and len(taken["value"]) <= _VALUE_LENGTH):
        raise InvalidInput("key", f"键 1…{_KEY_LENGTH} 字符, 值至多 {_VALUE_LENGTH} / key and value of such lengths")
    return taken if "value" in given else {"key": taken["key"]}


_CHECKS: Mapping[CommandKind, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {
        CommandKind.READ: _nothing,
        CommandKind.PUSH_TARIFF: _nothing,
        CommandKind.SYNC_TIME: _nothing,
        CommandKind.SET_WORK: _work,
        CommandKind.REBOOT: _reboot,
        CommandKind.LOCK: _lock,
        CommandKind.SET_QR: _qr,
        CommandKind.UNLOCK: _nothing,
        CommandKind.CONFIGURE: _configure,
        CommandKind.UPDATE: dict,
        CommandKind.SYNC_CARDS: dict,
        CommandKind.CLEAR_CARDS: dict,
        CommandKind.QUERY_CARDS: dict,
    }
)
"""Kinds that people may ask for. Starts and stops belong to orders; updates come from `firmware.py`, card lists from
`cards.py`, which check them."""
_OF_CONNECTOR = frozenset({CommandKind.READ, CommandKind.LOCK, CommandKind.UNLOCK})


# -- later


def remember_qr(session: HubSession, pile: Pile, now: datetime) -> None:
    """After a login: send the last QR prefix again, since piles forget it at power-off (`specs/ykc.md` 5, 0xF0)."""
    last = session.scalars(
        select(PileCommand)
        .where(PileCommand.pile_code == pile.code, PileCommand.kind == CommandKind.SET_QR)
        .order_by(PileCommand.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None or last.state in (CommandState.PENDING, CommandState.EXPIRED):
        return
    request = Request(CommandKind.SET_QR, pile.code)
    asked = Asked(last.asked_by or "hub", "重新登录后再次下发 / again after a login", last.batch_id)
    session.add(_row(request, pile, 0, dict(last.parameters), asked, now))


def sweep_commands(db: Database, clock: Clock) -> int:
    """Close the staff's commands that nobody will act on any more: never sent in time, or never answered. Returns how many.

    Commands of orders end with their orders. Looks without holding SQLite's writer first.
    """
    with db.read_system("pile commands") as session:
        due = _overdue(session, clock.now())
    if due:
        with db.system("pile commands") as session:
            for row in _overdue(session, clock.now(), lock=True):
                sent = row.state == CommandState.SENT
                row.state = CommandState.FAILED if sent else CommandState.EXPIRED
                row.detail = "no answer" if sent else "expired before it could be sent"
                row.changed_at = clock.now()
    return len(due)


def _overdue(session: HubSession, now: datetime, *, lock: bool = False) -> Sequence[PileCommand]:
    open_rows = select(PileCommand).where(
        PileCommand.order_id.is_(None),
        PileCommand.state.in_((CommandState.PENDING, CommandState.SENT)),
        PileCommand.expires_at < now,
    )
    query = open_rows.with_for_update() if lock else open_rows
    return [row for row in session.scalars(query) if _is_overdue(row, now)]


def _is_overdue(row: PileCommand, now: datetime) -> bool:
    if row.state == CommandState.PENDING:
        return True
    return row.changed_at + timedelta(seconds=row.answer_within_s) + LOST_AFTER < now
