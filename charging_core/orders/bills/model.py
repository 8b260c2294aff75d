"""Tables behind a bill: each version that was ever made, and what the staff did to an order. Rows are added, never changed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from charging_core.db import Base, TenantScoped
from charging_core.types import BigKey, Json, Kwh4, UtcDateTime, Yuan4

REASON_LENGTH = 500
"""Characters kept of a reason."""
PLATFORM = "platform"
"""Who made a bill that followed from a record alone."""


class BillKind(StrEnum):
    """What a version of a bill came from."""

    RECORD = "record"
    ESTIMATE = "estimate"
    CLOSED = "closed"
    RESETTLED = "resettled"
    REFUND = "refund"


class StaffAction(StrEnum):
    """What the staff may do to an order."""

    END = "end"
    CLOSE = "close"
    RESETTLE = "resettle"
    REFUND = "refund"
    ACCEPT = "accept"
    ATTACH = "attach"


class OrderBill(TenantScoped, Base):
    """One version of an order's bill. The last one is what the order shows; `refund_yuan` is all that was given back so far.

    `waived_yuan` is what was above the payer's limit (`limit_yuan`) and is not charged, by the order's rule `over_limit`.
    `facts` is what was counted, `details` the lines, `checks` what was compared with the pile's own figures (P5).
    """

    __tablename__ = "order_bill"

    order_id: Mapped[str] = mapped_column(ForeignKey("charge_order.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(96))
    reason: Mapped[str | None] = mapped_column(String(REASON_LENGTH))
    tariff_version_id: Mapped[str] = mapped_column(String(26))
    discount: Mapped[str | None] = mapped_column(String(64))
    energy_kwh: Mapped[Decimal] = mapped_column(Kwh4)
    elec_fee: Mapped[Decimal] = mapped_column(Yuan4)
    service_fee: Mapped[Decimal] = mapped_column(Yuan4)
    refund_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    limit_yuan: Mapped[Decimal | None] = mapped_column(Yuan4)
    waived_yuan: Mapped[Decimal] = mapped_column(Yuan4)
    facts: Mapped[dict[str, Any]] = mapped_column(Json)
    details: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    checks: Mapped[list[dict[str, Any]]] = mapped_column(Json)

    @property
    def total_fee(self) -> Decimal:
        """Yuan to pay by this version."""
        return self.elec_fee + self.service_fee


class OrderAction(TenantScoped, Base):
    """What somebody of the staff did to an order: when, who, why, and the totals before and after."""

    __tablename__ = "order_action"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("charge_order.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(96))
    reason: Mapped[str] = mapped_column(String(REASON_LENGTH))
    before: Mapped[dict[str, Any]] = mapped_column(Json)
    after: Mapped[dict[str, Any]] = mapped_column(Json)
