"""One TCP connection of a pile: whole frames in, frames out, with the ways a firmware may cut or glue its writes."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from charging_core.simulator.faults import Faults
from charging_core.simulator.wire import Frame, FrameReader, build, encode, parse

# real seconds that a gluing firmware collects frames, and that pass between the pieces of a splitting one: both well
# above one turn of the loop on the other side, so that it really sees glued and split reads
_GLUE_S = 0.05
_PIECE_GAP_S = 0.02
_PIECES = 3
_SEQUENCE_END = 0x10000

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
        """The connection is gone, for whatever reason."""
        ...


class Outlet:
    """Writes frames to a transport: one write each, or glued, or in pieces, by the fault switches of the moment."""

    def __init__(self, transport: asyncio.Transport, faults: Callable[[], Faults]) -> None:
        self._transport = transport
        self._faults = faults
        self._glued = bytearray()
        self._pieces: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, raw: bytes) -> None:
        """Send one frame; order is kept in all modes."""
        if self._faults().glued_writes or self._glued:
            self._glued += raw
            self._later(_GLUE_S)
        elif self._faults().split_writes or self._pieces:
            self._cut(raw)
            self._later(_PIECE_GAP_S)
        else:
            self._transport.write(raw)

    def close(self) -> None:
        """Forget what was not written yet."""
        if self._timer is not None:
            self._timer.cancel()

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
            self._later(_PIECE_GAP_S)


class Link(asyncio.Protocol):
    """A connection. The check-byte order is fixed when it opens; the sequence number starts at 0 (ykc.md 1.1)."""

    def __init__(self, user: LinkUser, faults: Callable[[], Faults], observe: Observe) -> None:
        self.closed = asyncio.Event()
        self.last_received_s = asyncio.get_running_loop().time()
        self._user = user
        self._faults = faults
        self._observe = observe
        self._reversed = faults().reversed_crc
        self._reader = FrameReader(reversed_crc=self._reversed)
        self._next_sequence = 0
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio (which sets TCP_NODELAY by itself)."""
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport, self._faults)
        self._user.link_opened(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        for raw in self._reader.feed(data):
            self._observe("down", raw)
            self.last_received_s = asyncio.get_running_loop().time()
            self._user.link_received(self, parse(raw, reversed_crc=self._reversed))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._outlet is not None:
            self._outlet.close()
        self.closed.set()
        self._user.link_closed(self)

    @property
    def dropped_bytes(self) -> int:
        """Received bytes that belonged to no valid frame."""
        return self._reader.dropped

    def send(self, frame_type: int, values: Mapping[str, Any], *, echo: bytes | None = None) -> None:
        """Send one frame; `echo` is the sequence of the request that it answers."""
        if self._outlet is None or self.closed.is_set():
            return
        frame = Frame(type=frame_type, body=encode(frame_type, values), sequence=echo or self._take_sequence())
        raw = build(frame, reversed_crc=self._reversed)
        self._observe("up", raw)
        self._outlet.write(raw)

    def drop(self) -> None:
        """Break the connection without a farewell."""
        if self._transport is not None:
            self._transport.abort()

    def silence_s(self) -> float:
        """Real seconds since the last valid frame."""
        return asyncio.get_running_loop().time() - self.last_received_s

    def _take_sequence(self) -> bytes:
        number = self._next_sequence
        self._next_sequence = (number + 1) % _SEQUENCE_END
        return number.to_bytes(2, "little")
