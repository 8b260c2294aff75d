"""Tables of members: the account, its cards and vehicles, each movement of its money, and what the staff did to it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.money import ZERO
from charging_core.types import BigKey, Json, UtcDateTime, Yuan4

REASON_LENGTH = 200
"""Characters kept of a reason."""


class MovementKind(StrEnum):
    """Why money moved."""

    OPENING = "opening"
    TOP_UP = "top_up"
    DEBIT = "debit"
    """A charge was billed."""
    CORRECTION = "correction"
    """A bill was made anew, or the staff put a balance right."""
    REFUND = "refund"
    """A part of a bill was given back."""


class MemberChange(StrEnum):
    """What the staff may do to a member or a card beside money."""

    BLOCK = "block"
    UNBLOCK = "unblock"


class Member(TenantScoped, Base):
    """An account (账户) of a tenant. `code` is the operator's own name for it.

    `balance_yuan` is the sum of its movements and changes with them only (`ledger`); it may fall to minus `credit_yuan` before new
    charges are refused. `per_charge_yuan` is the most that one charge may take (none: all there is), so that several vehicles of a
    fleet can charge at once. `stations` are the codes of the stations where it may charge; none: at all.
    """

    __tablename__ = "member"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    phone: Mapped[str | None] = mapped_column(String(32))
    balance_yuan: Mapped[Decimal] = mapped_column(Yuan4, default=ZERO)
    credit_yuan: Mapped[Decimal] = mapped_column(Yuan4, default=ZERO)
    per_charge_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)
    stations: Mapped[list[Any] | None] = mapped_column(Json)
    enabled: Mapped[bool] = mapped_column(default=True)
    blocked: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cards: Mapped[list[MemberCard]] = relationship(back_populates="member", order_by="MemberCard.number")
    vehicles: Mapped[list[MemberVehicle]] = relationship(back_populates="member", order_by="MemberVehicle.vin")

    __table_args__ = (UniqueConstraint("tenant_id", "code"),)

    @property
    def usable(self) -> bool:
        """Declared and not blocked by the staff."""
        return self.enabled and not self.blocked

    @property
    def spendable_yuan(self) -> Decimal:
        """Balance plus credit; what running charges may take of it is not subtracted."""
        return self.balance_yuan + self.credit_yuan


class MemberCard(TenantScoped, Base):
    """A charging card (充电卡). `number` is printed on it (逻辑卡号), `physical` is what readers send: 8 raw bytes as hexadecimal.

    `pin_hash` is made by `pin`; `offline` puts it on the list that piles keep for times without a link.
    """

    __tablename__ = "member_card"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("member.id"), index=True)
    number: Mapped[str] = mapped_column(String(16))
    physical: Mapped[str] = mapped_column(String(16))
    pin_hash: Mapped[str | None] = mapped_column(String(160))
    offline: Mapped[bool] = mapped_column(default=False)
    enabled: Mapped[bool] = mapped_column(default=True)
    blocked: Mapped[bool] = mapped_column(default=False)
    member: Mapped[Member] = relationship(back_populates="cards")

    __table_args__ = (UniqueConstraint("tenant_id", "number"), UniqueConstraint("tenant_id", "physical"))

    @property
    def usable(self) -> bool:
        """The card and its account may be used."""
        return self.enabled and not self.blocked and self.member.usable


class MemberVehicle(TenantScoped, Base):
    """A vehicle that is known by its VIN at the plug (即插即充)."""

    __tablename__ = "member_vehicle"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("member.id"), index=True)
    vin: Mapped[str] = mapped_column(String(17))
    enabled: Mapped[bool] = mapped_column(default=True)
    member: Mapped[Member] = relationship(back_populates="vehicles")

    __table_args__ = (UniqueConstraint("tenant_id", "vin"),)

    @property
    def usable(self) -> bool:
        """The vehicle and its account may be used."""
        return self.enabled and self.member.usable


class MemberMovement(TenantScoped, Base):
    """One movement of a member's money: added, never changed. `amount_yuan` is signed, `balance_yuan` what it left.

    One of a bill is unique by its order and version, one of the staff by its `reference`: neither happens twice.
    """

    __tablename__ = "member_movement"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("member.id"))
    kind: Mapped[str] = mapped_column(String(16))
    amount_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    balance_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    order_id: Mapped[str | None] = mapped_column(String(26))
    bill_number: Mapped[int | None] = mapped_column(Integer)
    reference: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(96))
    reason: Mapped[str | None] = mapped_column(String(REASON_LENGTH))

    __table_args__ = (
        UniqueConstraint("order_id", "bill_number"),
        UniqueConstraint("member_id", "reference"),
        Index("ix_member_movement_member", "member_id", "id"),
    )


class MemberAction(TenantScoped, Base):
    """What somebody of the staff did to a member, or to one of its cards: when, who, why."""

    __tablename__ = "member_action"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("member.id"), index=True)
    card_id: Mapped[str | None] = mapped_column(String(26))
    action: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(96))
    reason: Mapped[str] = mapped_column(String(REASON_LENGTH))
