"""Tables of the parking room: parks and their connections, lanes, stays, passages, grants, gate commands.

Times named `occurred_at` are a device's clock, `received_at` ours; `entered_at` and `exited_at` of a stay are the times that rules use
(`parking.passages.rule_time`). Plates are stored in normal form.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, Kwh4, UtcDateTime, Yuan4


class ExitPolicy(StrEnum):
    """When the hub itself opens an exit: `never`; when the granted benefit covers the stay; when the park's bill says nothing is due."""

    NEVER = "never"
    COVERED = "covered"
    BILL = "bill"


class Role(StrEnum):
    """What a connection is used for; a park may have one connection for grants and others for gates and events."""

    GRANTS = "grants"
    STAYS = "stays"
    GATE = "gate"
    PASSAGES = "passages"


class StayState(StrEnum):
    """`abandoned`: closed without an exit that anybody saw."""

    INSIDE = "inside"
    EXITED = "exited"
    ABANDONED = "abandoned"


class GrantProgress(StrEnum):
    """Where a grant is (`specs/parking.md` 7.3). Being sent is the delivery's state in the ledger; the last five are ends."""

    WAITING = "waiting"
    QUEUED = "queued"
    GRANTED = "granted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    EXPIRED = "expired"


class Park(TenantScoped, Base):
    """A fee area. `rule` is a `GrantRule`; None means: nothing is granted here."""

    __tablename__ = "park"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    rule: Mapped[dict[str, Any] | None] = mapped_column(Json)
    exit_policy: Mapped[str] = mapped_column(String(16), default=ExitPolicy.COVERED)
    max_stay_days: Mapped[int] = mapped_column(Integer, default=30)
    enabled: Mapped[bool] = mapped_column(default=True)
    stations: Mapped[list[ParkStation]] = relationship(back_populates="park", order_by="ParkStation.station_id")
    connections: Mapped[list[ParkConnection]] = relationship(back_populates="park", order_by="ParkConnection.code")
    lanes: Mapped[list[GateLane]] = relationship(back_populates="park", order_by="GateLane.code")

    __table_args__ = (UniqueConstraint("tenant_id", "code"),)


class ParkStation(TenantScoped, Base):
    """A station whose bays lie in a park; a station has one park at most. `rule` replaces the park's for its orders."""

    __tablename__ = "park_station"

    station_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    rule: Mapped[dict[str, Any] | None] = mapped_column(Json)
    enabled: Mapped[bool] = mapped_column(default=True)
    park: Mapped[Park] = relationship(back_populates="stations")


class ParkConnection(TenantScoped, Base):
    """One adapter with its settings. `secrets` is sealed; `inbound_token` is the unguessable part of the path it pushes to.

    `auth_failed_at` stops every call until the settings are changed or the connection is tested by hand: devices lock accounts.
    """

    __tablename__ = "park_connection"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    code: Mapped[str] = mapped_column(String(64))
    adapter: Mapped[str] = mapped_column(String(32))
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    secrets: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[Any]] = mapped_column(Json)
    inbound_token: Mapped[str] = mapped_column(String(64), unique=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    enabled: Mapped[bool] = mapped_column(default=True)
    auth_failed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_push_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clock_skew_s: Mapped[int | None] = mapped_column(Integer)
    park: Mapped[Park] = relationship(back_populates="connections")

    __table_args__ = (UniqueConstraint("park_id", "code"),)


class GateLane(TenantScoped, Base):
    """A lane with a barrier. `code` is the `lane_ref` of events; `connection_id` moves the barrier, None: not by us."""

    __tablename__ = "gate_lane"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    code: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    direction: Mapped[str] = mapped_column(String(8))
    connection_id: Mapped[str | None] = mapped_column(ForeignKey("park_connection.id"))
    enabled: Mapped[bool] = mapped_column(default=True)
    park: Mapped[Park] = relationship(back_populates="lanes")

    __table_args__ = (UniqueConstraint("park_id", "code"),)


_INSIDE = text("state = 'inside' AND plate IS NOT NULL")


class Stay(TenantScoped, Base):
    """One entry..exit of one car. `entered_at` is None when only its exit was seen. Versions order its events."""

    __tablename__ = "stay"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    plate: Mapped[str | None] = mapped_column(String(32))
    plate_color: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default=StayState.INSIDE)
    entered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    entry_lane: Mapped[str | None] = mapped_column(String(64))
    exit_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    exited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    exit_lane: Mapped[str | None] = mapped_column(String(64))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__ = (
        Index("ix_stay_plate", "park_id", "plate"),
        Index("ix_stay_state", "state", "entered_at"),
        # One car is inside once; two processes that record the same entry cannot both win.
        Index("uq_stay_inside", "park_id", "plate", unique=True, postgresql_where=_INSIDE, sqlite_where=_INSIDE),
    )


