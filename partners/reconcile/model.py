"""Tables of reconciliation: statements both ways, their lines, and contested orders."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, Kwh4, UtcDateTime, Yuan4


class StatementState(StrEnum):
    """What has become of a statement. `received` ones were judged when they came."""

    PLANNED = "planned"
    ANSWERED = "answered"
    FAILED = "failed"
    RECEIVED = "received"


class DisputeState(StrEnum):
    """How far a contested order is: nobody has looked, our view is written down, settled by another bill, settled as it is."""

    OPEN = "open"
    EXPLAINED = "explained"
    CORRECTED = "corrected"
    ACCEPTED = "accepted"


class PartnerStatement(TenantScoped, Base):
    """One `check_charge_orders`: sent (`out`) or received (`in`). Sums are those of its lines, in kWh and yuan.

    `answer` holds what the receiver said in total and what was found wrong with the statement itself.
    """

    __tablename__ = "partner_statement"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"), index=True)
    direction: Mapped[str] = mapped_column(String(3))
    check_seq: Mapped[str] = mapped_column(String(64))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    order_count: Mapped[int] = mapped_column(Integer)
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    total_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    state: Mapped[str] = mapped_column(String(16))
    dispute_count: Mapped[int] = mapped_column(Integer, default=0)
    answer: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("link_id", "direction", "check_seq"),)


class StatementLine(TenantScoped, Base):
    """One order of a statement with the sender's figures, and what the receiver found (`finding`, with its own figures).

    Findings: `ok`, `unknown` (the receiver has no such order), `money`, `energy`, `own_code`; on received statements also `missing`:
    an order of ours that the sender left out. `order_id` is the charge order, or on received statements the roaming order.
    """

    __tablename__ = "partner_statement_line"

    statement_id: Mapped[str] = mapped_column(ForeignKey("partner_statement.id"), primary_key=True)
    start_charge_seq: Mapped[str] = mapped_column(String(64), primary_key=True)
    link_id: Mapped[str] = mapped_column(String(26))
    direction: Mapped[str] = mapped_column(String(3))
    order_id: Mapped[str | None] = mapped_column(String(26))
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    total_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    finding: Mapped[str] = mapped_column(String(16), default="ok")
    their_kwh: Mapped[Decimal | None] = mapped_column(Kwh4)
    their_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)

    __table_args__ = (Index("ix_partner_statement_line_order", "link_id", "start_charge_seq", "direction"),)


class PartnerDispute(TenantScoped, Base):
    """An order that a partner contests, in its bill (ConfirmResult 1) or in a statement: one case per order, a person's work.

    `energy_kwh` and `total_yuan` are ours, `their_…` the partner's where it told them. `judgement` is what the hub found by itself,
    `explanation` what a person wrote; `history` tells what happened when. `object_version` is the bill's version that was contested.
    """

    __tablename__ = "partner_dispute"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    order_id: Mapped[str | None] = mapped_column(String(26), index=True)
    start_charge_seq: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(16))
    delivery_id: Mapped[str | None] = mapped_column(String(26))
    statement_id: Mapped[str | None] = mapped_column(String(26))
    object_version: Mapped[int] = mapped_column(Integer, default=0)
    energy_kwh: Mapped[str | None] = mapped_column(String(32))
    total_yuan: Mapped[str | None] = mapped_column(String(32))
    their_kwh: Mapped[str | None] = mapped_column(String(32))
    their_yuan: Mapped[str | None] = mapped_column(String(32))
    reason_code: Mapped[int | None] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(String(300))
    judgement: Mapped[str | None] = mapped_column(String(32))
    explanation: Mapped[str | None] = mapped_column(String(500))
    state: Mapped[str] = mapped_column(String(16), index=True)
    history: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("link_id", "start_charge_seq"),)
