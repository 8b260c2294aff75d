"""Which order a record under an unknown number is of (P3): by card, by VIN, or by connector and time; and only when it can be one alone.

Looked for among the orders of its connector that have ended and wait for their record. What does not fit is parked, and looked at again
whenever such an order appears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.members.service import find_by_card
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OrderState
from charging_core.piles.events import TradeRecord
from charging_core.stations.model import Connector

BY_NUMBER, BY_CARD, BY_VIN, BY_TIME, BY_STAFF = "trade_number", "card", "vin", "time", "staff"
AWAITING = (OrderState.ENDED_NO_RECORD, OrderState.ABNORMAL)
TIME_TOLERANCE = timedelta(minutes=10)
"""How far the pile's times may be from ours (P6); a clock further off says nothing of which charge it was."""


def match(session: HubSession, record: TradeRecord, tenant_id: str) -> tuple[ChargeOrder, str] | None:
    """The order, its row held, and what it was recognised by; none when nothing or more than one fits."""
    waiting = _waiting(session, record)
    card = _printed(session, record, tenant_id)
    ways: tuple[tuple[str, Callable[[ChargeOrder], bool]], ...] = (
        (BY_CARD, lambda order: card is not None and order.card == card),
        (BY_VIN, lambda order: record.vin is not None and order.vin == record.vin),
        (BY_TIME, lambda order: _same_time(order, record) and _no_other_payer(order, record, card)),
    )
    for basis, fits in ways:
        fitting = [order for order in waiting if fits(order)]
        if fitting:
            return (fitting[0], basis) if len(fitting) == 1 else None
    return None


def _waiting(session: HubSession, record: TradeRecord) -> Sequence[ChargeOrder]:
    code = f"{record.pile_code}{record.connector_no:02d}"
    query = (
        select(ChargeOrder)
        .where(
            ChargeOrder.connector_id.in_(select(Connector.id).where(Connector.code == code)),
            ChargeOrder.state.in_(AWAITING),
        )
        .order_by(ChargeOrder.id)
        .with_for_update(of=ChargeOrder, key_share=True)
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).all()


def _printed(session: HubSession, record: TradeRecord, tenant_id: str) -> str | None:
    """The printed number of the record's card, when it is one of ours."""
    identity = find_by_card(session, tenant_id, record.card) if record.card is not None else None
    return identity.card.number if identity is not None and identity.card is not None else None


def _same_time(order: ChargeOrder, record: TradeRecord) -> bool:
    if order.started_at is None or record.started_at is None or record.ended_at is None:
        return False
    ended = order.ended_at or order.state_since
    began_with_it = abs(record.started_at - order.started_at) <= TIME_TOLERANCE
    return began_with_it and abs(record.ended_at - ended) <= TIME_TOLERANCE


def _no_other_payer(order: ChargeOrder, record: TradeRecord, card: str | None) -> bool:
    """Two different cards or vehicles are two charges, however well their times fit."""
    other_card = order.card is not None and card is not None and order.card != card
    other_vehicle = order.vin is not None and record.vin is not None and order.vin != record.vin
    return not (other_card or other_vehicle)
