"""Tables of stations, piles and connectors.

Facts that only some destination wants (a province's codes, grid data) live in `extra`, which profiles may read by name.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, Kwh4, UtcDateTime


class ConnectorState(StrEnum):
    """What a connector is doing, in our words (`specs/municipal.md` 13.2 maps it outwards)."""

    OFFLINE = "offline"
    IDLE = "idle"
    PLUGGED = "plugged"
    CHARGING = "charging"
    FINISHED = "finished"
    RESERVED = "reserved"
    FAULT = "fault"


class PileKind(StrEnum):
    """Direct or alternating current."""

    DC = "dc"
    AC = "ac"


class Station(TenantScoped, Base):
    """A charging station. Coordinates are GCJ-02 degrees with 6 decimals, kept as text-exact decimals in `location`."""

    __tablename__ = "station"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(20))
    operator_id: Mapped[str] = mapped_column(String(9), index=True)
    owner_id: Mapped[str | None] = mapped_column(String(18))
    name: Mapped[str] = mapped_column(String(50))
    area_code: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(String(200))
    service_tel: Mapped[str] = mapped_column(String(30))
    station_tel: Mapped[str | None] = mapped_column(String(30))
    kind: Mapped[str] = mapped_column(String(32), default="public")
    construction: Mapped[str] = mapped_column(String(32), default="other")
    status: Mapped[str] = mapped_column(String(32), default="normal")
    bays: Mapped[int] = mapped_column(Integer, default=0)
    location: Mapped[dict[str, Any]] = mapped_column(Json)
    texts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    extra: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    tariff_id: Mapped[str] = mapped_column(String(26))
    enabled: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    piles: Mapped[list[Pile]] = relationship(back_populates="station", order_by="Pile.code")

    __table_args__ = (
        UniqueConstraint("operator_id", "code"),
        # Partners name stations by code, fifty at a time; without it each question walks through all stations of the tenant.
        Index("ix_station_tenant_code", "tenant_id", "code"),
    )


class Pile(TenantScoped, Base):
    """A pile. `code` is its 14-digit address on the wire, unique in the whole hub because a login carries nothing else."""

    __tablename__ = "pile"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(14), unique=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), index=True)
    name: Mapped[str | None] = mapped_column(String(30))
    kind: Mapped[str] = mapped_column(String(8))
    power_kw: Mapped[Decimal] = mapped_column(Kwh4)
    protocol: Mapped[str] = mapped_column(String(16), default="ykc")
    protocol_options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    manufacturer: Mapped[str | None] = mapped_column(String(30))
    model: Mapped[str | None] = mapped_column(String(20))
    extra: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    enabled: Mapped[bool] = mapped_column(default=True)
    online: Mapped[bool] = mapped_column(default=False)
    firmware: Mapped[str | None] = mapped_column(String(32))
    confirmed_tariff_version_id: Mapped[str | None] = mapped_column(String(26))
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    connection_id: Mapped[str | None] = mapped_column(String(64))
    station: Mapped[Station] = relationship(back_populates="piles")
    connectors: Mapped[list[Connector]] = relationship(back_populates="pile", order_by="Connector.number")


class Connector(TenantScoped, Base):
    """A connector with its live status. `code` = pile code + two-digit number (DECISIONS 11)."""

    __tablename__ = "connector"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(26), unique=True)
    pile_id: Mapped[str] = mapped_column(ForeignKey("pile.id"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str | None] = mapped_column(String(30))
    kind: Mapped[str] = mapped_column(String(32))
    voltage_upper_v: Mapped[int] = mapped_column(Integer)
    voltage_lower_v: Mapped[int] = mapped_column(Integer)
    current_a: Mapped[int] = mapped_column(Integer)
    power_kw: Mapped[Decimal] = mapped_column(Kwh4)
    national_standard: Mapped[int] = mapped_column(Integer, default=2)
    bay: Mapped[str | None] = mapped_column(String(10))
    extra: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    enabled: Mapped[bool] = mapped_column(default=True)
    state: Mapped[str] = mapped_column(String(16), default=ConnectorState.OFFLINE)
    plugged: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(Integer, default=0)
    state_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sampled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sample: Mapped[dict[str, Any] | None] = mapped_column(Json)
    reserved_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pile: Mapped[Pile] = relationship(back_populates="connectors")


class RefusedLogin(Base):
    """A pile that knocked and was not let in: unknown, disabled, or of another protocol. One row per (code, address)."""

    __tablename__ = "refused_login"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    pile_code: Mapped[str] = mapped_column(String(48))
    """As it named itself: a code, or whatever a stranger says."""
    address: Mapped[str] = mapped_column(String(64))
    firmware: Mapped[str | None] = mapped_column(String(32))
    protocol: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(64))
    tenant_id: Mapped[str | None] = mapped_column(String(64), index=True)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    count: Mapped[int] = mapped_column(Integer, default=1)

    __table_args__ = (UniqueConstraint("pile_code", "address"), Index("ix_refused_login_last", "last_at"))
