"""Tables of charge orders: the order, its state changes, the lines of its bill, and the samples taken on the way."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.members.model import Member
from charging_core.orders.guard import ChargeLimits, OverLimit
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.stations.model import Connector
from charging_core.types import BigKey, Json, Kwh4, Price5, UtcDateTime, Yuan4

_OPEN = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in sorted(OPEN_STATES))))

FAILURE_LENGTH = 64
"""Characters kept of why an order failed: a word or a short sentence."""

NO_RECORD = "no trade record"
"""What is to review about an order that was given up; no longer when the record comes after all."""


class Origin(StrEnum):
    """Who asked for a start or a stop."""

    APP = "app"
    PARTNER = "partner"
    CARD = "card"
    VIN = "vin"
    PILE = "pile"
    """Nobody we know of: the pile charged without asking us."""
    CONSOLE = "console"
    PLATFORM = "platform"


class StopReason(StrEnum):
    """Why a charge ended, in our words (DECISIONS 15 maps it outwards)."""

    USER = "user"
    PARTNER = "partner"
    BMS = "bms"
    FAULT = "fault"
    UNPLUGGED = "unplugged"
    OTHER = "other"


class ChargeOrder(TenantScoped, Base):
    """One charge. `trade_number` is the pile side's own number, opaque here; `start_charge_seq` is the caller's (DECISIONS 10)."""

    __tablename__ = "charge_order"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    operator_id: Mapped[str] = mapped_column(String(9))
    station_id: Mapped[str] = mapped_column(String(26), index=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id"), index=True)
    origin: Mapped[str] = mapped_column(String(16))
    link_id: Mapped[str | None] = mapped_column(String(64))
    start_charge_seq: Mapped[str | None] = mapped_column(String(64), index=True)
    trade_number: Mapped[str | None] = mapped_column(String(64), unique=True)
    plate: Mapped[str | None] = mapped_column(String(16))
    phone: Mapped[str | None] = mapped_column(String(32))
    vin: Mapped[str | None] = mapped_column(String(17))
    member_id: Mapped[str | None] = mapped_column(ForeignKey("member.id"), index=True)
    """Whose account pays; none: somebody outside does."""
    card: Mapped[str | None] = mapped_column(String(16))
    """Number printed on the card that was shown at the pile."""
    group_id: Mapped[str | None] = mapped_column(String(26), index=True)
    """Joins the orders of one vehicle that charges at several connectors of a pile (并充)."""
    group_number: Mapped[str | None] = mapped_column(String(12))
    """By which the pile knows that group."""
    limit_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)
    limit_kwh: Mapped[Decimal | None] = mapped_column(Kwh4)
    limit_minutes: Mapped[int | None] = mapped_column(Integer)
    limit_soc: Mapped[int | None] = mapped_column(Integer)
    over_limit: Mapped[str] = mapped_column(String(8), default=OverLimit.FULL)
    tariff_version_id: Mapped[str] = mapped_column(String(26))
    state: Mapped[str] = mapped_column(String(16), default=OrderState.CREATED)
    state_since: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    start_by: Mapped[datetime] = mapped_column(UtcDateTime)
    plug_by: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_asked_by: Mapped[str | None] = mapped_column(String(16))
    stop_tries: Mapped[int] = mapped_column(Integer, default=0)
    stop_told: Mapped[bool] = mapped_column(default=False)
    stop_reason: Mapped[str | None] = mapped_column(String(16))
    stop_code: Mapped[int | None] = mapped_column(Integer)
    failure: Mapped[str | None] = mapped_column(String(FAILURE_LENGTH))
    idle_seen: Mapped[int] = mapped_column(Integer, default=0)
    link_lost: Mapped[bool] = mapped_column(default=False)
    review: Mapped[str | None] = mapped_column(String(500))
    energy_kwh: Mapped[Decimal | None] = mapped_column(Kwh4)
    elec_fee: Mapped[Decimal | None] = mapped_column(Yuan4)
    service_fee: Mapped[Decimal | None] = mapped_column(Yuan4)
    energy_by_class: Mapped[dict[str, Any] | None] = mapped_column(Json)
    meter_start: Mapped[Decimal | None] = mapped_column(Kwh4)
    meter_end: Mapped[Decimal | None] = mapped_column(Kwh4)
    pile_amount: Mapped[Decimal | None] = mapped_column(Yuan4)
    sample: Mapped[dict[str, Any] | None] = mapped_column(Json)
    connector: Mapped[Connector] = relationship()
    member: Mapped[Member | None] = relationship()
    details: Mapped[list[OrderDetail]] = relationship(order_by="OrderDetail.number", cascade="all, delete-orphan")

    __table_args__ = (
        UniqueConstraint("link_id", "start_charge_seq"),
        Index("uq_charge_order_open", "connector_id", unique=True, postgresql_where=_OPEN, sqlite_where=_OPEN),
        Index("ix_charge_order_open_states", "state", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )

    @property
    def total_fee(self) -> Decimal | None:
        """Energy fee plus service fee in yuan; none before settlement."""
        if self.elec_fee is None or self.service_fee is None:
            return None
        return self.elec_fee + self.service_fee

    @property
    def allowed(self) -> ChargeLimits:
        """What ends this charge early."""
        return ChargeLimits(self.limit_yuan, self.limit_kwh, self.limit_minutes, self.limit_soc)

    @property
    def current_state(self) -> OrderState:
        """The state as its enum."""
        return OrderState(self.state)


class OrderDetail(TenantScoped, Base):
    """One line of the bill."""

    __tablename__ = "order_detail"

    order_id: Mapped[str] = mapped_column(ForeignKey("charge_order.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rate_class: Mapped[str] = mapped_column(String(16))
    elec_price: Mapped[Decimal] = mapped_column(Price5)
    service_price: Mapped[Decimal] = mapped_column(Price5)
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    elec_fee: Mapped[Decimal] = mapped_column(Yuan4)
    service_fee: Mapped[Decimal] = mapped_column(Yuan4)
    basis: Mapped[str] = mapped_column(String(16))


class OrderTransition(TenantScoped, Base):
    """One change of an order's state: what happened, when, and a word of detail."""

    __tablename__ = "order_transition"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("charge_order.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    happened: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(String(200))


class ChargeSample(TenantScoped, Base):
    """One reading during a charge, by receive time (a pile's samples carry no time of their own)."""

    __tablename__ = "charge_sample"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    order_id: Mapped[str] = mapped_column(String(26))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    reading: Mapped[dict[str, Any]] = mapped_column(Json)

    __table_args__ = (Index("ix_charge_sample_order", "order_id", "at"),)
