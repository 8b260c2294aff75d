"""A tiny platform for the tests of the simulated pile, written from the specification with nothing of the pile or the hub.

It answers what a platform must answer, keeps every frame it got, and says what a test tells it to say.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from charging_core.clock import CHINA, ManualClock
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import Periods, PileSettings

PILE = "31000199000017"
TRADE = "31000199000017012603020800000001"
DEADLINE_S = 10.0
# waits for answers and reconnects as short as a test wants them; periods of the protocol stay as they are
QUICK = Periods(real_reconnect_s=(0.02, 0.04), real_answer_floor_s=0)

SHARP, PEAK, FLAT, VALLEY = range(4)


def crc(data: bytes) -> int:
    """CRC-16/MODBUS, bit by bit."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


def frame(kind: int, body: bytes, sequence: bytes = b"\x00\x00", order: str = "<H") -> bytes:
    """A whole frame."""
    counted = sequence + bytes((0, kind)) + body
    return bytes((0x68, len(counted))) + counted + struct.pack(order, crc(counted))


def cp56(instant: datetime) -> bytes:
    """CP56Time2a of a time."""
    t = instant.astimezone(CHINA)
    return struct.pack("<H5B", t.second * 1000 + t.microsecond // 1000, t.minute, t.hour, t.day, t.month, t.year % 100)


def from_cp56(raw: bytes) -> datetime:
    """The time of CP56Time2a."""
    millis, minute, hour, day, month, year = struct.unpack("<H5B", raw)
    return datetime(2000 + year, month, day, hour, minute, tzinfo=CHINA) + timedelta(milliseconds=millis)


def model(number: str, prices: list[tuple[int, int]], slots: list[int], loss: int = 0, pile: str = PILE) -> bytes:
    """Body of 0x0A and 0x58; prices are (electricity, service) in 10^-5 yuan."""
    flat = [part for pair in prices for part in pair]
    return bytes.fromhex(pile + number) + struct.pack("<8I", *flat) + bytes((loss,)) + bytes(slots)


# 08:00 peak 1.4, from 08:30 flat 1.1 yuan/kWh, sharp and valley at other hours
SLOTS = [VALLEY] * 14 + [PEAK] * 3 + [FLAT] * 11 + [SHARP] * 4 + [VALLEY] * 16
MODEL = model("0100", [(120000, 40000), (100000, 40000), (70000, 40000), (30000, 30000)], SLOTS)


@dataclass(frozen=True)
class Got:
    """A frame from the pile: type, body, sequence, which connection, the whole bytes."""

    kind: int
    body: bytes
    sequence: bytes
    connection: int
    raw: bytes

    def uint(self, at: int, size: int) -> int:
        """Little-endian integer of the body."""
        return int.from_bytes(self.body[at : at + size], "little")


@dataclass(frozen=True)
class Manners:
    """How the platform behaves."""

    accept: bool = True
    confirm: bool = True
    order: str = "<H"
    reply_order: str | None = None
    mute: bool = False
    answer_login: bool = True
    answer_models: bool = True
    model: bytes = MODEL


class Platform:
    """Listens on 127.0.0.1; `got` holds every frame in order, `reads` every TCP read."""

    def __init__(self) -> None:
        self.manners = Manners()
        self.got: list[Got] = []
        self.reads: list[bytes] = []
        self.read_at: list[float] = []
        self.connections = 0
        self.ended = 0
        self.writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def open(self, bound: socket.socket | None = None) -> int:
        """Start, on a socket that is bound already or on any port; returns the port."""
        if bound is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        else:
            self._server = await asyncio.start_server(self._serve, sock=bound)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def behave(self, **changes: Any) -> None:
        """Change manners."""
        self.manners = replace(self.manners, **changes)

    def send(self, kind: int, body: bytes, sequence: bytes = b"\x00\x00") -> None:
        """One frame to the pile that connected last."""
        assert self.writer is not None
        self.writer.write(frame(kind, body, sequence, self.manners.reply_order or self.manners.order))

    def start(
        self, balance_fen: int = 100_000, trade: str = TRADE, pile: str = PILE, sequence: bytes = b"\x0c\x00"
    ) -> None:
        """0x34 for connector 1 of the trade number."""
        body = bytes.fromhex(trade + pile) + bytes.fromhex(trade[14:16]) + bytes(16) + struct.pack("<I", balance_fen)
        self.send(0x34, body, sequence)

    def stop(self, pile: str = PILE, connector: str = "01") -> None:
        """0x36."""
        self.send(0x36, bytes.fromhex(pile + connector), b"\x0d\x00")

    def all(self, kind: int) -> list[Got]:
        """What came of one type."""
        return [one for one in self.got if one.kind == kind]

    async def wait(self, kind: int, count: int = 1, where: Callable[[Got], bool] = lambda _: True) -> Got:
        """The `count`-th frame of a type that fulfils a condition."""
        found: list[Got] = []

        def there() -> bool:
            found[:] = [one for one in self.all(kind) if where(one)]
            return len(found) >= count

        await eventually(there, f"frame {kind:#04x} number {count}, got {[hex(one.kind) for one in self.got]}")
        return found[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, buffer, self.writer = self.connections, b"", writer
        try:
            while chunk := await reader.read(4096):
                self.reads.append(chunk)
                self.read_at.append(asyncio.get_running_loop().time())
                buffer = self._take(buffer + chunk, number, writer)
        except ConnectionError:
            pass
        finally:
            self.ended += 1
            writer.close()

    def _take(self, buffer: bytes, number: int, writer: asyncio.StreamWriter) -> bytes:
        while len(buffer) >= 2 and len(buffer) >= buffer[1] + 4:
            raw, buffer = buffer[: buffer[1] + 4], buffer[buffer[1] + 4 :]
            assert raw[0] == 0x68
            assert raw[-2:] == struct.pack(self.manners.order, crc(raw[2:-2])), f"check bytes of {raw.hex()}"
            got = Got(kind=raw[5], body=raw[6:-2], sequence=raw[2:4], connection=number, raw=raw)
            self.got.append(got)
            answer = None if self.manners.mute else self._answer(got)
            if answer is not None:
                order = self.manners.reply_order or self.manners.order
                writer.write(frame(*answer, sequence=got.sequence, order=order))
        return buffer

    def _answer(self, got: Got) -> tuple[int, bytes] | None:
        manners, body = self.manners, got.body
        match got.kind:
            case 0x01 if manners.answer_login:
                return 0x02, body[:7] + bytes((not manners.accept,))
            case 0x03:
                return 0x04, body[:8] + b"\0"
            case 0x05 if manners.answer_models:
                return 0x06, body[:9] + bytes((body[7:9] != manners.model[7:9],))
            case 0x09 if manners.answer_models:
                return 0x0A, body[:7] + manners.model[7:]
            case 0x3B if manners.confirm:
                return 0x40, body[:16] + b"\0"
        return None


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Until it holds, or the test fails."""
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.005)


@dataclass
class Scene:
    """A platform, a pile that has its billing model, and the clock they share."""

    platform: Platform
    pile: SimulatedPile
    clock: ManualClock

    def advance(self, seconds: float) -> None:
        """Let time pass; the pile acts on it within a tick."""
        self.clock.advance(timedelta(seconds=seconds))

    async def settled(self) -> None:
        """Everything due by now has been done, and whatever the pile said has arrived: to see what did *not* happen."""
        self.pile.agenda.run_due()
        count = len(self.platform.all(0x55))
        self.platform.send(0x56, bytes.fromhex(PILE) + cp56(self.pile.device.now()))
        await self.platform.wait(0x55, count + 1)

    async def advance_until(self, condition: Callable[[], Any], what: str) -> None:
        """Let ten seconds pass again and again until something has happened."""

        def reached() -> bool:
            self.advance(10)
            return bool(condition())

        await eventually(reached, what)

    async def charge(self, **start: Any) -> None:
        """Order a start at the plugged connector 1 and see the current flow."""
        seen = len([one for one in self.platform.all(0x13) if one.body[24] == 3])
        self.platform.start(**start)
        await self.platform.wait(0x33, len(self.platform.all(0x33)) + 1)
        self.advance(self.pile.settings.periods.start_s)
        await self.platform.wait(0x13, seen + 1, lambda one: one.body[24] == 3)


@asynccontextmanager
async def scene(clock: ManualClock, *, ready: bool = True, **settings: Any) -> AsyncIterator[Scene]:
    """A running scene; `ready` waits until the pile is logged in and holds the platform's model."""
    platform = Platform()
    behaviour = settings.pop("manners", {})
    platform.behave(**behaviour)
    pile = SimulatedPile(PileSettings(**{"code": PILE, "periods": QUICK, **settings}), clock)
    port = await platform.open()
    await pile.start("127.0.0.1", port)
    try:
        if ready:
            await pile.wait_logged_in()
            await eventually(lambda: pile.model is not None, "billing model")
            await platform.wait(0x05, 2)
        yield Scene(platform, pile, clock)
    finally:
        await pile.stop()
        await platform.close()


def run(story: Awaitable[None]) -> None:
    """Run one story on an event loop of its own."""

    async def told() -> None:
        await story

    asyncio.run(told())


def play(clock: ManualClock, story: Callable[[Scene], Awaitable[None]], **settings: Any) -> None:
    """Run a story in a scene of its own; `settings` are the pile's, `ready` and `manners` as in `scene`."""

    async def told() -> None:
        async with scene(clock, **settings) as stage:
            await story(stage)

    run(told())
