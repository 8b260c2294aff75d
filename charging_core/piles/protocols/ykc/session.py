"""The session of one connection (specs/ykc.md 6): login, heartbeats, who may speak, and who acts on what.

Runs in the event loop and never blocks: what needs the database is a job for the writer threads, and its outcome comes back
as a call. Frames that have no reply get none (P13).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from charging_core.piles import metrics
from charging_core.piles.commands import Delivery
from charging_core.piles.context import PileContext
from charging_core.piles.events import PileLogin, PileOffline
from charging_core.piles.ports import LoginDecision
from charging_core.piles.protocols.ykc import cards, charge, device, mapping, tariff
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.dialect import TEXTBOOK, Dialect, read_options
from charging_core.piles.protocols.ykc.errors import BadOption
from charging_core.piles.protocols.ykc.talk import Handler, LoggedPile, Talk, YkcLink
from charging_core.piles.writers import CallJob, Room

log = structlog.get_logger()

LOGIN, HEARTBEAT = 0x01, 0x03
RECORDS = (0x3B, 0x3D)
OFFLINE_ATTEMPTS = 10
"""Tries to store that a pile left; nobody would ever say it again."""


class YkcSession:
    """The conversation with the pile or piles of one connection."""

    def __init__(self, context: PileContext, link: YkcLink) -> None:
        self._talk = Talk(context, link)
        self._context = context
        self._link = link
        self._piles = self._talk.piles
        self._deciding: set[str] = set()

    @property
    def talk(self) -> Talk:
        """What the parts of this conversation share."""
        return self._talk

    @property
    def pile_codes(self) -> tuple[str, ...]:
        """Codes of the piles logged in here."""
        return tuple(self._piles)

    def received(self, frame: Frame, raw: bytes) -> None:
        """Take one valid frame."""
        action = _ACTIONS.get(frame.type)
        if not frame.known:
            self._ignored("unknown_type", frame, raw)
        elif frame.encrypt:
            self._ignored("encrypted", frame, raw)
        elif action is None:
            metrics.FRAMES_NOT_HANDLED.labels("no_handler").inc()
        elif frame.short and any(name not in frame.fields for name in action.needs):
            self._undecodable(frame, raw)
        else:
            self._act(action, frame, raw)

    def _act(self, action: "_Action", frame: Frame, raw: bytes) -> None:
        if frame.type == LOGIN:
            self._login(frame)
        elif frame.type == HEARTBEAT:
            self._heartbeat(frame)
        else:
            self._of_a_pile(action, frame, raw)

    def _of_a_pile(self, action: "_Action", frame: Frame, raw: bytes) -> None:
        pile = self._piles.get(frame.fields["pile_code"])
        if pile is None:
            self._stranger(frame)
        else:
            textbook = frame if pile.dialect is TEXTBOOK else pile.dialect.textbook(frame)
            action.handler(self._talk, textbook, raw)

    def _ignored(self, reason: str, frame: Frame, raw: bytes) -> None:
        metrics.FRAMES_NOT_HANDLED.labels(reason).inc()
        log.warning("pile_frame_ignored", reason=reason, type=f"{frame.type:02X}", piles=self.pile_codes, size=len(raw))

    def _undecodable(self, frame: Frame, raw: bytes) -> None:
        self._ignored("undecodable", frame, raw)
        if frame.type not in RECORDS:
            return
        metrics.RECORDS_NOT_ACKNOWLEDGED.labels("undecodable").inc()
        log.error("pile_record_undecodable", piles=self.pile_codes, raw=raw.hex())
        by_pile = any(pile.dialect.reject_undecodable_records for pile in self._piles.values())
        if self._piles and (by_pile or self._context.settings.reject_undecodable_records):
            trade_number = frame.fields.get("trade_number", mapping.NO_TRADE)
            self._link.reply(0x40, {"trade_number": trade_number, "result": 1}, frame.sequence)

    def _stranger(self, frame: Frame) -> None:
        """Before a login nothing else is processed; after it a frame of another pile is none of this link's (P14)."""
        reason = "wrong_pile" if self._piles else "before_login"
        metrics.FRAMES_NOT_HANDLED.labels(reason).inc()
        log.warning("pile_frame_ignored", reason=reason, type=f"{frame.type:02X}", piles=self.pile_codes)

    # -- login

    def _login(self, frame: Frame) -> None:
        code = frame.fields["pile_code"]
        if code in self._deciding:
            return  # repeated while the first one is being decided: one answer serves both
        if self._piles and code not in self._piles and not self._context.settings.concentrators:
            self._stranger(frame)
            return
        login = mapping.login(frame, self._link.connection_id, self._link.address, self._link.now())
        self._deciding.add(code)
        job = CallJob(
            "login",
            lambda: self._context.ports.directory.login(login),
            lambda decision: self._decided(login, decision, frame.sequence),
        )
        if not self._context.writers.offer(code, job):
            self._link.close("overloaded")

    def _decided(self, login: PileLogin, decision: LoginDecision | None, sequence: bytes) -> None:
        self._deciding.discard(login.pile_code)
        accepted = decision is not None and decision.accepted
        if self._link.closing:
            if accepted:
                self._tell_offline(login.pile_code, "closed")
        elif decision is None:
            self._link.close("login_failed")  # our fault, not the pile's: no verdict, it will come again
        elif not accepted:
            self._refuse(login, decision.reason, sequence)
        else:
            self._let_in(login, decision, sequence)

    def _let_in(self, login: PileLogin, decision: LoginDecision, sequence: bytes) -> None:
        dialect = _dialect(login.pile_code, decision)
        if self._link.trust(dialect.strict_crc):
            self._accept(login, decision, dialect, sequence)
        else:
            self._tell_offline(login.pile_code, "crc_order")
            self._refuse(login, "crc_order", sequence)

    def _refuse(self, login: PileLogin, reason: str, sequence: bytes) -> None:
        metrics.REFUSED_LOGINS.labels(reason or "refused").inc()
        log.warning("pile_login_refused", pile_code=login.pile_code, address=login.address, reason=reason)
        self._link.reply(0x02, {"pile_code": login.pile_code, "result": 1}, sequence)
        self._link.close("refused")

    def _accept(self, login: PileLogin, decision: LoginDecision, dialect: Dialect, sequence: bytes) -> None:
        code = login.pile_code
        context = self._context
        metrics.LOGINS.inc()
        log.info(
            "pile_logged_in", pile_code=code, address=login.address, firmware=login.firmware, tenant=decision.tenant_id
        )
        self._piles[code] = LoggedPile(code, dialect)
        context.registry.bind(code, self._link)
        metrics.PILES_ONLINE.set(len(context.registry))
        self._link.reply(0x02, {"pile_code": code, "result": 0}, sequence)
        self._link.hold_paced()
        self._sync_time(self._piles[code], time.monotonic())
        context.routes.announce(code)
        context.pump.wake(code)

    # -- regular life

    def _heartbeat(self, frame: Frame) -> None:
        """Answered at once, even before the login is decided: some firmware sends it first, and a late 0x04 costs the link."""
        fields = frame.fields
        if self._piles and fields["pile_code"] not in self._piles:
            self._stranger(frame)
            return
        answer = {"pile_code": fields["pile_code"], "connector_no": fields["connector_no"], "answer": 0}
        self._link.reply(0x04, answer, frame.sequence)

    def deliver(self, delivery: Delivery) -> None:
        """Write a command in its turn."""
        charge.deliver(self._talk, delivery)

    # -- time, end

    def tick(self, now: float) -> None:
        """Once per sweep: clocks that are due."""
        for pile in self._piles.values():
            if now >= pile.next_time_sync:
                self._sync_time(pile, now)

    def _sync_time(self, pile: LoggedPile, now: float) -> None:
        pile.next_time_sync = now + self._context.settings.time_sync_s
        self._link.send(0x56, lambda: {"pile_code": pile.code, "time": self._link.now()})

    def forget(self, pile_code: str) -> bool:
        """A newer connection has this pile; True when no pile is left here."""
        self._piles.pop(pile_code, None)
        return not self._piles

    def ended(self, reason: str) -> None:
        """The connection is gone: its piles are off-line, unless a newer connection holds them."""
        for code in self.pile_codes:
            self._context.registry.release(code, self._link)
            self._context.routes.withdraw(code)
            self._tell_offline(code, reason)
        self._piles.clear()
        metrics.PILES_ONLINE.set(len(self._context.registry))

    def _tell_offline(self, code: str, reason: str) -> None:
        log.info("pile_offline", pile_code=code, reason=reason, connection_id=self._link.connection_id)
        event = PileOffline(code, self._link.connection_id, reason, self._link.now())
        self._talk.offer(code, event, Room.ALWAYS, OFFLINE_ATTEMPTS)


