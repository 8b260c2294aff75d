"""Tables of the municipal room: links to regulators, and what each of them last accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, UtcDateTime


class RegulatorLink(TenantScoped, Base):
    """One regulator as this tenant reports to it.

    `outbound_keys` is the sealed key set that it issued to us. `wire_names` names the pushes whose spelling the profile leaves open.
    `stations` is `all`, `operator` (those of `our_operator_id`) or a list of codes; the profile's region narrows it. `assigned_codes` are
    the codes that the regulator issued, by kind (station, pile, connector) and our code. `version` rises with every change.
    """

    __tablename__ = "regulator_link"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    profile: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(String(8))
    our_operator_id: Mapped[str] = mapped_column(String(9))
    their_operator_id: Mapped[str] = mapped_column(String(9))
    outbound_base: Mapped[str] = mapped_column(String(300))
    outbound_keys: Mapped[str] = mapped_column(Text)
    wire_names: Mapped[dict[str, str]] = mapped_column(Json)
    stations: Mapped[Any] = mapped_column(Json)
    assigned_codes: Mapped[dict[str, dict[str, str]]] = mapped_column(Json)
    options: Mapped[dict[str, Any]] = mapped_column(Json)
    enabled: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)


class RegulatorLastValue(TenantScoped, Base):
    """The mapped members that decide about news, as the regulator last accepted them (`specs/municipal.md` 13.3).

    One row per link, interface and object, kept beside the ledger because the ledger's history ends some day.
    """

    __tablename__ = "regulator_last_value"

    link_id: Mapped[str] = mapped_column(ForeignKey("regulator_link.id"), primary_key=True)
    interface: Mapped[str] = mapped_column(String(64), primary_key=True)
    object_key: Mapped[str] = mapped_column(String(128), primary_key=True)
    object_version: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[dict[str, Any]] = mapped_column(Json)
    accepted_at: Mapped[datetime] = mapped_column(UtcDateTime)
