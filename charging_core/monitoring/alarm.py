"""Alarms: raised once, kept open until cleared, each change told to the outbox."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, select, text
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, HubSession, TenantScoped
from charging_core.events import record_event
from charging_core.ids import new_id
from charging_core.types import UtcDateTime

_OPEN = text("cleared_at IS NULL")


class Alarm(TenantScoped, Base):
    """One alarm of a kind about an object; at most one of them is open at a time."""

    __tablename__ = "alarm"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    object_id: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(String(500))
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cleared_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "uq_alarm_open", "tenant_id", "kind", "object_id", unique=True, postgresql_where=_OPEN, sqlite_where=_OPEN
        ),
    )


def raise_alarm(session: HubSession, tenant_id: str, kind: str, object_id: str, message: str, at: datetime) -> bool:
    """Open an alarm and tell it; false when the same one is open already."""
    if _open_alarm(session, tenant_id, kind, object_id) is not None:
        return False
    alarm = Alarm(id=new_id(), tenant_id=tenant_id, kind=kind, object_id=object_id, text=message[:500], raised_at=at)
    session.add(alarm)
    record_event(session, "alarm.raised", alarm.id, 1, _snapshot(alarm), at, tenant_id)
    return True


def clear_alarm(session: HubSession, tenant_id: str, kind: str, object_id: str, at: datetime) -> bool:
    """Close the open alarm and tell it; false when none is open."""
    alarm = _open_alarm(session, tenant_id, kind, object_id)
    if alarm is None:
        return False
    _close(session, alarm, at)
    return True


def clear_alarms_of(session: HubSession, tenant_id: str, object_id: str, at: datetime) -> int:
    """Close every open alarm about an object that is no more of interest; how many there were."""
    query = select(Alarm).where(Alarm.tenant_id == tenant_id, Alarm.object_id == object_id, Alarm.cleared_at.is_(None))
    found = session.scalars(query).all()
    for alarm in found:
        _close(session, alarm, at)
    return len(found)


def _close(session: HubSession, alarm: Alarm, at: datetime) -> None:
    alarm.cleared_at = at
    record_event(session, "alarm.cleared", alarm.id, 2, _snapshot(alarm), at, alarm.tenant_id)


def _open_alarm(session: HubSession, tenant_id: str, kind: str, object_id: str) -> Alarm | None:
    query = select(Alarm).where(
        Alarm.tenant_id == tenant_id, Alarm.kind == kind, Alarm.object_id == object_id, Alarm.cleared_at.is_(None)
    )
    return session.scalars(query).one_or_none()


def _snapshot(alarm: Alarm) -> dict[str, object]:
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "object_id": alarm.object_id,
        "text": alarm.text,
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
    }
