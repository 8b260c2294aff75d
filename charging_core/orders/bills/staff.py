"""What the staff may do to an order by hand: end, close, re-settle, refund, accept. Each needs a reason and leaves an `OrderAction`.

Every version of a bill is kept; a changed one is told as `order.resettled` with the order as it stands then. All inside the caller's
transaction, the order's row held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.money import ZERO, fen
from charging_core.orders.billing import MeterSample, bill_of_course
from charging_core.orders.bills.facts import ChargeFacts
from charging_core.orders.bills.keep import Entry, last_bill, samples_of, write_bill
from charging_core.orders.bills.model import REASON_LENGTH, BillKind, OrderAction, OrderBill, StaffAction
from charging_core.orders.life import lock_order, move, publish, tell_stopped
from charging_core.orders.model import NO_RECORD, ChargeOrder, Origin, StopReason
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import send_stop
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderEvent, OrderState
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import RateClass
from charging_core.tariffs.service import periods_of, version_by_id

_SHOWN = ("state", "review", "energy_kwh", "total_fee", "tariff_version_id")


@dataclass(frozen=True, slots=True)
class Staff:
    """Who does it, and why. Raises `InvalidInput` without a reason."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        """A reason is what the audit is for."""
        if not self.reason.strip():
            raise InvalidInput("reason", "a reason is needed")
        if len(self.reason) > REASON_LENGTH:
            raise InvalidInput("reason", f"a reason has at most {REASON_LENGTH} characters")


@dataclass(frozen=True, slots=True)
class Correction:
    """What a re-settlement changes: another version (number) of the order's tariff, other energies (kWh per class), or both."""

    version: int | None = None
    energies: Mapping[RateClass, Decimal] | None = None


def end_order(session: HubSession, context: OrderContext, order_id: str, staff: Staff) -> ChargeOrder:
    """End an open order without waiting for its pile: failed when it never charged, else abnormal and open to a late record.

    The pile is asked to stop all the same. Raises `NotFound`, `Conflict` for an order that is not open.
    """
    order, before = held(session, order_id)
    if order.current_state not in OPEN_STATES:
        raise Conflict(f"order {order.id} has ended already: {order.state}")
    _end(session, context, order)
    note(session, context, order, StaffAction.END, staff, before)
    return order


def close_order(
    session: HubSession, context: OrderContext, order_id: str, staff: Staff, *, by_samples: bool = False
) -> ChargeOrder:
    """Settle an order whose record does not come: for nothing, or by what its samples metered. One that is open is ended first.

    A record that comes after all makes a new version of the bill (P4). Raises `NotFound`, `Conflict` for an order with a bill.
    """
    order, before = held(session, order_id)
    if order.current_state in (OrderState.SETTLED, OrderState.FAILED):
        raise Conflict(f"order {order.id} has ended already: {order.state}")
    if order.current_state in OPEN_STATES:
        _end(session, context, order)
    if order.current_state is OrderState.ABNORMAL:
        _settle_by_hand(session, context, order, staff, by_samples=by_samples)
    note(session, context, order, StaffAction.CLOSE, staff, before)
    return order


def resettle_order(
    session: HubSession, context: OrderContext, order_id: str, staff: Staff, correction: Correction
) -> ChargeOrder:
    """Make the bill anew from its facts, with a correction; what was given back stays so, the review is done with it.

    Raises `NotFound`, `Conflict` for an order without a bill or a bill that stays the same, `InvalidInput` for a wrong correction.
    """
    order, before = held(session, order_id)
    last = _billed(session, order)
    facts = ChargeFacts.from_rows(last.facts)
    if correction.energies is not None:
        facts = facts.counted(_energies(correction.energies))
    if correction.version is not None:
        order.tariff_version_id = _version(session, order, correction.version).id
    try:
        write_bill(session, order, facts, Entry(BillKind.RESETTLED, context.clock.now(), staff.by, staff.reason))
    except ValueError as error:
        raise InvalidInput("energies", str(error)) from error
    if _same(last, order):
        raise Conflict(f"the bill of order {order.id} stays the same")
    order.review = None
    publish(session, context, order, "order.resettled")
    note(session, context, order, StaffAction.RESETTLE, staff, before)
    return order


def refund_order(
    session: HubSession, context: OrderContext, order_id: str, staff: Staff, amount: Decimal
) -> ChargeOrder:
    """Give `amount` yuan of a bill back: a new version that is less by it, service fees first.

    Raises `NotFound`, `Conflict` for an order without a bill, `InvalidInput` for an amount that is no whole fen or beyond the bill.
    """
    order, before = held(session, order_id)
    last = _billed(session, order)
    if amount <= 0 or amount != fen(amount):
        raise InvalidInput("amount", "an amount above 0 with at most two decimals")
    if amount > last.total_fee:
        raise InvalidInput("amount", f"{amount} is more than the bill of {fen(last.total_fee)} yuan")
    entry = Entry(BillKind.REFUND, context.clock.now(), staff.by, staff.reason)
    write_bill(session, order, ChargeFacts.from_rows(last.facts), entry, last.refund_yuan + amount)
    publish(session, context, order, "order.resettled")
    note(session, context, order, StaffAction.REFUND, staff, before)
    return order


