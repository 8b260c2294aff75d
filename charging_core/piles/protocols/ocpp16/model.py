"""Tables of the OCPP part: who may connect under which name and secret, and the transactions we numbered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import UtcDateTime

IDENTITY_LENGTH = 48
"""Characters of a charge point's identity by the standard's successor; 1.6 says nothing."""


class OcppAccess(TenantScoped, Base):
    """Under which identity (the last part of its URL) a pile connects, and its password for basic auth, sealed
    (`SecretBox`, context `ocpp:<pile code>`); none: it need not show one (security profile 0)."""

    __tablename__ = "ocpp_access"

    pile_code: Mapped[str] = mapped_column(String(14), primary_key=True)
    identity: Mapped[str] = mapped_column(String(IDENTITY_LENGTH), unique=True)
    secret: Mapped[str | None] = mapped_column(Text)


class OcppTransaction(TenantScoped, Base):
    """A transaction of a pile; its id is the `transactionId` that we gave. Energies in Wh, as the pile's register shows them.

    `told_start`, `told_stop` are what the pile said, word for word, to know a repeat by (none: unreadable); `started_at` and
    `stopped_at` are what we believe. `trade_number` is that of our start command when the idTag was its one-time tag, else made here.
    """

    __tablename__ = "ocpp_transaction"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pile_code: Mapped[str] = mapped_column(String(14))
    connector_no: Mapped[int] = mapped_column(Integer)
    id_tag: Mapped[str] = mapped_column(String(64))
    trade_number: Mapped[str] = mapped_column(String(64), unique=True)
    meter_start_wh: Mapped[int] = mapped_column(BigInteger)
    meter_stop_wh: Mapped[int | None] = mapped_column(BigInteger)
    told_start: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    told_stop: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_ocpp_transaction_pile", "pile_code", "connector_no"),)
