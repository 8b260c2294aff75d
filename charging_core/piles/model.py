"""Tables of the pile side: commands that wait for a pile, and trade records as they came."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import UtcDateTime, Yuan4

_PENDING = text("state = 'pending'")
_FIRST = text("state <> 'conflict'")

RECEIVED, APPLIED, PARKED, CONFLICT = "received", "applied", "parked", "conflict"


class PileCommand(TenantScoped, Base):
    """One command to one connector. Written beside the order, sent by the pile server that holds the connection (DECISIONS 21)."""

    __tablename__ = "pile_command"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    order_id: Mapped[str | None] = mapped_column(String(26), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    pile_code: Mapped[str] = mapped_column(String(14))
    connector_no: Mapped[int] = mapped_column(Integer)
    trade_number: Mapped[str | None] = mapped_column(String(64))
    balance_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_pile_command_pending", "pile_code", "id", postgresql_where=_PENDING, sqlite_where=_PENDING),
    )


class TradeRecordRow(TenantScoped, Base):
    """A trade record as received. One of a pile's records counts per trade number; others with its number are conflicts (P1).

    `state`: applied (taken by its order), parked (no order fits, or it could not be billed: `problem` says why), conflict. `seen` is
    how often this content came; for the record that counts, how often its number did.
    """

    __tablename__ = "trade_record"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    trade_number: Mapped[str] = mapped_column(String(64))
    pile_code: Mapped[str] = mapped_column(String(14))
    connector_no: Mapped[int] = mapped_column(Integer)
    order_id: Mapped[str | None] = mapped_column(String(26), index=True)
    state: Mapped[str] = mapped_column(String(16))
    problem: Mapped[str | None] = mapped_column(String(500))
    content: Mapped[str] = mapped_column(String(64))
    raw: Mapped[str] = mapped_column(Text)
    seen: Mapped[int] = mapped_column(Integer, default=1)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "uq_trade_record_first",
            "trade_number",
            "pile_code",
            unique=True,
            postgresql_where=_FIRST,
            sqlite_where=_FIRST,
        ),
        Index("ix_trade_record_number", "trade_number"),
    )
