"""From trade record to bill (DESIGN way 5). The platform's own computation is the bill; the pile's amount is evidence (P5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.money import ZERO
from charging_core.orders.billing import Bill, MeterSample, make_bill
from charging_core.orders.facts import TradeFacts
from charging_core.orders.life import lock_order, move, publish, tell_stopped
from charging_core.orders.model import NO_RECORD, ChargeOrder, ChargeSample, OrderDetail, Origin, StopReason
from charging_core.orders.ports import OrderContext
from charging_core.orders.state import OrderEvent, OrderState
from charging_core.tariffs.service import periods_of, version_by_id

CLOCK_TOLERANCE = timedelta(minutes=10)
"""A pile's clock further off than this from what we saw ourselves is not believed (P6)."""
ENERGY_TOLERANCE = Decimal("0.0016")
"""Four rates, each off by at most 0.0004 kWh (P5)."""
METER_TOLERANCE = Decimal("0.01")
"""Share by which the meter difference may miss the total (P5)."""
RATE_MONEY_TOLERANCE = Decimal("0.01")
"""Yuan per line by which the pile's amount may differ: firmware truncates (P5)."""


def settle(session: HubSession, context: OrderContext, order_id: str, record: TradeFacts) -> bool:
    """Bill the order by its first record. False when the order is settled already or unknown: nothing changes then (P1).

    A record without energy for an order that never charged closes it as failed.
    """
    order = lock_order(session, order_id)
    if order is None or order.state == OrderState.SETTLED:
        return False
    happened = _what_happened(order, record)
    order.stop_code = record.stop_code
    order.vin = order.vin or record.vin
    if happened is not OrderEvent.RECORD and order.started_at is None:
        order.failure = order.failure or f"pile code 0x{record.stop_code:02X}"
    else:
        order.stop_reason = _stop_reason(order, record)
        _apply_bill(session, order, record, context.clock.now())
    if not move(session, context, order, happened, f"stop code 0x{record.stop_code:02X}"):
        return False
    if order.state == OrderState.SETTLED:
        order.settled_at = context.clock.now()
        tell_stopped(session, context, order)
        publish(session, context, order, "order.settled")
    return True


def _what_happened(order: ChargeOrder, record: TradeFacts) -> OrderEvent:
    # Firmware exists that fills only the total or only the rates.
    if record.total_energy > 0 or any(energy > 0 for energy in record.energy_by_class.values()):
        return OrderEvent.RECORD
    stopped_unstarted = order.started_at is None and order.current_state is OrderState.STOPPING
    return OrderEvent.NEVER_STARTED if stopped_unstarted else OrderEvent.EMPTY_RECORD


def _apply_bill(session: HubSession, order: ChargeOrder, record: TradeFacts, now: datetime) -> None:
    start, end = _window(order, record, now)
    periods = periods_of(version_by_id(session, order.tariff_version_id))
    bill = make_bill(record.energy_by_class, start, end, periods, _samples(session, order.id))
    order.started_at, order.ended_at = start, end
    order.energy_kwh = bill.energy_kwh
    order.elec_fee, order.service_fee = bill.elec_fee, bill.service_fee
    order.energy_by_class = {rate_class.value: energy for rate_class, energy in record.energy_by_class.items()}
    order.meter_start, order.meter_end = record.meter_start, record.meter_end
    order.pile_amount = record.pile_amount
    order.review = _doubts(record, bill) or (None if order.review == NO_RECORD else order.review)
    order.details = [
        OrderDetail(
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
        for number, line in enumerate(bill.details, start=1)
    ]


def _samples(session: HubSession, order_id: str) -> list[MeterSample]:
    query = select(ChargeSample).where(ChargeSample.order_id == order_id).order_by(ChargeSample.at, ChargeSample.id)
    return [MeterSample(sample.at, sample.energy_kwh) for sample in session.scalars(query)]


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


def _doubts(record: TradeFacts, bill: Bill) -> str | None:
    """What does not fit between record, meter and bill (P5); none when all does."""
    doubts = []
    if abs(sum(record.energy_by_class.values(), ZERO) - record.total_energy) > ENERGY_TOLERANCE:
        doubts.append("energies of the rates do not sum to the total")
    metered = record.meter_end - record.meter_start
    if (
        record.meter_start
        and record.meter_end
        and abs(metered - record.total_energy) > record.total_energy * METER_TOLERANCE
    ):
        doubts.append("meter difference does not fit the total energy")
    if abs(record.pile_amount - bill.total_fee) > RATE_MONEY_TOLERANCE * (2 * len(bill.details) + 1):
        doubts.append(f"pile says {record.pile_amount} yuan, the bill is {bill.total_fee}")
    return "; ".join(doubts) or None
