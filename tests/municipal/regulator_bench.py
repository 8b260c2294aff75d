"""A hub with one charging operator and one or more fake regulators, pumped by hand on a clock that moves when told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.changes import Change
from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import StartRequest, find_order, request_stop, start_order
from charging_core.piles.events import (
    ConnectorSample,
    ConnectorStatus,
    PileEvent,
    RateClass,
    RateReading,
    StartAnswered,
    StartReason,
    StopCategory,
    TradeRecord,
)
from charging_core.piles.ports import CommandState
from charging_core.piles.store.commands import TableCommandSource
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.secretbox import SecretBox
from municipal.fake.config import DEFAULT_NAMES
from municipal.fake.regulator import FakeRegulator
from municipal.model import RegulatorLink
from municipal.regulators import KIND
from municipal.specs import RegulatorLinkSpec, save_regulator_link
from municipal.sweeps import period_begin
from municipal.wiring import register
from partners.exchanges import ExchangeRecorder
from partners.model import ExchangeRow
from tests.support.seed import order_context, seed_operator
from worker.api import Destination, Registry
from worker.model import DeliveryAttempt, DeliveryRow, DestinationState
from worker.runtime import WorkerRuntime
from worker.settings import WorkerSettings

ZERO = Decimal(0)
REGULATOR_ID = "330000001"
KEYS = {
    "operator_secret": "province-secret-1",
    "data_secret": "muniDataKey00001",
    "data_iv": "muniInitVec00001",
    "sig_secret": "muniSignKey00001",
}
ENVIRON = {f"R_{name.upper()}": value for name, value in KEYS.items()}
MINUTE = timedelta(minutes=1)


def box() -> SecretBox:
    return SecretBox(["a test key of 32 characters long"])


def declaration(base: str = "http://127.0.0.1:1/evcs/v1/", **changes: Any) -> dict[str, Any]:
    """A regulator link as it stands in an operator's file."""
    return {
        "id": "zhejiang",
        "name": "浙江省级监管平台",
        "profile": "zhejiang-province",
        "our_operator_id": "MA5TEST01",
        "their_operator_id": REGULATOR_ID,
        "outbound_base": base,
        "wire_names": dict(DEFAULT_NAMES),
        "keys": {"outbound": {name: {"env": f"R_{name.upper()}"} for name in KEYS}},
    } | changes


def link_spec(base: str = "http://127.0.0.1:1/evcs/v1/", **changes: Any) -> RegulatorLinkSpec:
    """The same, checked."""
    return RegulatorLinkSpec.model_validate(declaration(base, **changes), context={"environ": ENVIRON})


