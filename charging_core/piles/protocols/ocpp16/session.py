"""The session of one connection: login, boot, heartbeats, who acts on which message.

Runs in the event loop and never blocks: what needs the database is a job for the writer threads (DECISIONS 22).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import structlog

from charging_core.piles import metrics
from charging_core.piles.commands import Delivery
from charging_core.piles.context import PileContext
from charging_core.piles.events import PileLogin, PileOffline
from charging_core.piles.ports import LoginDecision
from charging_core.piles.protocols.ocpp16 import charge, device
from charging_core.piles.protocols.ocpp16.errors import BadMessage, BadOption
from charging_core.piles.protocols.ocpp16.frames import Call, Payload
from charging_core.piles.protocols.ocpp16.keeping import keep
from charging_core.piles.protocols.ocpp16.options import USUAL, Options, read_options
from charging_core.piles.protocols.ocpp16.ports import OcppBook, Running
from charging_core.piles.protocols.ocpp16.talk import OcppLink, Talk
from charging_core.piles.writers import CallJob, Room

log = structlog.get_logger()

OFFLINE_ATTEMPTS = 10
"""Tries to store that a pile left; nobody would ever say it again."""
_MOST_EARLY = 16
"""Requests that may wait for the login to be decided; a pile has one at a time."""
_STATUS_WITHIN_S = 5.0
"""A pile that was only cut off tells no states by itself; after this long it is asked for them."""
_FIRMWARE_LENGTH = 32

Decided = tuple[LoginDecision, Sequence[Running]]


class OcppSession:
    """The conversation with one pile. `login` holds what is known of it at the handshake."""

    def __init__(self, context: PileContext, link: OcppLink, book: OcppBook, login: PileLogin) -> None:
        self._talk = Talk(context, link, book, login.pile_code)
        self._context = context
        self._link = link
        self._login = login
        self._in = False
        self._replaced = False
        self._states_asked = False
        self._in_since = 0.0
        self._early: list[tuple[Call, str]] = []
        self._taking: set[str] = set()

    # -- login and end

    def start(self) -> None:
        """The handshake is done: log in."""
        self._offer_login(self._login, self._decided)

    def _offer_login(self, login: PileLogin, done: Callable[[Decided | None], None]) -> None:
        if not self._context.writers.offer(login.pile_code, CallJob("login", lambda: self._log_in(login), done)):
            self._link.close("overloaded")

    def _log_in(self, login: PileLogin) -> Decided:
        """In a writer thread."""
        decision = self._context.ports.directory.login(login)
        return decision, self._talk.book.running(login.pile_code) if decision.accepted else ()

    def _decided(self, decided: Decided | None) -> None:
        if decided is None:
            self._link.close("login_failed")
        elif not decided[0].accepted:
            self._refused(decided[0])
        elif self._link.closing:
            self._tell_offline("closed")
        else:
            self._accept(*decided)

    def _refused(self, decision: LoginDecision) -> None:
        metrics.REFUSED_LOGINS.labels(decision.reason or "refused").inc()
        log.warning("pile_login_refused", pile_code=self._talk.code, address=self._link.address, reason=decision.reason)
        self._link.close("refused")

    def _accept(self, decision: LoginDecision, running: Sequence[Running]) -> None:
        code, context = self._talk.code, self._context
        metrics.LOGINS.inc()
        log.info("pile_logged_in", pile_code=code, address=self._link.address, tenant=decision.tenant_id)
        self._in = True
        self._talk.options = _options(code, decision)
        for one in running:
            self._talk.follow(one)
        context.registry.bind(code, self._link)
        metrics.PILES_ONLINE.set(len(context.registry))
        context.routes.announce(code)
        context.pump.wake(code)
        early, self._early = self._early, []
        for call, raw in early:
            self._take(call, raw)

    def forget(self) -> None:
        """A newer connection has this pile: the end of this one is no news."""
        self._replaced = True

    def ended(self, reason: str) -> None:
        """The connection is gone: the pile is off-line, unless a newer connection holds it."""
        if not self._in or self._replaced:
            return
        self._context.registry.release(self._talk.code, self._link)
        self._context.routes.withdraw(self._talk.code)
        self._tell_offline(reason)
        metrics.PILES_ONLINE.set(len(self._context.registry))

    def _tell_offline(self, reason: str) -> None:
        code = self._talk.code
        log.info("pile_offline", pile_code=code, reason=reason, connection_id=self._link.connection_id)
        event = PileOffline(code, self._link.connection_id, reason, self._link.now())
        self._talk.offer(event, Room.ALWAYS, OFFLINE_ATTEMPTS)

    # -- messages

    def received(self, call: Call, raw: str) -> None:
        """Take one request. The same id again, while the first is in work, is a repeat: one answer serves both."""
        if call.id in self._taking:
            metrics.FRAMES_NOT_HANDLED.labels("repeat").inc()
            return
        if not self._in:
            self._wait_for_login(call, raw)
        else:
            self._take(call, raw)

    def _wait_for_login(self, call: Call, raw: str) -> None:
        if len(self._early) >= _MOST_EARLY:
            self._link.close("flood")
            return
        self._taking.add(call.id)
        self._early.append((call, raw))

    def _take(self, call: Call, raw: str) -> None:
        self._taking.add(call.id)
        if len(self._taking) > _MOST_EARLY:
            self._link.close("flood")
            return
        if call.problem:
            metrics.FRAMES_NOT_HANDLED.labels("schema").inc()
            log.info("pile_message_breaks_schema", pile_code=self._talk.code, action=call.action, problem=call.problem)
        try:
            self._act(call, raw)
        except BadMessage as error:
            metrics.FRAMES_NOT_HANDLED.labels("undecodable").inc()
            log.warning("pile_message_unusable", pile_code=self._talk.code, action=call.action, problem=error.problem)
            self._link.refuse(call, error.code, error.problem)

    def keep(self, action: str, payload: Payload, raw: str) -> None:
        """A request went by, from either side: some are kept for people."""
        if self._context.settings.keep_frames:
            keep(self._talk, action, payload, raw)

    def _act(self, call: Call, raw: str) -> None:
        self.keep(call.action, call.payload, raw)
        match call.action:
            case "BootNotification":
                self._booted(call)
            case "Heartbeat":
                self._link.answer(call, {"currentTime": self._time()})
            case "StopTransaction":
                charge.ended(self._talk, call, raw)
            case action if action in _HANDLERS:
                _HANDLERS[action](self._talk, call)
            case _:
                self._link.answer(call, _OTHERS[call.action])

    def answered(self, call: Call) -> None:
        """The request is done with; the same id may come again."""
        self._taking.discard(call.id)

    def deliver(self, delivery: Delivery) -> None:
        """Send a command in its turn."""
        device.deliver(self._talk, delivery)

    def tick(self, now: float) -> None:
        """Once per sweep: a pile that has told no state since it is here is asked once."""
        if not self._in or self._states_asked:
            return
        self._in_since = self._in_since or now
        if now - self._in_since >= _STATUS_WITHIN_S:
            self._states_asked = True
            if not any(connector.plugged is not None for connector in self._talk.connectors.values()):
                self._link.ask("TriggerMessage", {"requestedMessage": "StatusNotification"}, self._configured)

    # -- boot

    def _booted(self, call: Call) -> None:
        """BootNotification: the firmware goes on record, the clock is set by the answer, the configuration is told anew."""
        firmware = "".join(c for c in str(call.payload.get("firmwareVersion", "")) if c.isprintable())
        login = replace(self._login, firmware=firmware[:_FIRMWARE_LENGTH] or None, received_at=self._link.now())

        def decided(found: Decided | None) -> None:
            accepted = found is not None and found[0].accepted
            answer = {
                "status": "Accepted" if accepted else "Rejected",
                "currentTime": self._time(),
                "interval": self._talk.options.heartbeat_s,
            }
            self._link.answer(call, answer)
            if accepted:
                self._configure()
            elif found is not None:
                self._refused(found[0])

        self._offer_login(login, decided)

    def _configure(self) -> None:
        for key, value in self._talk.options.configuration.items():
            self._link.ask("ChangeConfiguration", {"key": key, "value": value}, self._configured)

    def _configured(self, answer: Payload | None, problem: str) -> None:
        """A key that a pile does not know changes nothing; that it refused is told once per boot."""
        status = "" if answer is None else str(answer.get("status"))
        if status not in ("Accepted", "RebootRequired"):
            log.info("pile_request_refused", pile_code=self._talk.code, status=status, problem=problem)

    def _time(self) -> str:
        return self._link.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _options(code: str, decision: LoginDecision) -> Options:
    """Options that nobody can read are the operator's mistake; they must not keep the pile from its drivers."""
    try:
        return read_options(decision.profile.options)
    except BadOption as error:
        log.error("pile_options_unusable", pile_code=code, problem=str(error))
        return USUAL


_HANDLERS: Mapping[str, Callable[[Talk, Call], None]] = MappingProxyType(
    {
        "Authorize": charge.tag_shown,
        "MeterValues": charge.meter_values,
        "StartTransaction": charge.begun,
        "StatusNotification": charge.status_told,
    }
)
_OTHERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "DataTransfer": {"status": "UnknownVendorId"},
        "DiagnosticsStatusNotification": {},
        "FirmwareStatusNotification": {},
    }
)
"""Answers that change nothing here."""
