"""Making a version of an order's bill: the one place that writes what an order costs. Inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.members.ledger import Note, charge_for
from charging_core.members.model import MovementKind
from charging_core.money import ZERO
from charging_core.orders.billing import Bill, BillDetail, MeterSample, make_bill
from charging_core.orders.bills.checks import Check, cross_checks
from charging_core.orders.bills.facts import ChargeFacts
from charging_core.orders.bills.model import BillKind, OrderBill
from charging_core.orders.guard import OverLimit
from charging_core.orders.model import ChargeOrder, ChargeSample, OrderDetail
from charging_core.orders.snapshot import detail_object
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.service import periods_of, plan_of, version_by_id
from charging_core.tariffs.terms import Discount, discounted


@dataclass(frozen=True, slots=True)
class Entry:
    """Why a version of a bill is made: from what, at which instant, by whom, and why if a person wanted it."""

    kind: BillKind
    at: datetime
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Calculation:
    """A bill with what explains it: what is waived above the payer's limit and given back, list periods, the payer's discount, the same
    at list prices, cross-checks."""

    bill: Bill
    waived: Decimal
    refund: Decimal
    listed: Bill
    periods: DayPeriods
    discount: Discount | None
    checks: list[Check]


def calculate(
    session: HubSession, order: ChargeOrder, facts: ChargeFacts, version_id: str, refund: Decimal
) -> Calculation:
    """The bill of an order's charge by a tariff version, less what is waived above the payer's limit by the order's rule, and less what
    is given back (never more than it costs). Writes nothing.

    Raises `ValueError` for a class that the tariff does not have, `NotFound` for an unknown version.
    """
    version = version_by_id(session, version_id)
    periods = periods_of(version)
    discount = plan_of(version).terms.discount_for(order.origin, order.created_at)
    samples = samples_of(session, order.id)
    listed = make_bill(facts.energy_by_class, facts.started_at, facts.ended_at, periods, samples)
    bill = listed
    if discount is not None:
        own = discounted(periods, discount)
        bill = make_bill(facts.energy_by_class, facts.started_at, facts.ended_at, own, samples)
    waived = _waived(order, bill)
    refund = min(refund, bill.total_fee - waived)
    checks = cross_checks(facts, listed, periods)
    return Calculation(bill.less(waived + refund), waived, refund, listed, periods, discount, checks)


def _waived(order: ChargeOrder, bill: Bill) -> Decimal:
    """What stands above the payer's limit and is not charged."""
    if order.limit_yuan is None or order.over_limit != OverLimit.CAPPED:
        return ZERO
    return max(ZERO, bill.total_fee - order.limit_yuan)


def write_bill(
    session: HubSession, order: ChargeOrder, facts: ChargeFacts, entry: Entry, refund: Decimal | None = None
) -> Calculation:
    """Calculate by the order's tariff version, put the result on the order, and keep it as a new version of its bill.

    `refund` is all that is given back from now on; none: as much as before. Raises as `calculate` does.
    """
    last = last_bill(session, order.id)
    wanted = refund if refund is not None else last.refund_yuan if last else ZERO
    made = calculate(session, order, facts, order.tariff_version_id, wanted)
    order.started_at, order.ended_at = facts.started_at, facts.ended_at
    order.energy_kwh, order.elec_fee, order.service_fee = (
        made.bill.energy_kwh,
        made.bill.elec_fee,
        made.bill.service_fee,
    )
    order.energy_by_class = {rate_class.value: energy for rate_class, energy in facts.energy_by_class.items()}
    order.details = [_detail_row(order, number, line) for number, line in enumerate(made.bill.details, start=1)]
    session.add(
        OrderBill(
            tenant_id=order.tenant_id,
            order_id=order.id,
            number=last.number + 1 if last else 1,
            kind=entry.kind,
            made_at=entry.at,
            made_by=entry.by,
            reason=entry.reason,
            tariff_version_id=order.tariff_version_id,
            discount=made.discount.name if made.discount else None,
            energy_kwh=made.bill.energy_kwh,
            elec_fee=made.bill.elec_fee,
            service_fee=made.bill.service_fee,
            refund_yuan=made.refund,
            limit_yuan=order.limit_yuan,
            waived_yuan=made.waived,
            facts=facts.rows(),
            details=[detail_object(detail) for detail in order.details],
            checks=[check.row() for check in made.checks],
        )
    )
    session.flush()
    _charge_member(session, order, last.number + 1 if last else 1, entry)
    return made


def _charge_member(session: HubSession, order: ChargeOrder, number: int, entry: Entry) -> None:
    """The payer's account follows the bill in the same transaction: the first version is debited, later ones move the difference."""
    if order.member_id is None or order.total_fee is None:
        return
    later = MovementKind.REFUND if entry.kind is BillKind.REFUND else MovementKind.CORRECTION
    kind = MovementKind.DEBIT if number == 1 else later
    note = Note(entry.by, entry.at, entry.reason)
    charge_for(session, order.member_id, order.id, number, order.total_fee, kind, note)


def bills_of(session: HubSession, order_id: str) -> list[OrderBill]:
    """Every version of an order's bill, oldest first."""
    return list(session.scalars(select(OrderBill).where(OrderBill.order_id == order_id).order_by(OrderBill.number)))


def last_bill(session: HubSession, order_id: str) -> OrderBill | None:
    """The version that counts; none before the first settlement."""
    query = select(OrderBill).where(OrderBill.order_id == order_id).order_by(OrderBill.number.desc())
    return session.scalars(query.limit(1)).one_or_none()


def samples_of(session: HubSession, order_id: str) -> list[MeterSample]:
    """The meter as it was read on the way, oldest first."""
    query = select(ChargeSample).where(ChargeSample.order_id == order_id).order_by(ChargeSample.at, ChargeSample.id)
    return [MeterSample(sample.at, sample.energy_kwh) for sample in session.scalars(query)]


def _detail_row(order: ChargeOrder, number: int, line: BillDetail) -> OrderDetail:
    return OrderDetail(
        tenant_id=order.tenant_id,
        number=number,
        started_at=line.started_at,
        ended_at=line.ended_at,
        rate_class=line.rate_class,
        elec_price=line.elec_price,
        service_price=line.service_price,
        energy_kwh=line.energy_kwh,
        elec_fee=line.elec_fee,
        service_fee=line.service_fee,
        basis=line.basis,
    )