class Bench:
    """One seeded operator, its pile played by hand, and fake regulators in this process."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.db, self.clock, self.box = db, clock, box()
        self.seeded = seed_operator(db, clock.now())
        self.context, _ = order_context(clock)
        self.sink = TablePileEventSink(db, self.context)
        self.source = TableCommandSource(db, self.context)
        self.recorder = ExchangeRecorder(db)
        registry = Registry()
        self.clients = register(registry, db, clock, self.box, self.recorder)
        self.jobs = {job.name: job.run for job in registry.jobs}
        self.runtime = WorkerRuntime(db, clock, registry, WorkerSettings())
        self._fakes = ExitStack()

    def close(self) -> None:
        self.clients.close()
        self._fakes.close()

    # -- regulators

    def regulator(self, slug: str = "zhejiang", *, link: dict[str, Any] | None = None, **config: Any) -> FakeRegulator:
        """A running fake and the saved link to it."""
        described = {"operator_id": REGULATOR_ID, "hub_operator_id": "MA5TEST01", "keys": KEYS, **config}
        fake = self._fakes.enter_context(FakeRegulator(described, self.clock))
        self.save(fake.base_url, id=slug, **(link or {}))
        return fake

    def save(self, base: str, **changes: Any) -> list[Change]:
        with self.db.session(self.seeded.tenant_id) as session:
            return save_regulator_link(session, self.clock, self.box, link_spec(base, **changes))

    def link_id(self, slug: str = "zhejiang") -> str:
        with self.db.read(self.seeded.tenant_id) as session:
            return session.scalars(select(RegulatorLink.id).where(RegulatorLink.slug == slug)).one()

    # -- time

    def pump(self) -> int:
        return self.runtime.run_until_idle()

    def tick(self, minutes: int = 1) -> None:
        """Let minutes pass, each with a look at the clock and a round of deliveries."""
        for _ in range(minutes):
            self.clock.set(period_begin(self.clock.now(), 60) + MINUTE)
            self.jobs["regulator_periods"](self.clock.now())
            self.pump()

    def settle_in(self) -> None:
        """Everything in scope is told: statuses go when the station has been accepted, which is looked at every 15 s."""
        self.pump()
        self.pass_time(seconds=15)

    def pass_time(self, **step: float) -> None:
        self.clock.advance(timedelta(**step))
        self.pump()

    # -- the pile side

    def charging(self, seq: str = "MA5PARTNR260302080000000001") -> ChargeOrder:
        request = StartRequest(
            connector_code=self.seeded.connectors[0], origin=Origin.PARTNER, link_id="link", start_charge_seq=seq
        )
        with self.db.session(self.seeded.tenant_id) as session:
            order = start_order(session, self.context, request).order
        assert order is not None
        assert order.trade_number is not None
        for command in self.source.pending([self.seeded.pile_code]):
            self.source.mark(command.id, CommandState.SENT, "")
        now, pile = self.clock.now(), self.seeded.pile_code
        self.tell(StartAnswered(order.trade_number, pile, 1, True, StartReason.NONE, now), self.sample(order))
        return order

    def tell(self, *events: PileEvent) -> None:
        self.sink.handle(events)

    def sample(
        self,
        order: ChargeOrder | None,
        energy: str = "0.5",
        status: ConnectorStatus = ConnectorStatus.CHARGING,
        *,
        number: int = 1,
        plugged: bool = True,
    ) -> ConnectorSample:
        volts, amperes = (Decimal("402.6"), Decimal("98.2")) if order else (ZERO, ZERO)
        return ConnectorSample(
            self.seeded.pile_code, number, order.trade_number if order else None, status, plugged, volts,
            amperes, 57, Decimal(energy), Decimal(energy), ZERO, 1, 30, (), self.clock.now(),
        )  # fmt: skip

    def status(self, status: ConnectorStatus, *, number: int = 2, plugged: bool = False) -> None:
        self.tell(self.sample(None, "0", status, number=number, plugged=plugged))

    def settle(self, order: ChargeOrder, flat: str = "10.0000") -> ChargeOrder:
        with self.db.session(self.seeded.tenant_id) as session:
            request_stop(session, self.context, order.id, Origin.PARTNER)
        self.tell(self.record(order, flat))
        with self.db.read(self.seeded.tenant_id) as session:
            found = find_order(session, order.id)
            assert found is not None
            _ = found.details
            return found

    def record(self, order: ChargeOrder, flat: str) -> TradeRecord:
        assert order.trade_number is not None
        energy = Decimal(flat)
        amount = energy * Decimal("1.1")
        rates = tuple(
            RateReading(rate, Decimal("1.1"), energy if rate is RateClass.FLAT else ZERO, ZERO,
                        amount if rate is RateClass.FLAT else ZERO)
            for rate in RateClass
        )  # fmt: skip
        now = self.clock.now()
        return TradeRecord(
            order.trade_number, self.seeded.pile_code, 1, now - 20 * MINUTE, now, rates, Decimal(100), 100 + energy,
            energy, energy, amount, "LTEST000000000017", 1, 0x40, StopCategory.REMOTE, None, None, True, "68", now,
        )  # fmt: skip

    # -- what the ledger says

    def deliveries(self, interface: str, slug: str = "zhejiang") -> list[DeliveryRow]:
        with self.db.read(self.seeded.tenant_id) as session:
            query = select(DeliveryRow).where(
                DeliveryRow.interface == interface, DeliveryRow.destination_id == self.link_id(slug)
            )
            return list(session.scalars(query.order_by(DeliveryRow.object_key, DeliveryRow.object_version)))

    def delivery(self, interface: str, slug: str = "zhejiang") -> DeliveryRow:
        (found,) = self.deliveries(interface, slug)
        return found

    def attempts(self, delivery: DeliveryRow) -> list[DeliveryAttempt]:
        with self.db.read(self.seeded.tenant_id) as session:
            query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery.id)
            return list(session.scalars(query.order_by(DeliveryAttempt.number)))

    def held(self, slug: str = "zhejiang") -> bool:
        with self.db.read(self.seeded.tenant_id) as session:
            key = (self.seeded.tenant_id, KIND, self.destination(slug).id)
            return session.get_one(DestinationState, key).held

    def destination(self, slug: str = "zhejiang") -> Destination:
        return Destination(KIND, self.link_id(slug))

    def exchanges(self) -> list[ExchangeRow]:
        self.recorder.flush()
        with self.db.read(self.seeded.tenant_id) as session:
            return list(session.scalars(select(ExchangeRow).order_by(ExchangeRow.id)))


def bodies(fake: FakeRegulator, kind: str) -> list[dict[str, Any]]:
    """What the fake accepted of one push, in order."""
    wire_name = next(name for known, name in fake.names.items() if known == kind)
    pushes: list[dict[str, Any]] = fake.summary()["pushes"]
    return [push["body"] for push in pushes if push["interface"] == wire_name and push["accepted"]]


def benches(db: Database, clock: ManualClock) -> Iterator[Bench]:
    """The bench as a fixture's body."""
    bench = Bench(db, clock)
    yield bench
    bench.close()


def china(clock: ManualClock, text: str) -> datetime:
    """`HH:MM` of the clock's day in China, as an instant."""
    begin = period_begin(clock.now(), 86_400)
    hours, _, minutes = text.partition(":")
    return begin + timedelta(hours=int(hours), minutes=int(minutes))