def _dialect(code: str, decision: LoginDecision) -> Dialect:
    """Options that nobody can read are the operator's mistake; they must not keep the pile from its drivers."""
    try:
        return read_options(decision.profile.options)
    except BadOption as error:
        log.error("pile_options_unusable", pile_code=code, problem=str(error))
        return TEXTBOOK


def _nothing(_talk: Talk, _frame: Frame, _raw: bytes) -> None:
    """Login and heartbeat are the session's own."""


@dataclass(frozen=True, slots=True)
class _Action:
    """Who acts on a frame type, and the fields that even a short frame must hold for it."""

    handler: Handler
    needs: tuple[str, ...]


_ANSWER = ("pile_code", "result")
_START_REQUEST = ("pile_code", "connector_no")
_RECORD = ("trade_number", "pile_code", "connector_no")
_STOP_ANSWER = ("pile_code", "connector_no", "result", "reason")

_ACTIONS: Mapping[int, _Action] = MappingProxyType(
    {
        LOGIN: _Action(_nothing, ("pile_code",)),
        HEARTBEAT: _Action(_nothing, ("pile_code", "connector_no")),
        0x05: _Action(tariff.verify, ("pile_code", "model_number")),
        0x09: _Action(tariff.send, ("pile_code",)),
        0x13: _Action(charge.sampled, (*_RECORD, "status")),
        0x31: _Action(cards.start_asked, _START_REQUEST),
        0x33: _Action(charge.start_answered, ("trade_number", *_STOP_ANSWER)),
        0x35: _Action(charge.stop_answered, _STOP_ANSWER),
        0x3B: _Action(charge.recorded, _RECORD),
        0x3D: _Action(charge.recorded, _RECORD),
        0x41: _Action(cards.balance_answered, _ANSWER),
        0x43: _Action(cards.synced, _ANSWER),
        0x45: _Action(cards.cleared, ("pile_code",)),
        0x47: _Action(cards.found, ("pile_code",)),
        0x51: _Action(device.work_answered, _ANSWER),
        0x55: _Action(device.time_answered, ("pile_code",)),
        0x57: _Action(tariff.accepted, _ANSWER),
        0x61: _Action(device.lock_reported, ("pile_code", "connector_no", "lock")),
        0x63: _Action(device.lock_answered, ("pile_code", "connector_no", "result")),
        0x91: _Action(device.reboot_answered, _ANSWER),
        0x93: _Action(device.update_answered, _ANSWER),
        0xA1: _Action(cards.start_asked, (*_START_REQUEST, "parallel_number")),
        0xA3: _Action(charge.start_answered, ("trade_number", *_STOP_ANSWER)),
        0xF1: _Action(device.qr_answered, _ANSWER),
    }
)
"""Frame types that change something; all others of the directory are counted only."""
