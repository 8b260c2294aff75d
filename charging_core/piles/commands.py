"""Commands on their way to piles: a thread that fetches and marks them, and a desk that matches answers.

A command is marked sent before it is written, and written only if that mark was granted: a crash in between loses it visibly
(its order's timer ends it) instead of sending it twice; a late 0x36 could stop the next customer's charge.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from charging_core.clock import Clock
from charging_core.piles import metrics
from charging_core.piles.ports import (
    PILE_WIDE,
    CommandKind,
    CommandSource,
    CommandState,
    PendingCommand,
    PileTariff,
    TariffSource,
)

log = structlog.get_logger()

MARK_ATTEMPTS = 60
"""Tries to store a command's outcome before it is given up with an error; one per poll, so a minute of outage is survived."""

_WAITS_AGAIN = frozenset(
    {
        CommandKind.START,
        CommandKind.SET_WORK,
        CommandKind.SET_QR,
        CommandKind.UPDATE,
        CommandKind.BALANCE,
        CommandKind.SYNC_CARDS,
        CommandKind.CLEAR_CARDS,
        CommandKind.QUERY_CARDS,
    }
)
"""Never written, these are as right a minute later; a stop, a lock or a reboot would then hit somebody else."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A command ready to be written, with what it needs beyond itself."""

    command: PendingCommand
    tariff: PileTariff | None = None


@dataclass(slots=True)
class _Mark:
    command: PendingCommand
    state: CommandState
    detail: str
    attempts: int = MARK_ATTEMPTS


def log_ids(command: PendingCommand) -> dict[str, str]:
    """What every log line about a command carries."""
    order = {"order_id": command.order_id} if command.order_id else {}
    return {"command_id": command.id, "pile_code": command.pile_code, **order}


class CommandPump(threading.Thread):
    """Fetches commands when woken, and every `poll_s` anyway; stores what became of them."""

    def __init__(
        self,
        source: CommandSource,
        tariffs: TariffSource,
        clock: Clock,
        poll_s: float,
        connected: Callable[[], Collection[str]],
        hand_over: Callable[[Delivery], None],
    ) -> None:
        super().__init__(name="pile-commands", daemon=True)
        self._source = source
        self._tariffs = tariffs
        self._clock = clock
        self._poll_s = poll_s
        self._connected = connected
        self._hand_over = hand_over
        self._marks: deque[_Mark] = deque()
        self._woken: set[str] = set()
        self._all_woken = False
        self._marks_held = False
        self._paused = False
        self._stopping = False
        self._changed = threading.Condition()

    def wake(self, pile_code: str | None = None) -> None:
        """Look for commands of this pile (None: of all) now. From any thread."""
        with self._changed:
            if pile_code is None:
                self._all_woken = True
            else:
                self._woken.add(pile_code)
            self._changed.notify()

    def mark_later(self, command: PendingCommand, state: CommandState, detail: str) -> None:
        """Store an outcome soon. From any thread; does not block."""
        with self._changed:
            self._marks.append(_Mark(command, state, detail))
            self._changed.notify()

    def pause(self) -> None:
        """Fetch no more commands; outcomes are still stored."""
        self._paused = True

    def stop(self) -> None:
        """Store the outcomes that wait, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Until stopped: outcomes first, then new commands."""
        next_poll = time.monotonic()
        while not self._stopping:
            poll, codes = self._wait(next_poll)
            if poll:
                next_poll = time.monotonic() + self._poll_s
                self._marks_held = False
            try:
                self._store_marks()
                self._fetch(codes)
            except Exception:
                metrics.PORT_ERRORS.labels("commands").inc()
                log.exception("pile_commands_failed")
        self._store_marks()

    def _wait(self, next_poll: float) -> tuple[bool, Collection[str]]:
        with self._changed:
            marks_wait = self._marks and not self._marks_held
            if not (marks_wait or self._woken or self._all_woken or self._stopping):
                self._changed.wait(max(0.0, next_poll - time.monotonic()))
            poll = time.monotonic() >= next_poll
            codes: Collection[str] = self._woken
            if poll or self._all_woken:
                codes = self._connected()
            self._woken = set()
            self._all_woken = False
            return poll, codes

    def _store_marks(self) -> None:
        """Store outcomes in order until one fails; that one goes to the back and all wait for the next poll."""
        while self._marks and not self._marks_held:
            mark = self._marks.popleft()
            try:
                self._source.mark(mark.command.id, mark.state, mark.detail)
            except Exception:
                metrics.PORT_ERRORS.labels("mark").inc()
                log.exception("pile_command_mark_failed", state=mark.state, **log_ids(mark.command))
                self._marks_held = True
                self._try_again(mark)
            else:
                metrics.COMMANDS.labels(mark.command.kind, mark.state).inc()

    def _try_again(self, mark: _Mark) -> None:
        mark.attempts -= 1
        if mark.attempts > 0:
            self._marks.append(mark)

    def _fetch(self, codes: Collection[str]) -> None:
        if not codes or self._paused or self._stopping:
            return
        connected = set(self._connected())
        for command in self._source.pending(codes):
            if command.expires_at <= self._clock.now():
                self._mark(command, CommandState.EXPIRED, "expired before it could be sent")
            elif command.pile_code in connected:
                self._prepare(command)

    def _prepare(self, command: PendingCommand) -> None:
        tariff = self._tariffs.for_pile(command.pile_code) if command.kind is CommandKind.PUSH_TARIFF else None
        if command.kind is CommandKind.PUSH_TARIFF and tariff is None:
            self._mark(command, CommandState.FAILED, "the pile has no tariff")
        elif self._mark(command, CommandState.SENT, ""):
            self._hand_over(Delivery(command, tariff))

    def _mark(self, command: PendingCommand, state: CommandState, detail: str) -> bool:
        granted = self._source.mark(command.id, state, detail)
        if granted:
            metrics.COMMANDS.labels(command.kind, state).inc()
        return granted


