"""A fleet with two cards and a vehicle, for whoever tests what members pay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database
from charging_core.members.catalog import CardSpec, MemberSpec, save_member
from charging_core.members.ledger import Note, sum_of_movements
from charging_core.members.model import Member, MemberMovement
from charging_core.members.service import require_member

NUMBER, PHYSICAL = "3201020000000101", "E14C0A5400000000"
SECOND, SECOND_PHYSICAL = "3201020000000102", "E14C0A5500000000"
VIN = "LTEST000000000017"
PIN = "246810"
FLEET = MemberSpec(
    code="fleet",
    name="西湖物流",
    phone="13800000000",
    opening_balance=Decimal("100.00"),
    cards=(CardSpec(NUMBER, PHYSICAL), CardSpec(SECOND, SECOND_PHYSICAL, pin=PIN, offline=True)),
    vins=(VIN,),
)
AT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)


def note(reason: str | None = "现金充值", reference: str | None = None) -> Note:
    return Note("token:desk", AT, reason, reference)


def enrol(db: Database, clock: Clock, tenant_id: str, **changes: Any) -> str:
    """Apply the fleet, changed as wanted; the member's id."""
    with db.session(tenant_id) as session:
        save_member(session, clock, replace(FLEET, **changes))
        return require_member(session, "fleet").id


def account(db: Database, tenant_id: str, code: str = "fleet") -> tuple[Decimal, list[tuple[str, Decimal]]]:
    """Balance and movements, which must agree."""
    with db.read(tenant_id) as session:
        member = require_member(session, code)
        assert sum_of_movements(session, member.id) == member.balance_yuan
        rows = session.scalars(
            select(MemberMovement).where(MemberMovement.member_id == member.id).order_by(MemberMovement.id)
        )
        return member.balance_yuan, [(row.kind, row.amount_yuan) for row in rows]


def change(db: Database, tenant_id: str, **members: Any) -> None:
    """Set members of the account's row."""
    with db.session(tenant_id) as session:
        member: Member = require_member(session, "fleet")
        for name, value in members.items():
            setattr(member, name, value)
