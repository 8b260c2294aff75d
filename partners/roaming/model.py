"""Tables of roaming: the mirror of other operators' stations, our drivers' charges there, and bills that nobody claims."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, Kwh4, UtcDateTime, Yuan4


class RoamingStation(TenantScoped, Base):
    """Another operator's station as it told us; `info` is its StationInfo with unknown members, `fees` the StationFee it pushed last.

    Ids count inside (operator, link) only.
    """

    __tablename__ = "roaming_station"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    operator_id: Mapped[str] = mapped_column(String(32))
    station_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    info: Mapped[dict[str, Any]] = mapped_column(Json)
    fees: Mapped[dict[str, Any] | None] = mapped_column(Json)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("link_id", "operator_id", "station_id"),)


class RoamingConnector(TenantScoped, Base):
    """One of its connectors with the newest status (wire codes of 9.5, kept raw) and the price periods we were shown last."""

    __tablename__ = "roaming_connector"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    station_row_id: Mapped[str] = mapped_column(ForeignKey("roaming_station.id"), index=True)
    connector_id: Mapped[str] = mapped_column(String(64))
    equipment_id: Mapped[str] = mapped_column(String(64))
    info: Mapped[dict[str, Any]] = mapped_column(Json)
    status: Mapped[int | None] = mapped_column(Integer)
    park_status: Mapped[int | None] = mapped_column(Integer)
    lock_status: Mapped[int | None] = mapped_column(Integer)
    status_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    policy: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    policy_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("link_id", "connector_id"),)


class RoamingSync(TenantScoped, Base):
    """When the stations of a link were read last, wholly and in part."""

    __tablename__ = "roaming_sync"

    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"), primary_key=True)
    full_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    partial_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RoamingOrder(TenantScoped, Base):
    """One charge of our driver at another operator's pile. The sequence is ours; amounts are theirs, final with the bill.

    `request_id` is the name that its asker gave to the wish; `policy` are the prices shown before the start; `sample` the newest reading;
    `confirm_result` our answer to the bill.
    """

    __tablename__ = "roaming_order"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    start_charge_seq: Mapped[str] = mapped_column(String(64), index=True)
    connector_id: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    phone: Mapped[str | None] = mapped_column(String(32))
    plate: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    failure: Mapped[str | None] = mapped_column(String(200))
    ident_code: Mapped[str | None] = mapped_column(String(64))
    policy: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queries: Mapped[int] = mapped_column(Integer, default=0)
    sample: Mapped[dict[str, Any] | None] = mapped_column(Json)
    sampled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stop_reason: Mapped[int | None] = mapped_column(Integer)
    energy_kwh: Mapped[Decimal | None] = mapped_column(Kwh4)
    elec_fee: Mapped[Decimal | None] = mapped_column(Yuan4)
    service_fee: Mapped[Decimal | None] = mapped_column(Yuan4)
    total_fee: Mapped[Decimal | None] = mapped_column(Yuan4)
    bill: Mapped[dict[str, Any] | None] = mapped_column(Json)
    billed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirm_result: Mapped[int | None] = mapped_column(Integer)
    history: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)

    __table_args__ = (
        UniqueConstraint("link_id", "start_charge_seq"),
        UniqueConstraint("link_id", "request_id"),
        Index("ix_roaming_order_state", "state", "created_at"),
        Index("ix_roaming_order_ended", "link_id", "ended_at"),
    )


class UnclaimedBill(TenantScoped, Base):
    """A bill whose order we never started, kept as it came: contested on the wire, and a person's question here."""

    __tablename__ = "unclaimed_bill"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    start_charge_seq: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    count: Mapped[int] = mapped_column(Integer, default=1)

    __table_args__ = (UniqueConstraint("link_id", "start_charge_seq"),)
