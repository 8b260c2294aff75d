"""The stage of the soak: the real pile server on a real database, simulated piles over real TCP, one clock that moves when all is calm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.members.catalog import CardSpec, MemberSpec, save_member
from charging_core.orders.bills.staff import Staff, close_order
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartRequest, request_stop, start_order
from charging_core.orders.state import OrderState
from charging_core.orders.sweep import sweep_orders
from charging_core.piles.ports import PilePorts
from charging_core.piles.server import PileServer
from charging_core.piles.settings import PileServerSettings
from charging_core.piles.store.commands import TableCommands, TableCommandSource
from charging_core.piles.store.directory import TablePileDirectory, TableTariffSource
from charging_core.piles.store.parked import sweep_parked
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.piles.store.starts import TableStartDesk
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import Periods, PileSettings
from charging_core.stations.model import Connector, ConnectorState, Pile
from tests.charging_core.soak.soak_books import Books
from tests.support.seed import Seeded, seed_operator

_STEP = timedelta(seconds=10)
_SWEEP_EVERY = 3
_LOOK_S = 0.003
"""Two looks this far apart with nothing new between them: calm."""
_PATIENCE_S = 60.0
OPENING = Decimal(100_000)
"""More than anybody can charge for."""
SERVER = PileServerSettings(writer_threads=1, downlink_gap_s=0.0, sweep_s=0.5, poll_s=1.0, route_refresh_s=60.0)
PERIODS = Periods(
    heartbeat_s=120,
    idle_sample_s=7200,
    charging_sample_s=90,
    restart_s=30,
    real_reconnect_s=(0.005, 0.02),
    real_answer_floor_s=0,
    real_glue_s=0.002,
    real_piece_gap_s=0.001,
)


class Routes:
    """Fills `RouteTable` with nothing."""

    def announce(self, pile_codes: object) -> None:
        """Nobody asks."""

    def withdraw(self, pile_codes: object) -> None:
        """Nobody asks."""


class SoakYard:
    """`count` piles at one station: every fourth AC, every eighth with two connectors."""

    def __init__(self, db: Database, clock: ManualClock, count: int, random: Random) -> None:
        self.db, self.clock, self.random = db, clock, random
        self.books = Books()
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.context = OrderContext(clock, TableCommands(clock, self))
        self.server = PileServer("127.0.0.1", 0, self._ports(), clock, SERVER)
        self.agenda = Agenda(clock)
        self._settings = [_settings(number) for number in range(1, count + 1)]
        self._seed_piles()
        self._seed_members()
        self.piles: list[SimulatedPile] = []
        self.steps = 0

    def wake(self, pile_code: str) -> None:
        """Fills `CommandWaker`."""
        self.server.wake(pile_code)

    # -- life

    async def open(self) -> None:
        """All piles logged in, with their tariff."""
        port = self.server.start()
        for settings in self._settings:
            pile = SimulatedPile(settings, self.clock, agenda=self.agenda, frame_log=self.books)
            self.piles.append(pile)
            await pile.start("127.0.0.1", port)
        for pile in self.piles:
            await asyncio.wait_for(pile.wait_logged_in(), _PATIENCE_S)
        while any(pile.model is None for pile in self.piles):
            await self.step()

    async def close(self) -> None:
        """End everything."""
        for pile in self.piles:
            await pile.stop()
        await asyncio.to_thread(self.server.stop, 5.0)

    # -- time

    async def step(self) -> None:
        """Let ten seconds pass and everything that they bring happen."""
        self.clock.advance(_STEP)
        self.steps += 1
        self.agenda.run_due()
        await self._calm()
        if self.steps % _SWEEP_EVERY == 0:
            sweep_orders(self.db, self.context)
            sweep_parked(self.db, self.context)

    async def pause(self, seconds: float) -> None:
        """Until so much business time has passed."""
        passed = asyncio.Event()
        self.agenda.after(timedelta(seconds=seconds), passed.set)
        await passed.wait()

    async def _calm(self) -> None:
        """Nothing on its way between piles, server and database."""
        loop = asyncio.get_running_loop()
        end, before = loop.time() + _PATIENCE_S, (-1, -1)
        while loop.time() < end:
            await asyncio.sleep(_LOOK_S)
            now = (self.books.frames.total(), self.server._context.writers.depth())
            if now == before and now[1] == 0 and all(pile.all_written for pile in self.piles):
                return
            before = now

    # -- orders

    def start(self, connector: str, limit: Decimal | None) -> tuple[str, str] | None:
        """A start by the app; the order's id and trade number, or none when it is refused just now."""
        request = StartRequest(connector_code=connector, origin=Origin.APP)
        with self.db.session(self.seeded.tenant_id) as session:
            order = start_order(session, self.context, replace(request, limit_yuan=limit)).order
            return None if order is None else (order.id, str(order.trade_number))

    def order_of(self, trade_number: str) -> str | None:
        """The order that has this trade number."""
        with self.db.read(self.seeded.tenant_id) as session:
            return session.scalars(select(ChargeOrder.id).where(ChargeOrder.trade_number == trade_number)).first()

    def stop(self, order_id: str) -> None:
        """The app's stop."""
        with self.db.session(self.seeded.tenant_id) as session:
            request_stop(session, self.context, order_id, Origin.APP)

    def close_given_up(self, connector: str) -> int:
        """The staff settles, by their samples, the orders here whose record the pile has lost: until then their cards do not charge."""
        query = (
            select(ChargeOrder.id)
            .join(Connector)
            .where(Connector.code == connector, ChargeOrder.state == OrderState.ABNORMAL)
        )
        with self.db.session(self.seeded.tenant_id) as session:
            stuck = session.scalars(query).all()
            for order_id in stuck:
                close_order(session, self.context, order_id, Staff("soak", "记录丢失"), by_samples=True)
        return len(stuck)

    # -- made once

    def _ports(self) -> PilePorts:
        return PilePorts(
            TablePileDirectory(self.db, self.clock),
            TablePileEventSink(self.db, self.context),
            TableCommandSource(self.db, self.context),
            TableTariffSource(self.db, self.clock),
            Routes(),
            TableStartDesk(self.db, self.context),
        )

    def _seed_members(self) -> None:
        """One account with a card and a vehicle for each connector."""
        with self.db.session(self.seeded.tenant_id) as session:
            for settings in self._settings:
                for number in range(1, settings.connectors + 1):
                    physical, logical, vin = shown_at(settings.code, number)
                    save_member(
                        session,
                        self.clock,
                        MemberSpec(
                            code=logical,
                            name="车主",
                            opening_balance=OPENING,
                            per_charge_yuan=Decimal(50),
                            cards=(CardSpec(logical, physical, offline=True),),
                            vins=(vin,),
                        ),
                    )

    def _seed_piles(self) -> None:
        tenant = self.seeded.tenant_id
        with self.db.system("soak") as session:
            station_id = session.scalars(select(Pile.station_id).where(Pile.code == self.seeded.pile_code)).one()
            for settings in self._settings:
                pile_id = new_id()
                session.add(
                    Pile(
                        id=pile_id, tenant_id=tenant, code=settings.code, station_id=station_id, kind=settings.type,
                        power_kw=settings.power_kw,
                    )
                )  # fmt: skip
                session.flush()
                session.add_all(
                    _connector(tenant, pile_id, settings, number) for number in range(1, settings.connectors + 1)
                )


