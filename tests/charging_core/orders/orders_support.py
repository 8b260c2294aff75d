"""The bench of the order tests: one seeded operator on a real database, the pile side played by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import DomainEvent
from charging_core.money import quantize
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartOutcome, StartRequest, StopOutcome, find_order, request_stop, start_order
from charging_core.orders.sweep import sweep_orders
from charging_core.piles.events import (
    ConnectorSample,
    ConnectorStatus,
    PileCurrent,
    PileEvent,
    PileLogin,
    RateReading,
    StartAnswered,
    StartReason,
    StopCategory,
    TradeRecord,
)
from charging_core.piles.events import RateClass as PileRate
from charging_core.piles.ports import CommandState
from charging_core.piles.store.commands import TableCommandSource
from charging_core.piles.store.directory import TablePileDirectory
from charging_core.piles.store.sink import TablePileEventSink
from tests.support.seed import Seeded, Wakes, order_context, seed_operator

ZERO = Decimal(0)


def log_in(bench: Bench, connection: str = "c1") -> None:
    """The pile has a new connection."""
    login = PileLogin(
        bench.seeded.pile_code, connection, "ykc", "1.6", None, PileCurrent.DC, 2, None, "127.0.0.1", bench.clock.now()
    )
    assert TablePileDirectory(bench.db, bench.clock).login(login).accepted


class Bench:
    """One seeded operator and the pile side played by hand."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.db, self.clock = db, clock
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.context: OrderContext
        self.wakes: Wakes
        self.context, self.wakes = order_context(clock)
        self.sink = TablePileEventSink(db, self.context)
        self.source = TableCommandSource(db, self.context)

    @property
    def connector(self) -> str:
        return self.seeded.connectors[0]

    def start(
        self, seq: str = "MA5PARTNR260302080000000001", connector: str | None = None, **more: object
    ) -> StartOutcome:
        request = StartRequest(
            connector_code=connector or self.connector, origin=Origin.PARTNER, link_id="link", start_charge_seq=seq
        )
        with self.db.session(self.seeded.tenant_id) as session:
            return start_order(session, self.context, replace(request, **more))  # type: ignore[arg-type]

    def started(self, **more: object) -> ChargeOrder:
        order = self.start(**more).order  # type: ignore[arg-type]
        assert order is not None
        return order

    def charging(self, **more: object) -> ChargeOrder:
        order = self.started(**more)
        self.deliver_commands()
        self.tell(self.answer(order))
        self.tell(self.sample(order))
        return order

    def stop(self, order: ChargeOrder, origin: Origin = Origin.PARTNER) -> StopOutcome:
        with self.db.session(self.seeded.tenant_id) as session:
            outcome = request_stop(session, self.context, order.id, origin)
        assert outcome is not None
        return outcome

    def deliver_commands(self) -> list[str]:
        sent = [
            c for c in self.source.pending([self.seeded.pile_code]) if self.source.mark(c.id, CommandState.SENT, "")
        ]
        return [command.kind.value for command in sent]

    def tell(self, *events: PileEvent) -> None:
        self.sink.handle(events)

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        sweep_orders(self.db, self.context)

    def order(self, order: ChargeOrder) -> ChargeOrder:
        with self.db.read(self.seeded.tenant_id) as session:
            found = find_order(session, order.id)
            assert found is not None
            _ = found.details
            return found

    def state(self, order: ChargeOrder) -> str:
        return self.order(order).state

    def events(self) -> list[str]:
        with self.db.read(self.seeded.tenant_id) as session:
            return list(
                session.scalars(
                    select(DomainEvent.type).where(DomainEvent.type.like("order.%")).order_by(DomainEvent.id)
                )
            )

    def answer(self, order: ChargeOrder, *, ok: bool = True, reason: StartReason = StartReason.NONE) -> StartAnswered:
        assert order.trade_number is not None
        return StartAnswered(order.trade_number, self.seeded.pile_code, 1, ok, reason, self.clock.now())

    def sample(
        self, order: ChargeOrder | None, energy: str = "0", status: ConnectorStatus = ConnectorStatus.CHARGING
    ) -> ConnectorSample:
        return ConnectorSample(
            self.seeded.pile_code, 1, order.trade_number if order else None, status, True, Decimal("400.0"),
            Decimal("100.0"), 50, Decimal(energy), Decimal(energy), ZERO, 1, 30, (), self.clock.now(),
        )  # fmt: skip

    def record(self, order: ChargeOrder, flat: str = "10.0000", stop_code: int = 0x40, **more: object) -> TradeRecord:
        assert order.trade_number is not None
        energy = Decimal(flat)
        amount = quantize(energy * Decimal("1.1"), 4)
        rates = tuple(
            RateReading(
                rate,
                Decimal("1.1"),
                energy if rate is PileRate.FLAT else ZERO,
                ZERO,
                amount if rate is PileRate.FLAT else ZERO,
            )
            for rate in PileRate
        )
        record = TradeRecord(
            order.trade_number, self.seeded.pile_code, 1, self.clock.now() - timedelta(minutes=20), self.clock.now(), rates,
            Decimal(100), 100 + energy, energy, energy, amount, "LTEST000000000017", 1, stop_code,
            StopCategory.REMOTE, None, None, True, "68", self.clock.now(),
        )  # fmt: skip
        return replace(record, **more)  # type: ignore[arg-type]
