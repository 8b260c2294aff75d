"""What `hub apply` declares of members: the account, its cards and vehicles. Money and blocks are not its business once it exists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import Conflict
from charging_core.ids import new_id
from charging_core.members.ledger import Note, open_account
from charging_core.members.model import Member, MemberCard, MemberVehicle
from charging_core.members.pin import hash_pin, is_pin
from charging_core.money import ZERO

APPLIED_BY = "apply"


@dataclass(frozen=True, slots=True)
class CardSpec:
    """A card. `number` and `physical` are 16 hexadecimal digits; `pin` in clear, none: it has none."""

    number: str
    physical: str
    pin: str | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True)
class MemberSpec:
    """A member with all its cards and VINs. `opening_balance` counts only when the member is made."""

    code: str
    name: str
    phone: str | None = None
    opening_balance: Decimal = ZERO
    credit_yuan: Decimal = ZERO
    per_charge_yuan: Decimal | None = None
    stations: tuple[str, ...] | None = None
    cards: tuple[CardSpec, ...] = ()
    vins: tuple[str, ...] = ()


def save_member(session: HubSession, clock: Clock, spec: MemberSpec) -> list[Change]:
    """Create or change a member; what it no longer has is disabled, never deleted. Says what changed; nothing when applied before.

    Raises `Conflict` for a card or vehicle of another member, `InvalidInput` for an opening balance of no use.
    """
    member = session.scalars(select(Member).where(Member.code == spec.code)).one_or_none()
    changes: list[Change] = []
    if member is None:
        member = Member(
            id=new_id(), code=spec.code, tenant_id=session.tenant_id, created_at=clock.now(), balance_yuan=ZERO
        )
        set_members(member, _members(spec))
        session.add(member)
        session.flush()
        open_account(session, member, spec.opening_balance, Note(APPLIED_BY, clock.now()))
        changes.append(Change("member", spec.code, Action.CREATE))
    else:
        fields = set_members(member, _members(spec))
        changes += [Change("member", spec.code, Action.UPDATE, fields)] if fields else []
    changes += _save_cards(session, member, spec)
    changes += _save_vehicles(session, member, spec)
    return changes


def disable_members_except(session: HubSession, codes: Iterable[str]) -> list[Change]:
    """`--prune`: the other members may not charge any more."""
    kept, changes = set(codes), []
    for member in session.scalars(select(Member).where(Member.enabled)).all():
        if member.code not in kept:
            member.enabled = False
            changes.append(Change("member", member.code, Action.DISABLE))
    return changes


def _members(spec: MemberSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "phone": spec.phone,
        "credit_yuan": spec.credit_yuan,
        "per_charge_yuan": spec.per_charge_yuan,
        "stations": None if spec.stations is None else list(spec.stations),
        "enabled": True,
    }


def _save_cards(session: HubSession, member: Member, spec: MemberSpec) -> list[Change]:
    changes = []
    for card in spec.cards:
        row = session.scalars(select(MemberCard).where(MemberCard.number == card.number)).one_or_none()
        holder = session.scalars(select(MemberCard.number).where(MemberCard.physical == card.physical)).one_or_none()
        if (row is not None and row.member_id != member.id) or holder not in (None, card.number):
            raise Conflict(
                f"{card.number}: 卡号或物理卡号属于另一张卡 / the number or physical number is another card's"
            )
        changes += _save_card(session, member, row, card)
    return changes + _disable_rest(
        session.scalars(select(MemberCard).where(MemberCard.member_id == member.id, MemberCard.enabled)).all(),
        {card.number for card in spec.cards},
    )


def _save_card(session: HubSession, member: Member, row: MemberCard | None, card: CardSpec) -> list[Change]:
    wanted = {"physical": card.physical, "offline": card.offline, "enabled": True}
    if row is None:
        pin_hash = None if card.pin is None else hash_pin(card.pin)
        made = MemberCard(id=new_id(), member_id=member.id, number=card.number, pin_hash=pin_hash, **wanted)
        session.add(made)
        session.flush()
        return [Change("card", card.number, Action.CREATE)]
    fields = set_members(row, wanted) + _save_pin(row, card.pin)
    return [Change("card", card.number, Action.UPDATE, fields)] if fields else []


def _save_pin(row: MemberCard, pin: str | None) -> tuple[FieldChange, ...]:
    if pin is None and row.pin_hash is None:
        return ()
    if pin is not None and is_pin(row.pin_hash, pin):
        return ()
    row.pin_hash = None if pin is None else hash_pin(pin)
    return (FieldChange("pin", "changed", "changed"),)


def _disable_rest(rows: Iterable[MemberCard], kept: set[str]) -> list[Change]:
    changes = []
    for row in rows:
        if row.number not in kept:
            row.enabled = False
            changes.append(Change("card", row.number, Action.DISABLE))
    return changes


def _save_vehicles(session: HubSession, member: Member, spec: MemberSpec) -> list[Change]:
    changes = []
    for vin in spec.vins:
        row = session.scalars(select(MemberVehicle).where(MemberVehicle.vin == vin)).one_or_none()
        if row is not None and row.member_id != member.id:
            raise Conflict(f"{vin}: VIN 属于另一个账户 / the VIN is another member's")
        if row is None:
            session.add(MemberVehicle(id=new_id(), member_id=member.id, vin=vin))
            changes.append(Change("vehicle", vin, Action.CREATE))
        elif not row.enabled:
            row.enabled = True
            changes.append(Change("vehicle", vin, Action.UPDATE, (FieldChange("enabled", "False", "True"),)))
    session.flush()
    known = session.scalars(
        select(MemberVehicle).where(MemberVehicle.member_id == member.id, MemberVehicle.enabled)
    ).all()
    for row in known:
        if row.vin not in spec.vins:
            row.enabled = False
            changes.append(Change("vehicle", row.vin, Action.DISABLE))
    return changes
