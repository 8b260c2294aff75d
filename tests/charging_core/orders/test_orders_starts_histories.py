"""Random histories of a fleet's account: whatever is shown, told twice, lost, topped up or corrected, it pays what its bills say."""

from __future__ import annotations

import contextlib
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
from charging_core.errors import Conflict, InvalidInput
from charging_core.members.model import Member
from charging_core.orders.bills.staff import Correction, Staff, close_order, refund_order, resettle_order
from charging_core.orders.limits import CHARGE_SILENCE_S
from charging_core.orders.model import ChargeOrder
from charging_core.orders.starts.facts import Parallel, ShownBy
from charging_core.orders.starts.funds import free_yuan, top_up
from charging_core.orders.starts.groups import sweep_groups
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.tariffs.periods import RateClass
from tests.charging_core.members.members_support import PHYSICAL, VIN, account, note
from tests.charging_core.orders.orders_support import Bench
from tests.charging_core.orders.stand_support import Stand
from tests.support.databases import Databases

ENERGIES = ("0", "0.0001", "3.7", "42.3456")
WAITS_S = (5, 16, 95, 400)
WHO = Staff("token:desk", "核对")


class Account:
    """A stand, the orders that were made there, and what was put on the account."""

    def __init__(self, db: Database) -> None:
        self.stand = Stand(Bench(db, ManualClock(datetime(2026, 3, 2, 0, 0, tzinfo=UTC))))
        self.bench = self.stand.bench
        self.put = Decimal(100)
        self.steps: dict[str, Callable[[int, int], None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def orders(self) -> list[ChargeOrder]:
        with self.stand.db.read(self.stand.tenant) as session:
            return list(session.scalars(select(ChargeOrder).order_by(ChargeOrder.id)))

    def order(self, which: int) -> ChargeOrder | None:
        known = self.orders()
        return known[-1 - which % len(known)] if known else None

    def do_card(self, which: int, how: int) -> None:
        connector = self.bench.seeded.connectors[which % 2]
        together = Parallel("260302080000", which % 2 == 0) if how == 0 else None
        self.stand.show(PHYSICAL, connector_code=connector, parallel=together)

    def do_vin(self, which: int, _how: int) -> None:
        self.stand.show(VIN, by=ShownBy.VIN, connector_code=self.bench.seeded.connectors[which % 2])

    def do_sample(self, which: int, how: int) -> None:
        order = self.order(which)
        if order is not None:
            sample = self.bench.sample(order, ENERGIES[how % len(ENERGIES)])
            self.bench.tell(replace(sample, connector_no=self._number(order)))

    def do_record(self, which: int, how: int) -> None:
        order = self.order(which)
        if order is not None:
            self.bench.tell(self.bench.record(order, ENERGIES[how % len(ENERGIES)], connector_no=self._number(order)))

    def do_wait(self, _which: int, how: int) -> None:
        self.bench.pass_time(WAITS_S[how % len(WAITS_S)])
        sweep_groups(self.stand.db, self.bench.context)

    def do_top_up(self, which: int, how: int) -> None:
        """The same reference again and again: it counts once."""
        amount = Decimal(which + 1)

        def pay(session: object) -> None:
            _, fresh = top_up(session, self.bench.context, self.stand.member, amount, note(reference=f"{which}"))  # type: ignore[arg-type]
            self.put += amount if fresh else 0

        for _ in range(1 + how % 2):
            self.stand.write(pay)

    def do_correct(self, which: int, how: int) -> None:
        order, context = self.order(which), self.bench.context
        if order is None:
            return
        energies = {RateClass.FLAT: Decimal(ENERGIES[how % len(ENERGIES)])}
        acts: tuple[Callable[[object], object], ...] = (
            lambda s: resettle_order(s, context, order.id, WHO, Correction(energies=energies)),  # type: ignore[arg-type]
            lambda s: refund_order(s, context, order.id, WHO, Decimal("0.50")),  # type: ignore[arg-type]
            lambda s: close_order(s, context, order.id, WHO, by_samples=True),  # type: ignore[arg-type]
        )
        with contextlib.suppress(Conflict, InvalidInput):
            self.stand.write(acts[how % len(acts)])

    def _number(self, order: ChargeOrder) -> int:
        with self.stand.db.read(self.stand.tenant) as session:
            return int(session.get_one(ChargeOrder, order.id).connector.number)

    def check(self) -> None:
        """At any time: the balance is what was put there less what the bills of today say."""
        balance, _ = account(self.stand.db, self.stand.tenant)
        orders = self.orders()
        assert balance == self.put - sum((order.total_fee or Decimal(0) for order in orders), Decimal(0))
        with self.stand.db.read(self.stand.tenant) as session:
            assert free_yuan(session, session.get_one(Member, self.stand.member)) >= 0
        running = [order.connector_id for order in orders if order.current_state in OPEN_STATES]
        assert len(running) == len(set(running))

    def end(self) -> None:
        for _ in range(3):
            self.bench.pass_time(CHARGE_SILENCE_S + 1)
            sweep_groups(self.stand.db, self.bench.context)
        assert not [order for order in self.orders() if order.current_state in OPEN_STATES]
        ended = {OrderState.SETTLED, OrderState.FAILED, OrderState.ABNORMAL}
        assert {order.current_state for order in self.orders()} <= ended


STEP = st.tuples(
    st.sampled_from(["card", "card", "vin", "sample", "sample", "record", "record", "wait", "top_up", "correct"]),
    st.integers(0, 3),
    st.integers(0, 3),
)


@pytest.mark.sqlite(reason="one account and one writer; races have their own tests")
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=4, max_size=20))
def test_any_history_leaves_the_account_with_what_its_bills_say(
    databases: Databases, steps: list[tuple[str, int, int]]
) -> None:
    fresh = databases.fresh()
    db = Database(fresh.url, synchronous="NORMAL")
    try:
        fleet = Account(db)
        for name, which, how in steps:
            fleet.steps[name](which, how)
        fleet.check()
        fleet.end()
        fleet.check()
    finally:
        db.close()
        databases.drop(fresh)
