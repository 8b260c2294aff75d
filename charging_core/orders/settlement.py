"""From trade record to bill (DESIGN way 5). The platform's own computation is the bill; the pile's amount is evidence (P5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from charging_core.db import HubSession
from charging_core.errors import Conflict
from charging_core.orders.bills.checks import doubts
from charging_core.orders.bills.facts import ChargeFacts
from charging_core.orders.bills.keep import Entry, bills_of, write_bill
from charging_core.orders.bills.model import PLATFORM, BillKind
from charging_core.orders.facts import TradeFacts
from charging_core.orders.life import lock_order, move, publish, tell_stopped
from charging_core.orders.model import NO_RECORD, ChargeOrder, Origin, StopReason
from charging_core.orders.ports import OrderContext
from charging_core.orders.state import OrderEvent, OrderState

CLOCK_TOLERANCE = timedelta(minutes=10)
"""A pile's clock further off than this from what we saw ourselves is not believed (P6)."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Who of the staff says that a record is an order's, and why."""

    by: str
    reason: str


def settle(
    session: HubSession, context: OrderContext, order_id: str, record: TradeFacts, hand: ByHand | None = None
) -> bool:
    """Bill the order by its first record. False when a record has settled it already, or it is unknown: nothing changes then (P1).

    A record without energy for an order that never charged closes it as failed. One for an order that the staff had closed without a
    record makes a new version of the bill, told as `order.resettled` (P4); what was refunded stays so. Raises `Conflict` when they had
    also corrected that bill: only a person (`hand`) may overrule them.
    """
    order = lock_order(session, order_id)
    if order is None:
        return False
    if order.state == OrderState.SETTLED:
        return _settle_closed(session, context, order, record, hand)
    happened = _what_happened(order, record)
    order.stop_code = record.stop_code
    order.vin = order.vin or record.vin
    if happened is not OrderEvent.RECORD and order.started_at is None:
        order.failure = order.failure or f"pile code 0x{record.stop_code:02X}"
    else:
        order.stop_reason = _stop_reason(order, record)
        _bill(session, order, record, _entry(context, hand))
    if not move(session, context, order, happened, f"stop code 0x{record.stop_code:02X}"):
        return False
    if order.state == OrderState.SETTLED:
        order.settled_at = context.clock.now()
        tell_stopped(session, context, order)
        publish(session, context, order, "order.settled")
    return True


def _settle_closed(
    session: HubSession, context: OrderContext, order: ChargeOrder, record: TradeFacts, hand: ByHand | None
) -> bool:
    kinds = {bill.kind for bill in bills_of(session, order.id)}
    if not kinds or BillKind.RECORD in kinds:
        return False
    if BillKind.RESETTLED in kinds and hand is None:
        raise Conflict(f"the bill of order {order.id} was corrected by hand before its record came")
    order.stop_code = record.stop_code
    order.stop_reason = _stop_reason(order, record)
    _bill(session, order, record, _entry(context, hand))
    publish(session, context, order, "order.resettled")
    return True


def _what_happened(order: ChargeOrder, record: TradeFacts) -> OrderEvent:
    # Firmware exists that fills only the total or only the rates.
    if record.total_energy > 0 or any(energy > 0 for energy in record.energy_by_class.values()):
        return OrderEvent.RECORD
    stopped_unstarted = order.started_at is None and order.current_state is OrderState.STOPPING
    return OrderEvent.NEVER_STARTED if stopped_unstarted else OrderEvent.EMPTY_RECORD


def _entry(context: OrderContext, hand: ByHand | None) -> Entry:
    now = context.clock.now()
    return Entry(BillKind.RECORD, now, PLATFORM) if hand is None else Entry(BillKind.RECORD, now, hand.by, hand.reason)


def _bill(session: HubSession, order: ChargeOrder, record: TradeFacts, entry: Entry) -> None:
    start, end = _window(order, record, entry.at)
    facts = ChargeFacts(
        record.energy_by_class,
        start,
        end,
        record.meter_start,
        record.meter_end,
        record.total_energy,
        record.pile_amount,
        record.rates,
    )
    made = write_bill(session, order, facts, entry)
    order.meter_start, order.meter_end = record.meter_start, record.meter_end
    order.pile_amount = record.pile_amount
    order.review = doubts(made.checks) or (None if order.review == NO_RECORD else order.review)


def _window(order: ChargeOrder, record: TradeFacts, now: datetime) -> tuple[datetime, datetime]:
    """Start and end for the bill: the pile's where its clock can be believed, else what we saw ourselves.

    Of a clock that is off, the time between start and end is still believed; of one that was set on the way, only the end is.
    """
    seen_start = order.started_at or order.created_at
    start = record.started_at
    if start is None or abs(start - seen_start) > CLOCK_TOLERANCE:
        start = seen_start
    ends = []
    if record.ended_at is not None:
        ends = [start + (record.ended_at - (record.started_at or start)), record.ended_at]
    possible = (end for end in ends if start <= end <= now + CLOCK_TOLERANCE)
    return start, next(possible, max(start, order.ended_at or now))


def _stop_reason(order: ChargeOrder, record: TradeFacts) -> StopReason:
    """Who asked for the stop comes first, then the pile's code (DECISIONS 15)."""
    if order.stop_asked_by == Origin.PARTNER:
        return StopReason.PARTNER
    if order.stop_asked_by in (Origin.APP, Origin.CONSOLE):
        return StopReason.USER
    return record.stop_category or StopReason.OTHER
