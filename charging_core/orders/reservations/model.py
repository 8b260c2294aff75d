"""Table of reservations. One connector has at most one that holds."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.stations.model import Connector
from charging_core.types import UtcDateTime

_HELD = text("state = 'held'")


class ReservationState(StrEnum):
    """What became of a reservation."""

    HELD = "held"
    USED = "used"
    """Its payer has started; `order_id` is his charge."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Reservation(TenantScoped, Base):
    """A connector kept for a payer from `created_at` to `until`.

    The payer is whoever starts with the reservation's id, its plate, its phone or its member; `desk` and `request_id` make a repeated
    request the same reservation (as for orders).
    """

    __tablename__ = "reservation"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id"), index=True)
    desk: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    plate: Mapped[str | None] = mapped_column(String(16))
    phone: Mapped[str | None] = mapped_column(String(32))
    member_id: Mapped[str | None] = mapped_column(String(26))
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    order_id: Mapped[str | None] = mapped_column(String(26))
    asked_by: Mapped[str] = mapped_column(String(96))
    reason: Mapped[str | None] = mapped_column(String(200))
    ended_by: Mapped[str | None] = mapped_column(String(96))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    connector: Mapped[Connector] = relationship()

    __table_args__ = (
        UniqueConstraint("desk", "request_id"),
        Index("uq_reservation_held", "connector_id", unique=True, postgresql_where=_HELD, sqlite_where=_HELD),
        Index("ix_reservation_held_until", "until", postgresql_where=_HELD, sqlite_where=_HELD),
    )
