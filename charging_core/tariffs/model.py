"""Tables of tariffs and their versions. A version never changes once it is valid; a change is a new version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, UtcDateTime


class Tariff(TenantScoped, Base):
    """A named tariff of a tenant."""

    __tablename__ = "tariff"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    enabled: Mapped[bool] = mapped_column(default=True)

    __table_args__ = (UniqueConstraint("tenant_id", "code"),)


class TariffVersion(TenantScoped, Base):
    """One state of a tariff, valid from an instant until the next version. `model_number` is what piles confirm (4 digits).

    `periods` are those of one day at published prices. `day` is the kind of day they are for (none: the tariff has no calendar), `plan` the
    whole declaration, `declared_from` when that took effect.
    """

    __tablename__ = "tariff_version"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    tariff_id: Mapped[str] = mapped_column(ForeignKey("tariff.id"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    model_number: Mapped[str] = mapped_column(String(4))
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    periods: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    day: Mapped[str | None] = mapped_column(String(32))
    plan: Mapped[dict[str, Any] | None] = mapped_column(Json, deferred=True)
    declared_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("tariff_id", "number"),)
