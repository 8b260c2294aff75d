"""A pile server on the tables with one operator, one pile, and a fleet whose cards are shown at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database
from charging_core.money import to_scaled
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import PilePorts
from charging_core.piles.protocols.ykc.cp56 import write as cp56
from charging_core.piles.server import PileServer
from charging_core.piles.store.commands import TableCommands, TableCommandSource
from charging_core.piles.store.directory import TablePileDirectory, TableTariffSource
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.piles.store.starts import TableStartDesk
from charging_core.stations.model import Pile as PileRow
from tests.charging_core.members.members_support import PHYSICAL, enrol
from tests.charging_core.piles.piles_support import DEADLINE_S, QUICK, MemoryRoutes, Pile, frame_of
from tests.support.seed import Seeded, seed_operator


class Wakes:
    """Wakes the server itself."""

    def __init__(self) -> None:
        self.server: PileServer | None = None

    def wake(self, pile_code: str) -> None:
        if self.server is not None:
            self.server.wake(pile_code)


class Yard:
    """A server on the tables, one pile with two connectors, one fleet."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db, self.clock = db, clock
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.tenant, self.code = self.seeded.tenant_id, self.seeded.pile_code
        self.member = enrol(db, clock, self.tenant)
        self.wakes = Wakes()
        self.context = OrderContext(clock, TableCommands(clock, self.wakes))
        ports = PilePorts(
            directory=TablePileDirectory(db, clock),
            sink=TablePileEventSink(db, self.context),
            commands=TableCommandSource(db, self.context),
            tariffs=TableTariffSource(db, clock),
            routes=MemoryRoutes(),
            starts=TableStartDesk(db, self.context),
        )
        self.server = PileServer("127.0.0.1", 0, ports, clock, replace(QUICK, keep_frames=True))
        self.port = self.server.start()
        self.wakes.server = self.server

    @property
    def code_bytes(self) -> bytes:
        return bytes.fromhex(self.code)

    def login(self) -> Pile:
        pile = Pile(self.port, code=self.code)
        login = self.code_bytes + bytes((0, 2, 0x10)) + b"V1".ljust(8, b"\0") + bytes((1,)) + bytes(10) + bytes((4,))
        pile.raw(frame_of(0x01, login))
        assert pile.expect(0x02).fields["result"] == 0
        pile.expect(0x56)
        return pile

    def options(self, **options: Any) -> None:
        with self.db.system("test") as session:
            session.scalars(select(PileRow)).one().protocol_options = options

    def request(
        self,
        connector: int = 1,
        mode: int = 1,
        card: bytes = bytes.fromhex(PHYSICAL),
        password: bytes = b"",
        vin: bytes = bytes(17),
        tail: bytes = b"",
    ) -> bytes:
        """The body of 0x31; of 0xA1 with its tail."""
        head = self.code_bytes + bytes((connector, mode, int(bool(password))))
        return head + card + password.ljust(16, b"\0") + vin + tail

    def sample(self, trade: bytes, connector: int = 1) -> bytes:
        """0x13: charging, plugged, 400.0 V, 100.0 A, 1.0000 kWh."""
        body = trade + self.code_bytes + bytes((connector, 3, 2, 1)) + (4000).to_bytes(2, "little")
        body += (1000).to_bytes(2, "little") + bytes(1 + 8) + bytes((50, 0)) + bytes(4)
        return frame_of(0x13, body + (10_000).to_bytes(4, "little") * 2 + bytes(4 + 2))

    def record(self, trade: bytes, flag: int = 2, connector: int = 1) -> bytes:
        """0x3B: twenty minutes, 10 kWh flat at 1.1 yuan."""
        end = self.clock.now()
        body = trade + self.code_bytes + bytes((connector,)) + cp56(end - timedelta(minutes=20)) + cp56(end)
        energy, amount = (
            to_scaled(Decimal(10), 4).to_bytes(4, "little"),
            to_scaled(Decimal(11), 4).to_bytes(4, "little"),
        )
        price = to_scaled(Decimal("1.1"), 5).to_bytes(4, "little")
        rates = bytes(16) * 2 + price + energy * 2 + amount + bytes(16)
        meters = (1_000_000).to_bytes(5, "little") + (1_100_000).to_bytes(5, "little")
        rest = energy * 2 + amount + bytes(17) + bytes((flag,)) + cp56(end) + b"\x41" + bytes.fromhex(PHYSICAL)
        return frame_of(0x3B, body + rates + meters + rest)

    def orders(self) -> list[ChargeOrder]:
        with self.db.read(self.tenant) as session:
            return list(session.scalars(select(ChargeOrder).order_by(ChargeOrder.id)))

    def state(self, number: int = 0) -> str:
        return self.orders()[number].state

    def commands(self) -> list[tuple[str, str]]:
        with self.db.read(self.tenant) as session:
            return [(row.kind, row.state) for row in session.scalars(select(PileCommand).order_by(PileCommand.id))]


@contextmanager
def yard_of(db: Database, clock: Clock) -> Iterator[Yard]:
    yard = Yard(db, clock)
    try:
        yield yard
    finally:
        yard.server.stop(DEADLINE_S)
