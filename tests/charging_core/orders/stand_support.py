"""A pile with two connectors at which members show their cards, played by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from charging_core.orders.model import ChargeOrder
from charging_core.orders.starts.facts import ShownBy, StartAsked, StartDecision
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandKind
from charging_core.piles.store.starts import TableStartDesk
from tests.charging_core.members.members_support import PHYSICAL, enrol
from tests.charging_core.orders.orders_support import Bench


class Stand:
    """A pile with two connectors at which members show their cards."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.db, self.tenant = bench.db, bench.seeded.tenant_id
        self.member = enrol(bench.db, bench.clock, self.tenant)
        self.desk = TableStartDesk(bench.db, bench.context)
        self.first, self.second = bench.seeded.connectors

    def show(self, card: str = PHYSICAL, **more: Any) -> StartDecision:
        asked = StartAsked(self.first, ShownBy.CARD, card)
        return self.desk.decide(replace(asked, **more))

    def order(self, decision: StartDecision) -> ChargeOrder:
        with self.db.read(self.tenant) as session:
            query = select(ChargeOrder).where(ChargeOrder.trade_number == decision.trade_number)
            return session.scalars(query).one()

    def orders(self) -> int:
        with self.db.read(self.tenant) as session:
            return session.scalar(select(func.count()).select_from(ChargeOrder)) or 0

    def charging(self, **more: Any) -> ChargeOrder:
        order = self.order(self.show(**more))
        number = int(more.get("connector_code", self.first)[-2:])
        self.bench.tell(replace(self.bench.sample(order), connector_no=number))
        return order

    def write(self, work: Callable[[Any], object]) -> None:
        with self.db.session(self.tenant) as session:
            work(session)

    def commands(self, kind: CommandKind) -> list[PileCommand]:
        with self.db.read(self.tenant) as session:
            return list(session.scalars(select(PileCommand).where(PileCommand.kind == kind).order_by(PileCommand.id)))
