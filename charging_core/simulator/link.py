"""One TCP connection of a pile: whole frames in, frames out, with the ways a firmware may cut or glue its writes."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from charging_core.simulator.crc import crc16
from charging_core.simulator.faults import Faults
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.settings import Periods
from charging_core.simulator.wire import Frame, FrameReader, build, encode, parse

_PIECES = 3
_SEQUENCE_END = 0x10000
# frames that vendors are known to append fields to
_EXTENDED = frozenset({FrameType.HEARTBEAT, FrameType.SAMPLE})

Observe = Callable[[str, bytes], None]


class LinkUser(Protocol):
    """Who is told what happens on the connection."""

    def link_opened(self, link: "Link") -> None:
        """Connected; nothing sent yet."""
        ...

    def link_received(self, link: "Link", frame: Frame) -> None:
        """One valid frame of the platform."""
        ...

    def link_closed(self, link: "Link") -> None:
        """The connection cannot be used any more, for whatever reason; said once."""
        ...

    def link_gone(self, link: "Link") -> None:
        """Its socket does not exist any more."""
        ...


class Outlet:
    """Writes frames to a transport: one write each, or glued, or in pieces, by the fault switches of the moment."""

    def __init__(self, transport: asyncio.Transport, faults: Callable[[], Faults], periods: Periods) -> None:
        self._transport = transport
        self._periods = periods
        self._faults = faults
        self._glued = bytearray()
        self._pieces: list[bytes] = []
        self._spaced: list[bytes] = []
        self._free_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, raw: bytes) -> None:
        """Send one frame; order is kept in all modes."""
        if self._faults().frame_gap_ms or self._spaced:
            self._spaced.append(raw)
            self._leave_gap()
        elif self._faults().glued_writes or self._glued:
            self._glued += raw
            self._later(self._periods.real_glue_s)
        elif self._faults().split_writes or self._pieces:
            self._cut(raw)
            self._later(self._periods.real_piece_gap_s)
        else:
            self._transport.write(raw)

    @property
    def empty(self) -> bool:
        """Whether everything was written."""
        return not (self._glued or self._pieces or self._spaced)

    def close(self) -> None:
        """Forget what was not written yet."""
        if self._timer is not None:
            self._timer.cancel()

    def _leave_gap(self) -> None:
        """Write what waits, one frame at a time, as soon as the gap to the one before has passed."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            return
        if loop.time() >= self._free_at_s and self._spaced:
            self._transport.write(self._spaced.pop(0))
            self._free_at_s = loop.time() + self._faults().frame_gap_ms / 1000
        if self._spaced:
            self._timer = loop.call_later(max(0.0, self._free_at_s - loop.time()), self._after_gap)

    def _after_gap(self) -> None:
        self._timer = None
        self._leave_gap()

    def _cut(self, raw: bytes) -> None:
        size = -(-len(raw) // _PIECES)
        self._pieces += [raw[at : at + size] for at in range(0, len(raw), size)]

    def _later(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._glued:
            glued, self._glued = bytes(self._glued), bytearray()
            if self._faults().split_writes:
                self._cut(glued)
            else:
                self._pieces.append(glued)
        if self._pieces:
            self._transport.write(self._pieces.pop(0))
        if self._pieces:
            self._later(self._periods.real_piece_gap_s)
        else:
            self._leave_gap()  # the switches may have changed meanwhile: what came later keeps its distance, and its turn


class Link(asyncio.Protocol):
    """A connection. The check-byte order is fixed when it opens; the sequence number starts at 0 (ykc.md 1.1)."""

    def __init__(self, user: LinkUser, faults: Callable[[], Faults], periods: Periods, observe: Observe) -> None:
        self.closed = asyncio.Event()
        self.gone = asyncio.Event()
        self.last_received_s = asyncio.get_running_loop().time()
        self._user = user
        self._faults = faults
        self._periods = periods
        self._observe = observe
        self._reversed = faults().reversed_crc
        self._reader = FrameReader(reversed_crc=self._reversed)
        self._next_sequence = 0
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio (which sets TCP_NODELAY by itself)."""
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport, self._faults, self._periods)
        self._user.link_opened(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self.closed.is_set():
            return
        for raw in self._reader.feed(data):
            self._observe("down", raw)
            self.last_received_s = asyncio.get_running_loop().time()
            self._user.link_received(self, parse(raw, reversed_crc=self._reversed))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.abandon()
        self.gone.set()
        self._user.link_gone(self)

    def abandon(self) -> None:
        """Say and hear nothing any more; the socket stays open until the other side, or `drop`, ends it."""
        if self.closed.is_set():
            return
        if self._outlet is not None:
            self._outlet.close()
        self.closed.set()
        self._user.link_closed(self)

    @property
    def written(self) -> bool:
        """Whether every frame that was sent has left."""
        return self._outlet is None or self.closed.is_set() or self._outlet.empty

    @property
    def dropped_bytes(self) -> int:
        """Received bytes that belonged to no valid frame."""
        return self._reader.dropped

    def send(self, frame_type: int, values: Mapping[str, Any], *, echo: bytes | None = None) -> None:
        """Send one frame; `echo` is the sequence of the request that it answers."""
        if self._outlet is None or self.closed.is_set():
            return
        body = encode(frame_type, values)
        if frame_type in _EXTENDED:
            body += bytes(self._faults().extra_bytes)
        raw = build(Frame(frame_type, body, self._sequence(echo)), reversed_crc=self._reversed)
        self._observe("up", raw)
        self._outlet.write(raw)

    def drop(self) -> None:
        """Break the connection without a farewell."""
        self.abandon()
        if self._transport is not None:
            self._transport.abort()

    def now(self) -> float:
        """Real seconds, to measure with."""
        return asyncio.get_running_loop().time()

    def silence_s(self) -> float:
        """Real seconds since the last valid frame."""
        return asyncio.get_running_loop().time() - self.last_received_s

    def _sequence(self, echo: bytes | None) -> bytes:
        """Of an answer the question's, of all others the next own one; unless the firmware has its own ideas (ykc.md 1.1)."""
        faults = self._faults()
        if faults.sequence == "zero":
            return b"\0\0"
        if echo is not None and faults.echo != "none":
            return echo if faults.echo == "same" else echo[::-1]
        number = self._next_sequence.to_bytes(2, "little")
        self._next_sequence = (self._next_sequence + 1) % _SEQUENCE_END
        return number if faults.sequence == "counting" else crc16(number).to_bytes(2, "little")
