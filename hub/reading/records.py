"""Trade records as they came: which counted, which are parked and why; and alarms."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.monitoring.alarm import Alarm
from charging_core.piles.model import TradeRecordRow
from hub.reading.paging import Page, Window, read_page

_LINE = ("id", "trade_number", "pile_code", "state", "problem", "order_id", "matched_by", "seen", "received_at")
_SHOWN = ("started_at", "ended_at", "total_energy_kwh", "total_amount_yuan", "stop_code", "trade_flag", "card", "vin")
_ALARM = ("id", "kind", "object_id", "text", "raised_at", "cleared_at")


def list_records(session: HubSession, window: Window, state: str | None = None) -> Page:
    """Records, newest first."""
    query = select(TradeRecordRow)
    if state is not None:
        query = query.where(TradeRecordRow.state == state)
    return read_page(session, query, TradeRecordRow.id, window, record_line, newest_first=True)


def record_view(session: HubSession, record_id: str) -> dict[str, Any]:
    """One record with everything that the pile told in it. Raises `NotFound`."""
    row = session.scalars(select(TradeRecordRow).where(TradeRecordRow.id == record_id)).one_or_none()
    if row is None:
        raise NotFound(f"record {record_id}")
    return record_line(row) | {"told": row.told}


def tenant_of(session: HubSession, record_id: str) -> str:
    """Whose record it is. Raises `NotFound`."""
    owner = session.scalars(select(TradeRecordRow.tenant_id).where(TradeRecordRow.id == record_id)).one_or_none()
    if owner is None:
        raise NotFound(f"record {record_id}")
    return owner


def record_line(row: TradeRecordRow) -> dict[str, Any]:
    """A record as people look for it: what it is of, what became of it."""
    line = {name: getattr(row, name) for name in _LINE} | {name: row.told[name] for name in _SHOWN}
    return line | {"connector": f"{row.pile_code}{row.connector_no:02d}"}


def list_alarms(session: HubSession, window: Window, *, all_of_them: bool = False) -> Page:
    """Alarms that are open, or all there ever were, newest first."""
    query = select(Alarm)
    if not all_of_them:
        query = query.where(Alarm.cleared_at.is_(None))
    return read_page(session, query, Alarm.id, window, _alarm, newest_first=True)


def _alarm(row: Alarm) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ALARM}
