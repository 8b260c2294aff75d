"""In-memory ports, a pile's side of the wire, and a running server, for the tests of the pile room."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from charging_core.clock import Clock, ManualClock
from charging_core.piles.events import PileEvent, PileLogin
from charging_core.piles.ports import (
    CommandKind,
    CommandState,
    LoginDecision,
    PendingCommand,
    PilePorts,
    PileTariff,
    RatePrice,
)
from charging_core.piles.protocols.ykc.codec import Frame, decode, encode
from charging_core.piles.protocols.ykc.crc import CrcOrder, crc_bytes
from charging_core.piles.server import PileServer
from charging_core.piles.settings import PileServerSettings

START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
PILE = "31000199000017"
OTHER = "31000199000018"
TRADE = "31000199000017012503140950000001"
RECORD = bytes.fromhex(
    "68A27100003B310001990000170125031409500000013100019900001701000032090E031930750A0C0E031900710200042900000429"
    "0000A0410000E022020040E2010040E2010026A30200B0AD01001027000010270000F82A000060EA0000000000000000000000000000"
    "CEAB19060022DE1B06005432020054320200BE0F03004C544553543030303030303030303031370118790A0C0E031940000000000000"
    "000028C9"
)
REALTIME = bytes.fromhex(
    "68402A0000133100019900001701250314095000000131000199000017010302011F10B5045800000000000000002F52460023002094"
    "0100209401000E2A020000005AD1"
)
LOGIN = bytes.fromhex("6822000000013100019900001700021056322E332E3100000089860412345678901234005DAB")

QUICK = PileServerSettings(
    writer_threads=2, downlink_gap_s=0.02, sweep_s=0.02, poll_s=0.05, route_refresh_s=5.0, partial_frame_s=0.2
)
"""Everything that waits, waits short."""

DEADLINE_S = 10.0

E = TypeVar("E")


def frame_of(frame_type: int, body: bytes, sequence: bytes = b"\0\0", encrypt: int = 0) -> bytes:
    """A frame with valid length and CRC around any body."""
    covered = sequence + bytes((encrypt, frame_type)) + body
    return bytes((0x68, len(covered))) + covered + crc_bytes(covered)


def wait_for(true: Callable[[], bool], what: str) -> None:
    """Until it is true; fails after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.005)


def make_tariff(model_number: str = "0001") -> PileTariff:
    """1.2+0.4, 1.0+0.4, 0.7+0.4, 0.3+0.3 over the day of specs/ykc.md 14."""
    pairs = (("1.2", "0.4"), ("1.0", "0.4"), ("0.7", "0.4"), ("0.3", "0.3"))
    sharp, peak, flat, valley = (RatePrice(Decimal(energy), Decimal(service)) for energy, service in pairs)
    slots = [3] * 14 + [2] * 6 + [1] * 4 + [0] * 4 + [2] * 8 + [1] * 8 + [3] * 4
    return PileTariff(model_number, (sharp, peak, flat, valley), tuple(slots))


@dataclass
class MemoryDirectory:
    """Accepts the piles it knows."""

    known: dict[str, LoginDecision] = field(default_factory=dict)
    logins: list[PileLogin] = field(default_factory=list)
    failing: bool = False

    def login(self, login: PileLogin) -> LoginDecision:
        self.logins.append(login)
        if self.failing:
            raise ConnectionError("the database is away")
        return self.known.get(login.pile_code, LoginDecision(False, "unknown"))


class MemorySink:
    """Keeps what it is given; can be held, and can be made to fail for batches that a test names."""

    def __init__(self) -> None:
        self.events: list[PileEvent] = []
        self.calls: list[int] = []
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.fails: Callable[[Sequence[PileEvent]], bool] = lambda _batch: False

    def handle(self, batch: Sequence[PileEvent]) -> None:
        self.entered.set()
        assert self.free.wait(DEADLINE_S)
        self.calls.append(len(batch))
        if self.fails(batch):
            raise ConnectionError("not stored")
        self.events.extend(batch)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in list(self.events) if isinstance(event, kind)]


@dataclass
class MemoryCommands:
    """A table of commands with the state rules of the port."""

    rows: dict[str, PendingCommand] = field(default_factory=dict)
    states: dict[str, CommandState] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    failing: bool = False

    def add(self, command: PendingCommand) -> PendingCommand:
        self.rows[command.id] = command
        self.states[command.id] = CommandState.PENDING
        return command

    def pending(self, pile_codes: Collection[str]) -> Sequence[PendingCommand]:
        if self.failing:
            raise ConnectionError("the database is away")
        waiting = [id_ for id_, state in self.states.items() if state is CommandState.PENDING]
        return [self.rows[id_] for id_ in waiting if self.rows[id_].pile_code in pile_codes]

    def mark(self, command_id: str, state: CommandState, detail: str) -> bool:
        if self.failing:
            raise ConnectionError("the database is away")
        if state is CommandState.SENT and self.states[command_id] is not CommandState.PENDING:
            return False
        self.states[command_id] = state
        self.details[command_id] = detail
        return True


