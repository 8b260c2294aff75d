"""One TCP connection: bytes to frames, frames to bytes, liveness, pacing. What frames mean is the session's business.

Everything runs in the event loop; nothing here blocks. One frame per write, because pile firmware exists that reads only the
first frame of a segment (specs/ykc.md 1.3); unsolicited frames keep a gap. asyncio and uvloop set TCP_NODELAY by themselves.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import structlog

from charging_core.ids import new_id
from charging_core.piles import metrics
from charging_core.piles.commands import Delivery, log_ids
from charging_core.piles.context import PileContext
from charging_core.piles.errors import PileError
from charging_core.piles.protocols.ykc.codec import decode, encode
from charging_core.piles.protocols.ykc.crc import CrcOrder
from charging_core.piles.protocols.ykc.framing import CrcError, FrameSplitter, FramingEvent, Garbage, Hopeless, Stale
from charging_core.piles.protocols.ykc.keeping import FrameKeeper
from charging_core.piles.protocols.ykc.private import without_pin
from charging_core.piles.protocols.ykc.session import YkcSession
from charging_core.piles.registry import LinkState

log = structlog.get_logger()

_FIRMWARE = 0x94
_SEQUENCES = 1 << 16
_OUT_HIGH = 256
_OUT_LOW = 64
"""Replies waiting to be written at which reading stops and goes on: a pile that sends faster than one reply per pass of the
loop is slowed down by its own socket instead of filling our memory."""


@dataclass(slots=True)
class _Paced:
    """An unsolicited frame waiting for its turn."""

    frame_type: int
    fields: Callable[[], Mapping[str, Any]]
    delivery: Delivery | None


class YkcConnection(asyncio.Protocol):
    """The link of one pile, or of a concentrator's piles."""

    def __init__(self, context: PileContext, open_links: set["YkcConnection"]) -> None:
        settings = context.settings
        self.connection_id = new_id()
        self.address = ""
        self.closing = False
        self._context = context
        self._open_links = open_links
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = FrameSplitter(
            strict_crc=settings.strict_crc,
            crc_failure_limit=settings.crc_failure_limit,
            garbage_limit=settings.garbage_limit,
            partial_frame_s=settings.partial_frame_s,
        )
        self._session = YkcSession(context, self)
        self._keeper = FrameKeeper(self._session.talk) if settings.keep_frames else None
        self._opened_at = self._last_seen = time.monotonic()
        self._opened_on = context.clock.now()
        self._suspect = False
        self._close_reason = "closed"
        self._sequence = 0
        self._out: deque[bytes] = deque()
        self._writing = False
        self._paced: deque[_Paced] = deque()
        self._paced_free_at = 0.0
        self._paced_timer: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted."""
        self._transport = cast(asyncio.Transport, transport)
        host, port = (*(transport.get_extra_info("peername") or ("?", 0)),)[:2]
        self.address = f"{host}:{port}"
        self._open_links.add(self)
        metrics.CONNECTIONS.inc()
        if len(self._open_links) > self._context.settings.max_connections:
            self.abort("too_many_connections")

    def data_received(self, data: bytes) -> None:
        """Bytes came in; an error that nobody foresaw closes this connection only."""
        try:
            self._take(self._splitter.feed(bytes(data), time.monotonic()))
        except Exception:
            metrics.LOOP_ERRORS.labels("connection").inc()
            log.exception("pile_connection_failed", address=self.address, connection_id=self.connection_id)
            self.abort("error")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, whoever ended it."""
        self.closing = True
        self._open_links.discard(self)
        metrics.CONNECTIONS.dec()
        if self._suspect:
            metrics.SUSPECT_LINKS.dec()
        if exc is not None and self._close_reason == "closed":
            self._close_reason = "reset"
        metrics.CLOSED.labels(self._close_reason).inc()
        if self._paced_timer is not None:
            self._paced_timer.cancel()
        for paced in self._paced:
            if paced.delivery is not None:
                self._context.desk.not_written(paced.delivery.command)
        self._paced.clear()
        self._session.ended(self._close_reason)

    def pause_writing(self) -> None:
        """64 KiB wait for a pile whose frames have 20 bytes: it does not read any more."""
        self.abort("slow_reader")

    # -- receiving

    def _take(self, items: list[bytes | FramingEvent]) -> None:
        for item in items:
            if self.closing:
                return
            if isinstance(item, bytes):
                self._seen()
                frame = decode(item)
                metrics.frames(frame.type, "in").inc()
                shown = without_pin(frame.type, item, self._splitter.crc_order)
                if self._context.watch.active:
                    self._show(frame.fields, shown, up=True)
                if self._keeper is not None:
                    self._keeper.received(frame, shown)
                self._session.received(frame, item)
            else:
                self._note(item)

    def _seen(self) -> None:
        """Any valid frame proves the link, whichever connector's it is (5, 0x03)."""
        self._last_seen = time.monotonic()
        if self._suspect:
            self._suspect = False
            metrics.SUSPECT_LINKS.dec()
            log.info("pile_link_recovered", address=self.address, piles=self._session.pile_codes)

    def _note(self, event: FramingEvent) -> None:
        match event:
            case Garbage(count):
                metrics.GARBAGE_BYTES.inc(count)
            case CrcError(frame, suspect_2x):
                metrics.CRC_ERRORS.inc()
                if self._context.watch.active:
                    self._show({}, frame, up=True)
                if suspect_2x:
                    log.warning("pile_2x_header_suspected", address=self.address, piles=self._session.pile_codes)
                log.warning("pile_crc_error", address=self.address, piles=self._session.pile_codes, size=len(frame))
            case Stale(pending):
                metrics.STALE_FRAMES.inc()
                log.warning("pile_frame_not_finished", address=self.address, pending=pending)
            case Hopeless(reason):
                log.warning("pile_stream_hopeless", address=self.address, reason=reason)
                self.close(f"framing_{reason}")

    def tick(self, now: float) -> None:
        """Once per sweep: give up old partial frames, notice silence and missing logins."""
        settings = self._context.settings
        self._take(self._splitter.feed(b"", now))
        silent = now - self._last_seen
        if silent >= settings.dead_s:
            self.abort("silent")
        elif not self._session.pile_codes and now - self._opened_at >= settings.login_deadline_s:
            self.abort("no_login")
        elif silent >= settings.suspect_s and not self._suspect:
            self._suspect = True
            metrics.SUSPECT_LINKS.inc()
            log.warning(
                "pile_link_suspect", address=self.address, piles=self._session.pile_codes, silent_s=round(silent)
            )
        self._session.tick(now)

    # -- sending

    def reply(self, frame_type: int, fields: Mapping[str, Any], sequence: bytes) -> None:
        """Answer a frame at once, its sequence echoed verbatim (1.1)."""
        self._write(frame_type, fields, sequence)

    def send(self, frame_type: int, fields: Callable[[], Mapping[str, Any]], delivery: Delivery | None = None) -> None:
        """Send an unsolicited frame when the gap to the one before allows; `fields` is asked only then."""
        if self.closing:
            if delivery is not None:
                self._context.desk.not_written(delivery.command)
            return
        self._paced.append(_Paced(frame_type, fields, delivery))
        self._run_paced()

    def hold_paced(self) -> None:
        """Start a gap now, so that the next unsolicited frame does not share a segment with a reply just sent."""
        self._paced_free_at = time.monotonic() + self._context.settings.downlink_gap_s

    def trust(self, strict_crc: bool) -> bool:
        """A login is accepted. False when this pile must use the standard CRC order and does not."""
        if strict_crc and self._splitter.crc_order is not CrcOrder.STANDARD:
            return False
        self._splitter.trusted = True
        self._splitter.strict_crc = strict_crc or self._context.settings.strict_crc
        return True

    def _run_paced(self) -> None:
        if self._paced_timer is not None or not self._paced or self.closing:
            return
        wait = self._paced_free_at - time.monotonic()
        if wait > 0:
            self._paced_timer = self._loop.call_later(wait, self._paced_due)
            return
        self._send_paced(self._paced.popleft())
        self.hold_paced()
        self._run_paced()

    def _paced_due(self) -> None:
        self._paced_timer = None
        self._run_paced()

    def _send_paced(self, paced: _Paced) -> None:
        command = paced.delivery.command if paced.delivery else None
        if command is not None and command.expires_at <= self._context.clock.now():
            self._context.desk.not_written(command)
            return
        try:
            self._write(paced.frame_type, paced.fields(), self._sequence.to_bytes(2, "little"))
        except PileError as error:  # a command whose values no frame can carry
            about = log_ids(command) if command is not None else {}
            log.error("pile_command_not_encodable", frame_type=paced.frame_type, error=str(error), **about)
            if command is not None:
                self._context.desk.refused(command, str(error))
            return
        self._sequence = (self._sequence + 1) % _SEQUENCES
        if command is not None:
            self._context.desk.written(command)

    def _write(self, frame_type: int, fields: Mapping[str, Any], sequence: bytes) -> None:
        if self.closing:
            return
        raw = encode(frame_type, fields, sequence, self._splitter.crc_order)
        self._out.append(raw)
        if self._context.watch.active:
            self._show(fields, self._without_secret(frame_type, fields, sequence, raw), up=False)
        if self._keeper is not None:
            self._keeper.sent(frame_type, fields, raw)
        metrics.frames(frame_type, "out").inc()
        if not self._writing:
            self._writing = True
            self._write_one()
        elif len(self._out) == _OUT_HIGH and self._transport is not None:
            self._transport.pause_reading()

    def _show(self, fields: Mapping[str, Any], raw: bytes, *, up: bool) -> None:
        """To whoever watches the pile; a confirmation names none, and neither does what cannot be read."""
        code = fields.get("pile_code")
        self._context.watch.note((code,) if code else self._session.pile_codes, raw, self.now(), up=up)

    def _without_secret(self, frame_type: int, fields: Mapping[str, Any], sequence: bytes, raw: bytes) -> bytes:
        """The frame as an onlooker may see it: the password of a firmware server is nobody's business."""
        if frame_type != _FIRMWARE:
            return raw
        return encode(frame_type, {**fields, "password": "***"}, sequence, self._splitter.crc_order)

    def _write_one(self) -> None:
        """One frame per pass of the loop: written together they would share a segment (uvloop joins them by itself)."""
        if self._transport is None or self.closing or not self._out:
            self._writing = False
            return
        self._transport.write(self._out.popleft())
        if len(self._out) == _OUT_LOW:
            self._transport.resume_reading()
        self._loop.call_soon(self._write_one)

    # -- ending

    def close(self, reason: str) -> None:
        """Flush what is written, then close."""
        if self.closing or self._transport is None:
            return
        while self._out:
            self._transport.write(self._out.popleft())
        self.closing = True
        self._close_reason = reason
        self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once; for links that no longer read."""
        if self._transport is not None:
            self._close_reason = reason if not self.closing else self._close_reason
            self.closing = True
            self._transport.abort()

    # -- registry.PileLink

    def deliver(self, delivery: Delivery) -> None:
        """Write a command in its turn."""
        self._session.deliver(delivery)

    def replaced(self, pile_code: str) -> None:
        """A newer connection logged in with this pile's code (6.2)."""
        log.info("pile_connection_replaced", pile_code=pile_code, connection_id=self.connection_id)
        if self._session.forget(pile_code):
            self.close("replaced")

    def state_of(self, pile_code: str) -> LinkState:
        """How this link looks now."""
        silent = time.monotonic() - self._last_seen
        return LinkState(pile_code, self.connection_id, self.address, self._opened_on, silent, self._suspect)

    def now(self) -> datetime:
        """Receive time of the frame in hand."""
        return self._context.clock.now()
