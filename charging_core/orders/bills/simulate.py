"""A tariff over past orders: what each would have cost, and all of them together. Reads, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from charging_core.clock import to_china
from charging_core.db import HubSession
from charging_core.money import ZERO
from charging_core.orders.billing import Basis, BillDetail
from charging_core.orders.bills.quote import rebill
from charging_core.orders.model import ChargeOrder, OrderDetail
from charging_core.orders.state import OrderState
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import RateClass
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.terms import discounted

PlanFor = Callable[[str], TariffPlan | None]
"""The plan to try on orders of the tariff with this code; none leaves them out."""
_AT_ONCE = 500
"""Orders in memory at a time."""


@dataclass(frozen=True, slots=True)
class Past:
    """Which settled orders: settled in `[since, until)`, of one station or of all."""

    since: datetime
    until: datetime
    station_id: str | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """One order by its own bill and by the tried plan; yuan."""

    order_id: str
    tariff: str
    started_at: datetime
    energy_kwh: Decimal
    old_fee: Decimal
    new_elec_fee: Decimal
    new_service_fee: Decimal

    @property
    def new_fee(self) -> Decimal:
        """What it would have cost."""
        return self.new_elec_fee + self.new_service_fee

    @property
    def difference(self) -> Decimal:
        """How much more."""
        return self.new_fee - self.old_fee

    def row(self) -> dict[str, Any]:
        """As people read it."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "new_fee": self.new_fee,
            "difference": self.difference,
        }


def simulate(session: HubSession, past: Past, plan_for: PlanFor) -> Iterator[Compared]:
    """Every order that a plan is given for, oldest first: its energy over time by the plan's prices of the day it began."""
    query = (
        select(ChargeOrder, Tariff.code)
        .join(TariffVersion, TariffVersion.id == ChargeOrder.tariff_version_id)
        .join(Tariff, Tariff.id == TariffVersion.tariff_id)
        .where(
            ChargeOrder.state == OrderState.SETTLED,
            ChargeOrder.settled_at >= past.since,
            ChargeOrder.settled_at < past.until,
        )
        .options(selectinload(ChargeOrder.details))
        .order_by(ChargeOrder.id)
        .limit(_AT_ONCE)
    )
    if past.station_id is not None:
        query = query.where(ChargeOrder.station_id == past.station_id)
    after = ""
    while found := session.execute(query.where(ChargeOrder.id > after)).all():
        after = found[-1][0].id
        for order, code in found:
            plan = plan_for(code)
            if plan is not None and order.details:
                yield _compared(order, code, plan)


def summed(lines: list[Compared]) -> dict[str, Decimal]:
    """The sums over all of them."""
    names = ("energy_kwh", "old_fee", "new_fee", "difference")
    return {name: sum((getattr(line, name) for line in lines), ZERO) for name in names}


def _compared(order: ChargeOrder, code: str, plan: TariffPlan) -> Compared:
    lines = [_line(detail) for detail in order.details]
    started = lines[0].started_at
    discount = plan.terms.discount_for(order.origin, order.created_at)
    bill = rebill(lines, discounted(plan.on(to_china(started).date()), discount))
    return Compared(
        order_id=order.id,
        tariff=code,
        started_at=started,
        energy_kwh=bill.energy_kwh,
        old_fee=order.total_fee or ZERO,
        new_elec_fee=bill.elec_fee,
        new_service_fee=bill.service_fee,
    )


def _line(detail: OrderDetail) -> BillDetail:
    return BillDetail(
        detail.started_at, detail.ended_at, RateClass(detail.rate_class), detail.elec_price, detail.service_price,
        detail.energy_kwh, detail.elec_fee, detail.service_fee, Basis(detail.basis),
    )  # fmt: skip
