"""Records that are still to come: a start must not make a pile forget the one of the charge before it (P8)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.orders import limits
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OrderState


def awaited_record(session: HubSession, connector_id: str, now: datetime) -> ChargeOrder | None:
    """The last order at the connector, when it ended a short while ago and its record is not here; else none."""
    at_connector = select(ChargeOrder).where(ChargeOrder.connector_id == connector_id)
    last = session.scalars(at_connector.order_by(ChargeOrder.id.desc()).limit(1)).one_or_none()
    if last is None or not _may_come(last):
        return None
    return last if now - last.state_since <= timedelta(seconds=limits.RECORD_AWAITED_S) else None


def _may_come(order: ChargeOrder) -> bool:
    """Given up without a record; or failed after its start had left, which ends with a record too (`specs/ykc.md` 0x3B)."""
    if order.current_state is OrderState.FAILED:
        return order.stop_tries > 0 and order.stop_code is None
    return order.current_state is OrderState.ABNORMAL
