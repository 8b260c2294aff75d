"""Random histories of one connector: whatever piles, links and people do, in whatever order, money and states stay right.

Events are lost, doubled, late and reordered, because every step may be about any order that ever was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict
from charging_core.events import DomainEvent
from charging_core.orders.bills.staff import Staff
from charging_core.orders.limits import CHARGE_SILENCE_S
from charging_core.orders.model import ChargeOrder
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.service import Wish, reserve, sweep_reservations
from charging_core.orders.service import transitions
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.piles.events import ConnectorStatus, PileOffline, StartReason, StopAnswered, StopReason
from charging_core.piles.model import APPLIED, PARKED, TradeRecordRow
from charging_core.piles.ports import CommandState
from charging_core.piles.store.parked import attach_record, sweep_parked
from charging_core.stations.model import Connector
from tests.charging_core.orders.orders_support import Bench, log_in
from tests.support.databases import Databases

ENERGIES = ("0", "0.0001", "3.7", "12.3456")
WAITS_S = (5, 16, 95, 400)
UNASKED = tuple(f"3201060001000101260302090000{n:04d}" for n in range(3))
FOREIGN = tuple(f"3201060001000101260302100000{n:04d}" for n in range(3))
LIFE = [
    OrderState.CREATED, OrderState.STARTING, OrderState.WAIT_PLUG, OrderState.ACCEPTED, OrderState.CHARGING,
    OrderState.STOPPING, OrderState.ENDED_NO_RECORD, OrderState.FAILED, OrderState.ABNORMAL, OrderState.SETTLED,
]  # fmt: skip


class History:
    """A bench, the orders it has seen, and what each should be billed."""

    def __init__(self, db: Database) -> None:
        self.bench = Bench(
            db, ManualClock(datetime(2026, 3, 1, 15, 50, tzinfo=UTC))
        )  # ten minutes before midnight in China
        self.orders: list[ChargeOrder] = []
        self.due: dict[str, Decimal] = {}
        self.steps: dict[str, Callable[[int, int], None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def order(self, which: int) -> ChargeOrder:
        """The newest order, or one before it."""
        return self.orders[-1 - which % len(self.orders)]

    def do_start(self, _which: int, _how: int) -> None:
        order = self.bench.start(f"SEQ{len(self.orders)}").order
        self.orders += [order] if order is not None else []

    def do_deliver(self, _which: int, how: int) -> None:
        for command in self.bench.source.pending([self.bench.seeded.pile_code]):
            self.bench.source.mark(command.id, CommandState.SENT, "")
            if how == 0:
                self.bench.source.mark(command.id, CommandState.PENDING, "the link ended before it was sent")
            elif how == 1:
                self.bench.source.mark(command.id, CommandState.FAILED, "no answer")

    def do_answer(self, which: int, how: int) -> None:
        reason = (StartReason.NONE, StartReason.NONE, StartReason.NOT_PLUGGED, StartReason.BUSY)[how]
        self.bench.tell(self.bench.answer(self.order(which), ok=reason is StartReason.NONE, reason=reason))

    def do_sample(self, which: int, how: int) -> None:
        self.bench.tell(*[self.bench.sample(self.order(which), ENERGIES[how])] * (1 + how % 2))

    def do_idle(self, _which: int, how: int) -> None:
        idle = replace(self.bench.sample(None, status=ConnectorStatus.IDLE), plugged=how > 1)
        self.bench.tell(*[idle] * (1 + how % 2))

    def do_fault(self, which: int, how: int) -> None:
        status = (ConnectorStatus.FAULT, ConnectorStatus.OFFLINE)[how % 2]
        self.bench.tell(self.bench.sample(self.order(which), ENERGIES[how], status=status))

    def do_stop(self, which: int, _how: int) -> None:
        self.bench.stop(self.order(which))

    def do_stop_answer(self, which: int, how: int) -> None:
        number = self.order(which).trade_number if how > 1 else None
        ok = how % 2 == 0
        reason = StopReason.NONE if ok else StopReason.NOT_CHARGING
        self.bench.tell(StopAnswered(number, self.bench.seeded.pile_code, 1, ok, reason, self.bench.clock.now()))

    def do_record(self, which: int, how: int) -> None:
        order = self.order(which)
        record = self.bench.record(order, ENERGIES[how])
        self.bench.tell(record, record)
        self.due.setdefault(order.id, Decimal(ENERGIES[how]))

    def do_junk_record(self, which: int, how: int) -> None:
        record = self.bench.record(self.order(which), ENERGIES[how])
        self.bench.tell(replace(record, connector_no=2) if how % 2 else replace(record, complete=False, rates=()))

    def do_link_loss(self, _which: int, how: int) -> None:
        with self.bench.db.system("test") as session:
            for connector in session.scalars(select(Connector)):
                connector.pile.connection_id = "c1"
        connection = "c1" if how else "c0"
        self.bench.tell(PileOffline(self.bench.seeded.pile_code, connection, "silent", self.bench.clock.now()))

    def do_log_in(self, _which: int, how: int) -> None:
        log_in(self.bench, f"c{how}")

    def do_unasked(self, which: int, how: int) -> None:
        """The pile charges under a number of its own; later samples of it and its record may come at any time."""
        number = UNASKED[which]
        self.bench.tell(replace(self.bench.sample(None, ENERGIES[how]), trade_number=number))
        with self.bench.db.read_system("test") as session:
            found = session.scalars(select(ChargeOrder).where(ChargeOrder.trade_number == number)).one_or_none()
        if found is not None and all(order.id != found.id for order in self.orders):
            self.orders.append(found)

    def do_foreign_record(self, which: int, how: int) -> None:
        """A record under a number that no order has: billed to an order that waits for one, or parked. Once is enough."""
        number = FOREIGN[which]
        record = replace(self.bench.record(self.order(which), ENERGIES[how]), trade_number=number)
        self.bench.tell(record)
        self._claimed()

    def do_sweep(self, _which: int, _how: int) -> None:
        sweep_parked(self.bench.db, self.bench.context)
        self._claimed()

    def do_attach(self, which: int, _how: int) -> None:
        """Somebody says of a parked record whose it is, rightly or wrongly."""
        with self.bench.db.read_system("test") as session:
            parked = session.scalars(select(TradeRecordRow.id).where(TradeRecordRow.state == PARKED)).first()
        if parked is None:
            return
        try:
            with self.bench.db.session(self.bench.seeded.tenant_id) as session:
                attach_record(session, self.bench.context, parked, self.order(which).id, Staff("cli:li", "said so"))
        except Conflict:
            return
        self._claimed()

    def do_reserve(self, which: int, how: int) -> None:
        wish = Wish(
            connector_code=self.bench.connector, desk="app:green", request_id=f"R{which}{how}{len(self.orders)}",
            minutes=5, asked_by="test", payer=Holder(plate="浙A12345"),
        )  # fmt: skip
        with self.bench.db.session(self.bench.seeded.tenant_id) as session:
            reserve(session, self.bench.context, wish)

    def do_payer_start(self, _which: int, how: int) -> None:
        limits: dict[str, object] = {"limit_yuan": Decimal(5)} if how else {"limit_minutes": 5}
        order = self.bench.start(f"SEQ{len(self.orders)}", None, plate="浙A12345", **limits).order
        self.orders += [order] if order is not None else []

    def _claimed(self) -> None:
        """What each record that was recognised by something else than its number should be billed."""
        with self.bench.db.read_system("test") as session:
            rows = session.scalars(
                select(TradeRecordRow).where(
                    TradeRecordRow.state == APPLIED, TradeRecordRow.matched_by.is_distinct_from("trade_number")
                )
            ).all()
        for row in rows:
            assert row.order_id is not None
            self.due.setdefault(row.order_id, row.told["total_energy_kwh"])

    def do_wait(self, _which: int, how: int) -> None:
        self.bench.pass_time(WAITS_S[how])

    def run(self, name: str, which: int, how: int) -> None:
        """One step; what is about an order needs one."""
        if not self.orders:
            self.do_start(0, 0)
        self.steps[name](which, how)
        with self.bench.db.read_system("test") as session:
            states = session.scalars(select(ChargeOrder.state)).all()
        assert sum(state in OPEN_STATES for state in states) <= 1

    def end(self) -> None:
        """The pile says that nothing is going on, and everybody's patience runs out."""
        for seconds in (0, 31, 100, CHARGE_SILENCE_S + 1, 100):
            self.bench.tell(replace(self.bench.sample(None, status=ConnectorStatus.IDLE), plugged=False))
            self.bench.pass_time(seconds)
            sweep_reservations(self.bench.db, self.bench.context)

    def check(self) -> None:
        for order in map(self.bench.order, self.orders):
            assert order.current_state not in OPEN_STATES
            self._check_bill(order)
            self._check_story(order)
        with self.bench.db.read_system("test") as session:
            connector = session.scalars(select(Connector).where(Connector.code == self.bench.connector)).one()
            told = session.scalars(select(DomainEvent.version).where(DomainEvent.subject_id == connector.id)).all()
            assert (connector.state, sorted(told)) == ("idle", list(range(1, connector.version + 1)))
        assert self.bench.start("AFTERWARDS").refusal is None

    def _check_bill(self, order: ChargeOrder) -> None:
        due = self.due.get(order.id)
        if due:
            assert (order.state, order.energy_kwh) == (OrderState.SETTLED, due)
            assert sum(d.energy_kwh for d in order.details) == due
            assert order.total_fee == sum(d.elec_fee + d.service_fee for d in order.details)
        elif due is None:
            assert (order.state == OrderState.SETTLED, order.energy_kwh) == (False, None)
        assert (order.state == OrderState.SETTLED) == (order.total_fee is not None)
        with self.bench.db.read_system("test") as session:
            rows = session.scalars(select(TradeRecordRow).where(TradeRecordRow.order_id == order.id)).all()
        assert sum(row.state == APPLIED for row in rows) == (due is not None)

    def _check_story(self, order: ChargeOrder) -> None:
        with self.bench.db.read_system("test") as session:
            lived = [LIFE.index(OrderState(step.state)) for step in transitions(session, order.id)]
            query = select(DomainEvent).where(DomainEvent.subject_id == order.id).order_by(DomainEvent.version)
            events = session.scalars(query).all()
        assert lived == sorted(lived)
        assert [event.version for event in events] == list(range(1, order.version + 1))
        kinds = [event.type for event in events]
        assert len(kinds) == len(set(kinds))
        assert (kinds[-1] == "order.settled") == (order.state == OrderState.SETTLED)


STEP = st.tuples(
    st.sampled_from([name.removeprefix("do_") for name in dir(History) if name.startswith("do_")]),
    st.integers(0, 2),
    st.integers(0, 3),
)


@pytest.mark.sqlite(reason="the histories are of one connector and one writer; races have their own tests")
@settings(
    max_examples=20,
    deadline=None,
    # Without shrinking: each history takes a database of its own, and 20 steps can be read as they are.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=3, max_size=20))
def test_any_history_ends_with_each_record_billed_once_and_the_connector_free(
    databases: Databases, steps: list[tuple[str, int, int]]
) -> None:
    fresh = databases.fresh()
    db = Database(fresh.url, synchronous="NORMAL")
    try:
        history = History(db)
        for step in steps:
            history.run(*step)
        history.end()
        history.check()
    finally:
        db.close()
        databases.drop(fresh)