@dataclass
class MemoryTariffs:
    """One tariff for every pile it knows."""

    tariffs: dict[str, PileTariff] = field(default_factory=dict)
    confirmations: list[tuple[str, str]] = field(default_factory=list)

    def for_pile(self, pile_code: str) -> PileTariff | None:
        return self.tariffs.get(pile_code)

    def confirmed(self, pile_code: str, model_number: str) -> None:
        self.confirmations.append((pile_code, model_number))


@dataclass
class MemoryRoutes:
    """Who is here."""

    here: set[str] = field(default_factory=set)
    announced: list[str] = field(default_factory=list)
    failing: bool = False

    def announce(self, pile_codes: Collection[str]) -> None:
        if self.failing:
            raise ConnectionError("Redis is away")
        self.announced.extend(pile_codes)
        self.here.update(pile_codes)

    def withdraw(self, pile_codes: Collection[str]) -> None:
        if self.failing:
            raise ConnectionError("Redis is away")
        self.here.difference_update(pile_codes)


class House:
    """A running server with its ports."""

    def __init__(self, settings: PileServerSettings = QUICK, clock: Clock | None = None) -> None:
        self.clock = clock or ManualClock(START)
        self.directory = MemoryDirectory({PILE: LoginDecision(True, tenant_id="t1", tariff=make_tariff())})
        self.sink = MemorySink()
        self.commands = MemoryCommands()
        self.tariffs = MemoryTariffs({PILE: make_tariff()})
        self.routes = MemoryRoutes()
        ports = PilePorts(self.directory, self.sink, self.commands, self.tariffs, self.routes)
        self.server = PileServer("127.0.0.1", 0, ports, self.clock, settings)
        self.port = self.server.start()

    def command(self, kind: CommandKind, id_: str = "c1", lasts: timedelta = timedelta(minutes=1)) -> PendingCommand:
        """A command waiting for the pile."""
        trade_number = TRADE if kind in (CommandKind.START, CommandKind.STOP) else None
        balance = Decimal("50.009") if kind is CommandKind.START else None
        expires_at = self.clock.now() + lasts
        return self.commands.add(PendingCommand(id_, "o1", kind, PILE, 1, trade_number, balance, expires_at))

    def login(self, **options: Any) -> Pile:
        """A pile that is logged in and has received its time."""
        pile = Pile(self.port, **options)
        pile.raw(LOGIN if pile.order is CrcOrder.STANDARD else pile.mirrored(LOGIN))
        assert pile.expect(0x02).fields["result"] == 0
        pile.expect(0x56)
        return pile

    def login_while_held(self) -> Pile:
        """A pile whose login is sent while the writers stand still."""
        pile = Pile(self.port)
        pile.raw(LOGIN)
        return pile


@contextmanager
def running(settings: PileServerSettings = QUICK, clock: Clock | None = None, **changes: Any) -> Iterator[House]:
    """A house that is stopped at the end."""
    house = House(replace(settings, **changes), clock)
    try:
        yield house
    finally:
        house.sink.free.set()
        house.server.stop(DEADLINE_S)


class Pile:
    """The pile's end of a socket."""

    def __init__(
        self, port: int, order: CrcOrder = CrcOrder.STANDARD, code: str = PILE, receive_buffer: int | None = None
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(("127.0.0.1", port))
        self.order = order
        self.code = code
        self._last = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def raw(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    @staticmethod
    def mirrored(frame: bytes) -> bytes:
        """The same frame with its CRC in the other order."""
        return frame[:-2] + frame[:-3:-1]

    def send(self, frame_type: int, fields: dict[str, Any] | None = None, sequence: bytes = b"\x07\x00") -> None:
        whole = {"pile_code": self.code, **(fields or {})}
        self.raw(encode(frame_type, whole, sequence, self.order))

    def heartbeat(self, sequence: bytes = b"\x07\x00") -> None:
        self.send(0x03, {"connector_no": "01", "connector_state": 0}, sequence)

    def receive(self) -> Frame | None:
        """The next frame; None when the server closed."""
        try:
            head = self._exactly(2)
            if head is None:
                return None
            self._last = head + (self._exactly(head[1] + 2) or b"")
            return decode(self._last)
        except ConnectionResetError:
            return None

    def last_body(self) -> bytes:
        """The body of the frame received last, as it was on the wire."""
        return self._last[6:-2]

    def expect(self, frame_type: int) -> Frame:
        """The next frame, which must be of this type."""
        frame = self.receive()
        assert frame is not None, "the server closed the connection"
        assert frame.type == frame_type, f"0x{frame.type:02X} instead of 0x{frame_type:02X}"
        return frame

    def expect_silence(self) -> None:
        """Nothing was sent for what went before: the answer to a heartbeat is the next frame."""
        self.heartbeat(b"\xab\xcd")
        assert self.expect(0x04).sequence == b"\xab\xcd"

    def expect_close(self) -> None:
        assert self.receive() is None

    def _exactly(self, count: int) -> bytes | None:
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                return None
            got += more
        return got
