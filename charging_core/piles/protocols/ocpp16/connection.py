"""One WebSocket of one pile: texts to messages and back, one request of ours at a time, liveness.

Everything runs in the event loop; only the two tasks of a connection, its reader and its writer, ever wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from charging_core.ids import new_id
from charging_core.piles import metrics
from charging_core.piles.commands import Delivery, log_ids
from charging_core.piles.context import PileContext
from charging_core.piles.events import PileLogin
from charging_core.piles.protocols.ocpp16 import frames
from charging_core.piles.protocols.ocpp16.errors import BadMessage
from charging_core.piles.protocols.ocpp16.frames import Call, Failure, Payload, Result
from charging_core.piles.protocols.ocpp16.ports import OcppBook
from charging_core.piles.protocols.ocpp16.session import OcppSession
from charging_core.piles.protocols.ocpp16.talk import Answered
from charging_core.piles.registry import LinkState

log = structlog.get_logger()

ANSWER_S = 30.0
"""A request that a pile has not answered by then is given up, so that the next one can be sent."""
_PING_AFTER_S = 10.0
"""Silence after which a WebSocket ping asks whether the pile is still there; its own heartbeats are rarer."""
_OUT_LIMIT = 256
"""Messages waiting for a pile that does not read them."""
_ASK_LIMIT = 64
"""Requests of ours waiting for their turn."""
_BAD_LIMIT = 20
"""Messages without sense after which a connection is closed."""
_NORMAL, _GOING_AWAY = 1000, 1001


@dataclass(slots=True)
class _Request:
    action: str
    payload: Payload
    answered: Answered
    delivery: Delivery | None
    id: str = ""
    deadline: float = 0.0


class OcppConnection:
    """The link of one pile; `serve` lives as long as the WebSocket."""

    def __init__(
        self,
        context: PileContext,
        book: OcppBook,
        socket: ServerConnection,
        login: PileLogin,
        open_links: set["OcppConnection"],
    ) -> None:
        self.connection_id = login.connection_id
        self.address = login.address
        self.closing = False
        self._context = context
        self._socket = socket
        self._open_links = open_links
        self._login = login
        self._session = OcppSession(context, self, book, login)
        self._last_seen = time.monotonic()
        self._opened_on = context.clock.now()
        self._suspect = False
        self._pinged = False
        self._bad = 0
        self._close_reason = "closed"
        self._out: asyncio.Queue[str | None] = asyncio.Queue()
        self._asks: deque[_Request] = deque()
        self._asked: _Request | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the WebSocket ends, whoever ends it."""
        self._open_links.add(self)
        metrics.CONNECTIONS.inc()
        writer = asyncio.ensure_future(self._write())
        try:
            self._session.start()
            async for text in self._socket:
                self._take(text)
        except ConnectionClosed:
            self._close_reason = "reset" if self._close_reason == "closed" else self._close_reason
        except Exception:
            metrics.LOOP_ERRORS.labels("connection").inc()
            log.exception("pile_connection_failed", address=self.address, connection_id=self.connection_id)
            self._close_reason = "error"
        finally:
            writer.cancel()
            self._ended()

    def _ended(self) -> None:
        self.closing = True
        self._open_links.discard(self)
        metrics.CONNECTIONS.dec()
        if self._suspect:
            metrics.SUSPECT_LINKS.dec()
        metrics.CLOSED.labels(self._close_reason).inc()
        for request in self._asks:
            if request.delivery is not None:
                self._context.desk.not_written(request.delivery.command)
        self._asks.clear()
        self._session.ended(self._close_reason)

    # -- receiving

    def _take(self, text: str | bytes) -> None:
        self._seen()
        try:
            message = frames.read(text)
        except BadMessage as error:
            self._nonsense(error)
            return
        if isinstance(message, Call):
            metrics.FRAMES.labels(message.action, "in").inc()
            self._session.received(message, text if isinstance(text, str) else text.decode())
        else:
            self._answered(message)

    def _nonsense(self, error: BadMessage) -> None:
        metrics.FRAMES_NOT_HANDLED.labels("undecodable").inc()
        log.warning("pile_message_unreadable", pile_code=self._login.pile_code, problem=error.problem)
        self._bad += 1
        if error.message_id is not None:
            self._send(frames.failure(error.message_id, error.code, error.problem))
        if self._bad >= _BAD_LIMIT:
            self.close("nonsense")

    def _answered(self, message: Result | Failure) -> None:
        request = self._asked
        if request is None or request.id != message.id:
            metrics.FRAMES_NOT_HANDLED.labels("no_request").inc()
            return
        metrics.FRAMES.labels(request.action, "answered").inc()
        self._asked = None
        if isinstance(message, Result):
            request.answered(message.payload, "")
        else:
            request.answered(None, f"{message.code} {message.text}".strip())
        self._ask_next()

    def _seen(self) -> None:
        """Any frame proves the link, pings included."""
        self._last_seen = time.monotonic()
        if self._suspect:
            self._suspect = False
            metrics.SUSPECT_LINKS.dec()
            log.info("pile_link_recovered", address=self.address, pile_code=self._login.pile_code)

    def tick(self, now: float) -> None:
        """Once per sweep: requests without an answer, silence."""
        settings = self._context.settings
        if self._asked is not None and now >= self._asked.deadline:
            self._give_up(self._asked)
        silent = now - self._last_seen
        if silent >= settings.dead_s:
            self.abort("silent")
            return
        if silent >= min(_PING_AFTER_S, settings.suspect_s / 2) and not self._pinged:
            self._spawn(self._ping())
        if silent >= settings.suspect_s and not self._suspect:
            self._suspect = True
            metrics.SUSPECT_LINKS.inc()
            log.warning("pile_link_suspect", pile_code=self._login.pile_code, silent_s=round(silent))
        self._session.tick(now)

    async def _ping(self) -> None:
        self._pinged = True
        try:
            await (await self._socket.ping())
            self._seen()
        except ConnectionClosed:
            return
        finally:
            self._pinged = False

    # -- sending

    def answer(self, call: Call, payload: Payload) -> None:
        """Answer a request of the pile."""
        self._session.answered(call)
        metrics.FRAMES.labels(call.action, "out").inc()
        self._send(frames.result(call.id, call.action, payload))

    def refuse(self, call: Call, code: str, text: str) -> None:
        """Answer by CALLERROR."""
        self._session.answered(call)
        metrics.FRAMES.labels(call.action, "refused").inc()
        self._send(frames.failure(call.id, code, text))

    def leave(self, call: Call) -> None:
        """Give no answer."""
        self._session.answered(call)

    def ask(self, action: str, payload: Payload, answered: Answered, delivery: Delivery | None = None) -> None:
        """Send a request in its turn: one may be outstanding (OCPP-J 4.1.1)."""
        if self.closing or len(self._asks) >= _ASK_LIMIT:
            if delivery is not None:
                self._context.desk.not_written(delivery.command)
            return
        self._asks.append(_Request(action, payload, answered, delivery))
        if self._asked is None:
            self._ask_next()

    def _ask_next(self) -> None:
        while self._asks and self._asked is None and not self.closing:
            request = self._asks.popleft()
            command = request.delivery.command if request.delivery else None
            if command is not None and command.expires_at <= self._context.clock.now():
                self._context.desk.not_written(command)
                continue
            self._ask(request)

    def _ask(self, request: _Request) -> None:
        request.id, request.deadline = new_id(), time.monotonic() + ANSWER_S
        command = request.delivery.command if request.delivery else None
        try:
            text = frames.call(request.id, request.action, request.payload)
        except BadMessage as error:  # a command whose values no message can carry
            about: Mapping[str, str] = {} if command is None else log_ids(command)
            log.error("pile_command_not_encodable", action=request.action, problem=error.problem, **about)
            if command is not None:
                self._context.desk.refused(command, error.problem)
            return
        self._asked = request
        metrics.FRAMES.labels(request.action, "asked").inc()
        self._send(text)
        self._session.keep(request.action, request.payload, text)
        if command is not None:
            self._context.desk.written(command)

    def _give_up(self, request: _Request) -> None:
        """No answer: what became of it is open, so no event is told; its command ends by the desk's own time."""
        log.warning("pile_request_unanswered", pile_code=self._login.pile_code, action=request.action)
        self._asked = None
        self._ask_next()

    def _send(self, text: str) -> None:
        if self.closing:
            return
        if self._out.qsize() >= _OUT_LIMIT:
            self.abort("slow_reader")
            return
        self._out.put_nowait(text)

    async def _write(self) -> None:
        try:
            while (text := await self._out.get()) is not None:
                await self._socket.send(text)
            await self._socket.close(_GOING_AWAY if self._close_reason == "server_stopped" else _NORMAL)
        except ConnectionClosed:
            return

    # -- ending

    def close(self, reason: str) -> None:
        """Send what waits, then close."""
        if self.closing:
            return
        self.closing = True
        self._close_reason = reason
        self._out.put_nowait(None)

    def abort(self, reason: str) -> None:
        """Close at once; for links that no longer read."""
        self._close_reason = reason if not self.closing else self._close_reason
        self.closing = True
        self._socket.transport.abort()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- registry.PileLink

    def deliver(self, delivery: Delivery) -> None:
        """Send a command in its turn."""
        self._session.deliver(delivery)

    def replaced(self, pile_code: str) -> None:
        """A newer connection logged in as this pile."""
        log.info("pile_connection_replaced", pile_code=pile_code, connection_id=self.connection_id)
        self._session.forget()
        self.close("replaced")

    def state_of(self, pile_code: str) -> LinkState:
        """How this link looks now."""
        silent = time.monotonic() - self._last_seen
        return LinkState(pile_code, self.connection_id, self.address, self._opened_on, silent, self._suspect)

    def now(self) -> datetime:
        """Receive time of the message in hand."""
        return self._context.clock.now()
