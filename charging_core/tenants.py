"""Tenants (租户) and their operators (运营商): who owns a row, and under which OperatorID it appears outside."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import UtcDateTime


class Tenant(Base):
    """One customer of the hub; `id` is the short name used in paths and files."""

    __tablename__ = "tenant"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Operator(TenantScoped, Base):
    """A legal operator of a tenant, known outside by its OperatorID (9 characters, `specs/tcec102.md` 9.2)."""

    __tablename__ = "operator"

    operator_id: Mapped[str] = mapped_column(String(9), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    tel: Mapped[str] = mapped_column(String(32))
    credit_code: Mapped[str | None] = mapped_column(String(18))
    registered_address: Mapped[str | None] = mapped_column(String(128))
    enabled: Mapped[bool] = mapped_column(default=True)