class Passage(TenantScoped, Base):
    """One event of a lane, as received; kept also when it changed nothing."""

    __tablename__ = "passage"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("park_connection.id"))
    stay_id: Mapped[str | None] = mapped_column(String(26), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    lane_ref: Mapped[str] = mapped_column(String(64))
    plate: Mapped[str | None] = mapped_column(String(32))
    plate_raw: Mapped[str] = mapped_column(String(64))
    plate_color: Mapped[str | None] = mapped_column(String(16))
    confidence: Mapped[Decimal | None] = mapped_column(Kwh4)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_replay: Mapped[bool] = mapped_column(default=False)
    source_event_id: Mapped[str | None] = mapped_column(String(128))
    device_ref: Mapped[str | None] = mapped_column(String(64))
    pictures: Mapped[list[Any]] = mapped_column(Json, default=list)

    __table_args__ = (Index("ix_passage_occurred", "connection_id", "occurred_at"),)


class ParkingGrant(TenantScoped, Base):
    """What one charge order earned in its park, decided once (`order_id` is unique), and how far it has come.

    `idempotency_key` is stored before anything is sent. `benefit_value` is minutes, yuan or percent, by `benefit_kind`.
    """

    __tablename__ = "parking_grant"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    order_id: Mapped[str] = mapped_column(String(26))
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    station_id: Mapped[str] = mapped_column(String(26))
    stay_id: Mapped[str | None] = mapped_column(String(26), index=True)
    plate: Mapped[str | None] = mapped_column(String(32))
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    charge_started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    charge_ended_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    message: Mapped[str | None] = mapped_column(String(300))
    benefit_kind: Mapped[str | None] = mapped_column(String(16))
    benefit_value: Mapped[Decimal | None] = mapped_column(Yuan4)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    vendor_ref: Mapped[str | None] = mapped_column(String(128))
    valid_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    valid_until: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(Integer, default=1)

    __table_args__ = (
        UniqueConstraint("tenant_id", "order_id"),
        Index("ix_parking_grant_state", "state", "valid_until"),
        Index("ix_parking_grant_plate", "park_id", "plate"),
    )


class GateCommandRow(TenantScoped, Base):
    """One command to a barrier with all its attempts. Sent directly; never leased, laddered or replayed (DECISIONS 21)."""

    __tablename__ = "gate_command"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    park_id: Mapped[str] = mapped_column(ForeignKey("park.id"), index=True)
    lane_id: Mapped[str] = mapped_column(ForeignKey("gate_lane.id"))
    connection_id: Mapped[str] = mapped_column(ForeignKey("park_connection.id"))
    stay_id: Mapped[str | None] = mapped_column(String(26), index=True)
    passage_id: Mapped[str | None] = mapped_column(String(26), unique=True)
    action: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(24))
    outcome: Mapped[str | None] = mapped_column(String(24))
    code: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(String(300))
    method: Mapped[str | None] = mapped_column(String(32))
    attempts: Mapped[list[Any]] = mapped_column(Json, default=list)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