def shown_at(pile_code: str, connector: int) -> tuple[str, str, str]:
    """What the usual customer of a connector shows: card as read, card as printed, VIN."""
    place = f"{pile_code[-4:]}{connector:02d}"
    return f"00000000E0{place}", f"3201000000{place}", f"LTESTSOAK00{place}"


def _settings(number: int) -> PileSettings:
    ac, connectors, code = number % 4 == 0, 2 if number % 8 == 1 else 1, f"3201060002{number:04d}"
    cards = {shown_at(code, at)[0]: shown_at(code, at)[1] for at in range(1, connectors + 1)}
    return PileSettings(
        code=code,
        type="ac" if ac else "dc",
        connectors=connectors,
        cards=cards,
        power_kw=Decimal(7 if ac else 120),
        battery_frames=number % 4 == 1,
        periods=PERIODS,
    )


def _connector(tenant: str, pile_id: str, settings: PileSettings, number: int) -> Connector:
    return Connector(
        id=new_id(), tenant_id=tenant, code=f"{settings.code}{number:02d}", pile_id=pile_id, number=number,
        kind="ac_plug" if settings.type == "ac" else "dc_plug", voltage_upper_v=750, voltage_lower_v=200, current_a=250,
        power_kw=settings.power_kw, state=ConnectorState.IDLE, plugged=False,
    )  # fmt: skip