def accept_review(session: HubSession, context: OrderContext, order_id: str, staff: Staff) -> ChargeOrder:
    """Take an order out of the review queue: our bill stands. Raises `NotFound`, `Conflict` when there is nothing to review."""
    order, before = held(session, order_id)
    if order.review is None:
        raise Conflict(f"order {order.id} is not under review")
    order.review = None
    note(session, context, order, StaffAction.ACCEPT, staff, before)
    return order


def held(session: HubSession, order_id: str) -> tuple[ChargeOrder, dict[str, Any]]:
    """The order, its row held, and how it stands before it is changed. Raises `NotFound`."""
    order = lock_order(session, order_id)
    if order is None:
        raise NotFound(f"order {order_id}")
    return order, {name: getattr(order, name) for name in _SHOWN}


def _billed(session: HubSession, order: ChargeOrder) -> OrderBill:
    last = last_bill(session, order.id)
    if last is None or order.current_state is not OrderState.SETTLED:
        raise Conflict(f"order {order.id} has no bill: {order.state}")
    return last


def note(
    session: HubSession,
    context: OrderContext,
    order: ChargeOrder,
    action: StaffAction,
    staff: Staff,
    before: dict[str, Any],
) -> None:
    """Put into the order's audit what was done to it, by whom and why; `before` is what `held` gave."""
    after = {name: getattr(order, name) for name in _SHOWN}
    session.add(
        OrderAction(
            tenant_id=order.tenant_id,
            order_id=order.id,
            at=context.clock.now(),
            action=action,
            by=staff.by,
            reason=staff.reason,
            before=before,
            after=after,
        )
    )
    session.flush()


def _end(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    now = context.clock.now()
    waiting = order.current_state in BEFORE_CHARGE
    if order.current_state is not OrderState.ENDED_NO_RECORD and not (
        waiting and context.commands.cancel_start(session, order.id)
    ):
        order.stop_asked_at, order.stop_asked_by = now, order.stop_asked_by or Origin.CONSOLE
        send_stop(session, context, order)
    if waiting:
        move(session, context, order, OrderEvent.START_TIMED_OUT, "ended by the staff")
    elif order.started_at is None:
        move(session, context, order, OrderEvent.NEVER_STARTED, "ended by the staff")
    else:
        tell_stopped(session, context, order)
        order.review = order.review or NO_RECORD
        move(session, context, order, OrderEvent.RECORD_TIMED_OUT, "ended by the staff")


def _settle_by_hand(
    session: HubSession, context: OrderContext, order: ChargeOrder, staff: Staff, *, by_samples: bool
) -> None:
    now = context.clock.now()
    facts = _metered(session, order, now, by_samples=by_samples)
    energy = sum(facts.energy_by_class.values(), ZERO)
    kind = BillKind.ESTIMATE if by_samples else BillKind.CLOSED
    write_bill(session, order, facts, Entry(kind, now, staff.by, staff.reason))
    order.stop_reason = order.stop_reason or StopReason.OTHER
    order.review = None
    order.settled_at = now
    move(session, context, order, OrderEvent.RECORD if energy > 0 else OrderEvent.EMPTY_RECORD, "closed by the staff")
    publish(session, context, order, "order.settled")


def _metered(session: HubSession, order: ChargeOrder, now: datetime, *, by_samples: bool) -> ChargeFacts:
    start = order.started_at or order.created_at
    course = [MeterSample(start, ZERO)]
    for sample in samples_of(session, order.id) if by_samples else ():
        if sample.at > course[-1].at and sample.energy_kwh >= course[-1].energy_kwh:
            course.append(sample)
    end = max(course[-1].at, order.ended_at or start)
    bill = bill_of_course(course, periods_of(version_by_id(session, order.tariff_version_id)))
    energies: dict[RateClass, Decimal] = {}
    for line in bill.details:
        energies[line.rate_class] = energies.get(line.rate_class, ZERO) + line.energy_kwh
    return ChargeFacts(energies, start, min(end, now), total_energy=bill.energy_kwh)


def _energies(wanted: Mapping[RateClass, Decimal]) -> dict[RateClass, Decimal]:
    for energy in wanted.values():
        if energy < 0 or -int(energy.as_tuple().exponent) > 4:
            raise InvalidInput("energies", "kWh of at least 0 with at most four decimals")
    return dict(wanted)


def _version(session: HubSession, order: ChargeOrder, number: int) -> TariffVersion:
    tariff_id = version_by_id(session, order.tariff_version_id).tariff_id
    query = select(TariffVersion).where(TariffVersion.tariff_id == tariff_id, TariffVersion.number == number)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise InvalidInput("version", f"the order's tariff has no version {number}")
    return found


def _same(last: OrderBill, order: ChargeOrder) -> bool:
    now = [(d.rate_class, d.energy_kwh, d.elec_fee, d.service_fee) for d in order.details]
    return now == [(d["class"], d["energy_kwh"], d["elec_fee"], d["service_fee"]) for d in last.details]
