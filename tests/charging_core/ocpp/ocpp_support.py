"""A pile server with its OCPP port on a real database, and simulated OCPP piles in a loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import select, update

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.orders.model import ChargeOrder, ChargeSample, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartRequest, request_stop, start_order
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import PilePorts
from charging_core.piles.protocols.ocpp16.access import save_access
from charging_core.piles.protocols.ocpp16.book import TableOcppBook
from charging_core.piles.protocols.ocpp16.server import OcppListener
from charging_core.piles.server import PileServer
from charging_core.piles.settings import PileServerSettings
from charging_core.piles.store.commands import TableCommands, TableCommandSource
from charging_core.piles.store.device import Asked, Request, ask
from charging_core.piles.store.directory import TablePileDirectory, TableTariffSource
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.piles.store.starts import TableStartDesk
from charging_core.secretbox import SecretBox
from charging_core.simulator.charge import Vehicle
from charging_core.simulator.ocpp_parts import OcppSettings
from charging_core.simulator.ocpp_pile import OcppPile
from charging_core.stations.model import Pile
from tests.support.seed import Seeded, seed_operator
from tests.support.waiting import wait_until

T = TypeVar("T")
PASSWORD = "correct horse"
QUICK = PileServerSettings(writer_threads=2, sweep_s=0.05, poll_s=0.25, route_refresh_s=5.0)
ACT_S = 30.0
VEHICLE = Vehicle(soc=0, battery_kwh=Decimal(1000), power_kw=Decimal(60))


class Routes:
    """Fills `RouteTable` with nothing."""

    def announce(self, pile_codes: object) -> None:
        """Nobody asks."""

    def withdraw(self, pile_codes: object) -> None:
        """Nobody asks."""


class LoopThread:
    """An event loop in a thread, for simulated piles."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="simulated-ocpp", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there; its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(ACT_S)

    def do(self, act: Callable[[], T]) -> T:
        """Call a function there; its result."""

        async def acted() -> T:
            return act()

        return self.wait(acted())

    def close(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(ACT_S)
        self.loop.close()


class Yard:
    """One operator whose pile speaks OCPP, and a running server."""

    def __init__(self, db: Database, clock: ManualClock, loop: LoopThread, settings: PileServerSettings) -> None:
        self.db, self.clock, self.loop = db, clock, loop
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.code, self.connector = self.seeded.pile_code, self.seeded.connectors[0]
        self.box = SecretBox(["a-key-for-the-tests-of-ocpp"])
        with db.session(self.seeded.tenant_id) as session:
            session.execute(update(Pile).values(protocol="ocpp16", online=False))
            save_access(session, self.box, self.code, self.code, PASSWORD)
        self.commands = TableCommands(clock, self)
        self.context = OrderContext(clock, self.commands)
        self.sink = TablePileEventSink(db, self.context)
        self.book = TableOcppBook(db, self.box, TableStartDesk(db, self.context))
        self.ports = PilePorts(
            TablePileDirectory(db, clock),
            self.sink,
            TableCommandSource(db, self.context),
            TableTariffSource(db, clock),
            Routes(),
        )
        self.listener = OcppListener("127.0.0.1", 0, self.book)
        self.server = PileServer("127.0.0.1", 0, self.ports, clock, settings, self.listener)
        self.server.start()
        self.piles: list[OcppPile] = []

    def wake(self, pile_code: str) -> None:
        """Fills `CommandWaker`."""
        self.server.wake(pile_code)

    @property
    def url(self) -> str:
        """Where piles connect."""
        return f"ws://127.0.0.1:{self.server.also_port}/ocpp"

    # -- piles

    def pile(self, *, booted: bool = True, plugged: bool = True, **settings: Any) -> OcppPile:
        """A simulated pile, connected; with a car at connector 1 unless told otherwise."""
        own = replace(OcppSettings(self.code, PASSWORD, connectors=2, sample_s=60), **settings)
        pile = self.loop.do(lambda: OcppPile(own, self.clock))
        self.piles.append(pile)
        self.loop.do(lambda: pile.start(self.url))
        if booted:
            self.loop.wait(pile.wait_booted())
            self.until("the states are known", lambda: self.connector_state() == "idle")
            if plugged:
                self.loop.do(lambda: pile.plug(1, VEHICLE))
                self.until("the plug is seen", lambda: self.connector_state() == "plugged")
        return pile

    def pass_time(self, pile: OcppPile, **span: float) -> None:
        """Let time pass, and the pile tell everything about it."""
        self.clock.advance(timedelta(**span))
        self.until("the pile has looked", lambda: self.loop.do(lambda: _up_to_date(pile, self.clock)))
        self.until("the pile has told", lambda: pile.queued == 0)

    # -- orders

    def start(self, connector: str | None = None) -> str:
        """A partner's start; the order's id."""
        with self.db.session(self.seeded.tenant_id) as session:
            request = StartRequest(connector_code=connector or self.connector, origin=Origin.PARTNER)
            outcome = start_order(session, self.context, request)
            assert outcome.order is not None, outcome.refusal
            return outcome.order.id

    def charge(self) -> str:
        """A start, to the running charge."""
        order_id = self.start()
        self.until("the charge runs", lambda: self.order(order_id).state == "charging")
        return order_id

    def stop(self, order_id: str) -> None:
        """The partner's stop."""
        with self.db.session(self.seeded.tenant_id) as session:
            request_stop(session, self.context, order_id, Origin.PARTNER)

    def settled(self, order_id: str) -> ChargeOrder:
        """Wait for the bill."""
        self.until("the order is settled", lambda: self.order(order_id).state == "settled")
        return self.order(order_id)

    def order(self, order_id: str) -> ChargeOrder:
        """As it is stored, with its details."""
        with self.db.read(self.seeded.tenant_id) as session:
            order = session.scalars(select(ChargeOrder).where(ChargeOrder.id == order_id)).one()
            assert len(order.details) >= 0
            return order

    def samples(self, order_id: str) -> list[ChargeSample]:
        """The readings of an order, in order of time."""
        with self.db.read(self.seeded.tenant_id) as session:
            query = select(ChargeSample).where(ChargeSample.order_id == order_id).order_by(ChargeSample.at)
            return list(session.scalars(query))

    def connector_state(self, number: int = 1) -> str:
        """As the hub sees it."""
        return str(self.stored_pile().connectors[number - 1].state)

    def stored_pile(self) -> Pile:
        """The pile's row with its connectors."""
        with self.db.read(self.seeded.tenant_id) as session:
            pile = session.scalars(select(Pile)).one()
            assert len(pile.connectors) == 2
            return pile

    # -- commands

    def ask(self, request: Request) -> tuple[str, str]:
        """What the staff asks; its last state and detail."""
        row_id = self.add(request)
        self.until("the command ended", lambda: self.command(row_id).state not in ("pending", "sent"))
        row = self.command(row_id)
        return row.state, row.detail or ""

    def add(self, request: Request) -> str:
        """What the staff asks; the command's id."""
        with self.db.session(self.seeded.tenant_id) as session:
            return ask(session, self.clock, self, request, Asked("tester")).id

    def command(self, row_id: str) -> PileCommand:
        """As it stands."""
        with self.db.read(self.seeded.tenant_id) as session:
            return session.scalars(select(PileCommand).where(PileCommand.id == row_id)).one()

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for it."""
        wait_until(holds, what, ACT_S, 0.01)

    def close(self) -> None:
        """End everything."""
        for pile in self.piles:
            self.loop.wait(pile.stop())
        self.server.stop(5.0)


def _up_to_date(pile: OcppPile, clock: ManualClock) -> bool:
    step = timedelta(seconds=pile.settings.sample_s)
    charges = [connector.charge for connector in pile.connectors if connector.charge is not None]
    return all(clock.now() - charge.sampled_at < step for charge in charges)


@contextmanager
def open_yard(
    db: Database, clock: ManualClock, loop: LoopThread, settings: PileServerSettings = QUICK
) -> Iterator[Yard]:
    """A yard that is closed at the end."""
    yard = Yard(db, clock, loop, settings)
    try:
        yield yard
    finally:
        yard.close()