_Key = tuple[str, CommandKind, int, str]


class CommandDesk:
    """Commands written and not yet answered, by what an answer shows; lives in the event loop and outlives a connection."""

    def __init__(self, pump: CommandPump, clock: Clock, answer_timeout_s: float) -> None:
        self._pump = pump
        self._clock = clock
        self._answer_timeout_s = answer_timeout_s
        self._waiting: dict[_Key, tuple[PendingCommand, float]] = {}

    def written(self, command: PendingCommand) -> None:
        """The command is on the wire; an older one that the same answer would fit can no longer be told apart."""
        key = _key(command.kind, command.pile_code, command.connector_no, command.trade_number)
        older = self._waiting.get(key)
        if older is not None:
            self._pump.mark_later(older[0], CommandState.FAILED, "superseded before it was answered")
        within_s = command.answer_within_s or self._answer_timeout_s
        self._waiting[key] = (command, time.monotonic() + within_s)

    def not_written(self, command: PendingCommand) -> None:
        """The link ended first: what still makes sense later goes back to wait, nothing else is ever replayed (P7)."""
        if command.expires_at <= self._clock.now():
            self._pump.mark_later(command, CommandState.EXPIRED, "expired before it could be sent")
        elif command.kind in _WAITS_AGAIN:
            self._pump.mark_later(command, CommandState.PENDING, "the link ended before it was sent")
        else:
            self._pump.mark_later(command, CommandState.FAILED, "the link ended before it was sent")

    def refused(self, command: PendingCommand, why: str) -> None:
        """The command can never be written: no frame can carry its values."""
        self._pump.mark_later(command, CommandState.FAILED, why)

    def answered(
        self,
        kind: CommandKind,
        pile_code: str,
        connector_no: int,
        trade_number: str | None,
        ok: bool | None,
        detail: str = "",
    ) -> PendingCommand | None:
        """A pile answered: mark and return the command it fits, None when none waits. `ok` None: not its last word."""
        key = _key(kind, pile_code, connector_no, trade_number)
        waiting = self._waiting.get(key)
        if waiting is None:
            return None
        if ok is not None:
            del self._waiting[key]
            self._pump.mark_later(waiting[0], CommandState.ACKNOWLEDGED if ok else CommandState.FAILED, detail)
        return waiting[0]

    def longest_waiting(self, kind: CommandKind, pile_code: str) -> int:
        """The connector of the command of this kind that a pile has known longest, for answers that name none; 0: none waits."""
        return next((key[2] for key in self._waiting if key[:2] == (pile_code, kind)), 0)

    def expire(self, now: float) -> None:
        """Mark what has waited too long for an answer; called by the sweep."""
        for key in [key for key, (_, deadline) in self._waiting.items() if deadline <= now]:
            command, _ = self._waiting.pop(key)
            self._pump.mark_later(command, CommandState.FAILED, "no answer")


def _key(kind: CommandKind, pile_code: str, connector_no: int, trade_number: str | None) -> _Key:
    """Only a start's answer carries a trade number; the answer of a whole pile carries no connector."""
    return (
        pile_code,
        kind,
        0 if kind in PILE_WIDE else connector_no,
        (trade_number or "") if kind is CommandKind.START else "",
    )
