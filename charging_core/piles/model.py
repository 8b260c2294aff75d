"""Tables of the pile side: commands that wait for a pile, trade records as they came, ground locks, firmware rollouts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.types import BigKey, Json, UtcDateTime, Yuan4

_PENDING = text("state = 'pending'")
_ASKED_OPEN = text("order_id IS NULL AND state IN ('pending', 'sent')")
_FIRST = text("state <> 'conflict'")
_OF_ORDER, _OF_PILE = text("order_id IS NOT NULL"), text("order_id IS NULL")

ANSWER_WITHIN_S = 90
"""A pile has 60 s to be plugged in after a start, the longest that any ordinary answer takes; seconds."""

RECEIVED, APPLIED, PARKED, CONFLICT, DISMISSED = "received", "applied", "parked", "conflict", "dismissed"


class PileCommand(TenantScoped, Base):
    """One command to one connector, or to the whole pile (`connector_no` 0). Sent by the pile server that holds the connection.

    A command of an order is written beside it (DECISIONS 21); one of the staff says who asked (`asked_by`) and why. `batch_id` joins
    the commands of one request or firmware rollout; `answer_within_s` is how long after it was sent an answer may come; until
    `hold_until` it waits for something else, even when its pile is there.
    """

    __tablename__ = "pile_command"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    order_id: Mapped[str | None] = mapped_column(String(26), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    pile_code: Mapped[str] = mapped_column(String(14))
    connector_no: Mapped[int] = mapped_column(Integer)
    trade_number: Mapped[str | None] = mapped_column(String(64))
    balance_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)
    parameters: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    asked_by: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(200))
    batch_id: Mapped[str | None] = mapped_column(String(26), index=True)
    answer_within_s: Mapped[int] = mapped_column(Integer, default=ANSWER_WITHIN_S)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    hold_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_pile_command_pending", "pile_code", "id", postgresql_where=_PENDING, sqlite_where=_PENDING),
        Index("ix_pile_command_pile", "pile_code", "kind", "id"),
        Index("ix_pile_command_asked", "expires_at", postgresql_where=_ASKED_OPEN, sqlite_where=_ASKED_OPEN),
    )


class TradeRecordRow(TenantScoped, Base):
    """A trade record as received. One of a pile's records counts per trade number; others with its number are conflicts (P1).

    `state`: applied (taken by its order), parked (no order fits, or it could not be billed: `problem` says why), conflict, dismissed
    (parked, and the staff said that nobody is to pay by it: `problem` says who and why). `seen` is
    how often this content came; for the record that counts, how often its number did. `told` is the record as a value, so that a parked
    one can be billed later; `matched_by` is how its order was found (`trade_number`, `vin`, `time`, `staff`).
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
    told: Mapped[dict[str, Any]] = mapped_column(Json)
    matched_by: Mapped[str | None] = mapped_column(String(16))
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


class PileFrame(TenantScoped, Base):
    """A frame of a charge as it was, for the order's page; log-ins have no order. `at` is our receive or send time."""

    __tablename__ = "pile_frame"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    order_id: Mapped[str | None] = mapped_column(String(26))
    pile_code: Mapped[str] = mapped_column(String(14))
    connector_no: Mapped[int | None] = mapped_column(Integer)
    protocol: Mapped[str] = mapped_column(String(8))
    frame_type: Mapped[int] = mapped_column(Integer)
    raw: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    __table_args__ = (
        Index("ix_pile_frame_order", "order_id", postgresql_where=_OF_ORDER, sqlite_where=_OF_ORDER),
        Index("ix_pile_frame_pile", "pile_code", "at", postgresql_where=_OF_PILE, sqlite_where=_OF_PILE),
    )


class GroundLock(TenantScoped, Base):
    """What a bay's lock said last; `position` and `alarm` are the words of `piles.events`."""

    __tablename__ = "ground_lock"

    connector_code: Mapped[str] = mapped_column(String(26), primary_key=True)
    position: Mapped[str] = mapped_column(String(16))
    occupied: Mapped[bool | None]
    battery_percent: Mapped[int | None] = mapped_column(Integer)
    alarm: Mapped[str | None] = mapped_column(String(32))
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PileCard(TenantScoped, Base):
    """A card of a pile's list for times without a link: what we want of it, and what the pile said last.

    `wanted`: it shall be on the list. `present`: the pile said so, none: it never said. `command_id` is the last command about it,
    `problem` what the pile answered to it.
    """

    __tablename__ = "pile_card"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    pile_code: Mapped[str] = mapped_column(String(14))
    number: Mapped[str] = mapped_column(String(16))
    physical: Mapped[str] = mapped_column(String(16))
    wanted: Mapped[bool]
    present: Mapped[bool | None]
    problem: Mapped[str | None] = mapped_column(String(100))
    command_id: Mapped[str | None] = mapped_column(String(26))
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("pile_code", "physical"),)


class FirmwareRollout(TenantScoped, Base):
    """One firmware brought to many piles, group by group: a group begins when the one before it is done.

    `state`: running, paused (by hand), halted (too many failures), finished, cancelled. The password is sealed (`SecretBox`, context
    `firmware:<id>`).
    """

    __tablename__ = "firmware_rollout"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    package: Mapped[dict[str, Any]] = mapped_column(Json)
    password: Mapped[str] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(String(32))
    failures_allowed: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(200))
    history: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    piles: Mapped[list[FirmwareRolloutPile]] = relationship(
        back_populates="rollout", order_by="FirmwareRolloutPile.place"
    )


class FirmwareRolloutPile(TenantScoped, Base):
    """A pile of a rollout. `state`: waiting, asked, done, failed; `command_id` is its 0x94."""

    __tablename__ = "firmware_rollout_pile"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    rollout_id: Mapped[str] = mapped_column(ForeignKey("firmware_rollout.id"), index=True)
    pile_code: Mapped[str] = mapped_column(String(14))
    place: Mapped[int] = mapped_column(Integer)
    group_no: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(String(200))
    command_id: Mapped[str | None] = mapped_column(String(26))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rollout: Mapped[FirmwareRollout] = relationship(back_populates="piles")

    __table_args__ = (UniqueConstraint("rollout_id", "pile_code"),)
