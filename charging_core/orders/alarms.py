"""What the staff must know of an order while it is open: its kinds of alarms, each raised once and closed with the order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from charging_core.db import HubSession
from charging_core.monitoring.alarm import clear_alarm, clear_alarms_of, raise_alarm
from charging_core.orders.model import ChargeOrder


class OrderAlarm(StrEnum):
    """Kinds of alarms about an order; its id is the alarm's object."""

    STOP_UNANSWERED = "stop_unanswered"
    """Asked to stop as often as we ask, and it goes on."""
    CHARGE_INTERRUPTED = "charge_interrupted"
    """The pile says "fault" or "off-line" with the charge's number (P11); the charge is kept open."""
    OTHER_CHARGE = "other_charge"
    """The pile charges under a number that we do not know, at a connector that an order of ours holds."""


def stop_unanswered(session: HubSession, order: ChargeOrder, tries: int, at: datetime) -> None:
    """The last try to stop has been asked for."""
    words = f"订单 {order.id} 停充 {tries} 次; asked to stop {tries} times: {order.connector.code}"
    raise_alarm(session, order.tenant_id, OrderAlarm.STOP_UNANSWERED, order.id, words, at)


def interrupted(session: HubSession, order: ChargeOrder, status: str, faults: Sequence[str], at: datetime) -> None:
    """The pile reports trouble during the charge."""
    words = f"订单 {order.id} 充电中 {status}; the pile says {status} while it charges: {' '.join(faults) or '-'}"
    raise_alarm(session, order.tenant_id, OrderAlarm.CHARGE_INTERRUPTED, order.id, words, at)


def goes_on(session: HubSession, order: ChargeOrder, at: datetime) -> None:
    """The trouble is over: it charges."""
    clear_alarm(session, order.tenant_id, OrderAlarm.CHARGE_INTERRUPTED, order.id, at)


def other_charge(session: HubSession, order: ChargeOrder, trade_number: str, at: datetime) -> None:
    """Somebody else's charge where this order's should be."""
    words = f"订单 {order.id} 的枪上有未知流水号 {trade_number}; an unknown charge at the connector of this order"
    raise_alarm(session, order.tenant_id, OrderAlarm.OTHER_CHARGE, order.id, words, at)


def order_over(session: HubSession, order: ChargeOrder, at: datetime) -> None:
    """Nothing about the order needs anybody any more."""
    clear_alarms_of(session, order.tenant_id, order.id, at)
