"""Tables of the partners room: links, the tokens we issued on them, what may not come again, and every exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import Json, UtcDateTime


class PartnerLink(TenantScoped, Base):
    """One partner platform as this tenant is connected to it.

    `inbound_keys` are the sealed key sets that we issued to it (newest first, the older ones valid during a rotation),
    `outbound_keys` the sealed set that it issued to us, `outbound_next_keys` the one that follows at a time kept in `options`.
    `stations` is `all`, `operator` (those of `our_operator_id`) or a list: a code means a station of `our_operator_id`,
    `OperatorID/code` one of another operator of the tenant.
    `version` rises with every change; processes notice by it.
    """

    __tablename__ = "partner_link"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    profile: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(String(8))
    our_operator_id: Mapped[str] = mapped_column(String(9))
    their_operator_ids: Mapped[list[str]] = mapped_column(Json)
    inbound_bases: Mapped[list[str]] = mapped_column(Json)
    outbound_base: Mapped[str | None] = mapped_column(String(300))
    inbound_keys: Mapped[list[str]] = mapped_column(Json)
    outbound_keys: Mapped[str | None] = mapped_column(Text)
    outbound_next_keys: Mapped[str | None] = mapped_column(Text)
    stations: Mapped[Any] = mapped_column(Json)
    options: Mapped[dict[str, Any]] = mapped_column(Json)
    allow_ips: Mapped[list[str]] = mapped_column(Json)
    enabled: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)


class PartnerToken(TenantScoped, Base):
    """A token we issued, as a digest. Several of one link are valid at once; `expires_at` is real time."""

    __tablename__ = "partner_token"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class PartnerReplay(TenantScoped, Base):
    """A signed text that came on a link which refuses replays, as a digest; `expires_at` is real time."""

    __tablename__ = "partner_replay"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    link_id: Mapped[str] = mapped_column(ForeignKey("partner_link.id"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_partner_replay_expires", "link_id", "expires_at"),)


class ExchangeRow(TenantScoped, Base):
    """One HTTP call and its answer on a link, either way, refused ones included. Texts are masked before they come here.

    `kind` is `partner` or another room's (`regulator`). `link_id` is empty when the caller was not recognised.
    """

    __tablename__ = "exchange"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    link_id: Mapped[str | None] = mapped_column(String(64))
    direction: Mapped[str] = mapped_column(String(3))
    interface: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration_ms: Mapped[int] = mapped_column(Integer)
    path: Mapped[str] = mapped_column(String(300))
    remote: Mapped[str | None] = mapped_column(String(64))
    operator_id: Mapped[str | None] = mapped_column(String(32))
    http_status: Mapped[int | None] = mapped_column(Integer)
    ret: Mapped[int | None] = mapped_column(Integer)
    message: Mapped[str | None] = mapped_column(String(300))
    failed_check: Mapped[str | None] = mapped_column(String(64))
    seq: Mapped[str | None] = mapped_column(String(16))
    object_key: Mapped[str | None] = mapped_column(String(64))
    request_body: Mapped[str | None] = mapped_column(Text)
    reply_body: Mapped[str | None] = mapped_column(Text)
    request_raw: Mapped[str | None] = mapped_column(Text)
    reply_raw: Mapped[str | None] = mapped_column(Text)
    request_bytes: Mapped[int] = mapped_column(Integer, default=0)
    reply_bytes: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__ = (
        Index("ix_exchange_link", "link_id", "id"),
        Index("ix_exchange_object", "object_key", "id"),
        Index("ix_exchange_at", "at"),
    )
