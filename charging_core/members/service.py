"""Finding members by what they show, and blocking them. Every question names its tenant: piles ask in system sessions."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import or_, select

from charging_core.db import HubSession
from charging_core.errors import InvalidInput, NotFound
from charging_core.members.ledger import Note
from charging_core.members.model import (
    REASON_LENGTH,
    Member,
    MemberAction,
    MemberCard,
    MemberChange,
    MemberVehicle,
)

NO_VIN = frozenset({"", "0" * 17, "\xff" * 17})
"""What firmware sends where it has no VIN (`specs/ykc.md` 3)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a card or a vehicle belongs to."""

    member: Member
    card: MemberCard | None = None
    vehicle: MemberVehicle | None = None

    @property
    def usable(self) -> bool:
        """Neither the account nor what was shown is blocked or withdrawn."""
        shown = self.card or self.vehicle
        return self.member.usable and (shown is None or shown.usable)


def find_by_card(session: HubSession, tenant_id: str, physical: str) -> Identity | None:
    """By the number that readers send (16 hexadecimal digits)."""
    query = select(MemberCard).where(MemberCard.tenant_id == tenant_id, MemberCard.physical == physical.upper())
    return _of_card(session.scalars(query).one_or_none())


def find_by_number(session: HubSession, tenant_id: str, number: str) -> Identity | None:
    """By the number that is printed on the card; leading zeros may be left out."""
    if len(number) > 16 or not number.isascii() or not number.isalnum():
        return None
    padded = number.upper().zfill(16)
    query = select(MemberCard).where(MemberCard.tenant_id == tenant_id, MemberCard.number == padded)
    return _of_card(session.scalars(query).one_or_none())


def find_by_vin(session: HubSession, tenant_id: str, vin: str) -> Identity | None:
    """By the vehicle's VIN; what firmware sends instead of one is nobody's."""
    if vin in NO_VIN:
        return None
    query = select(MemberVehicle).where(MemberVehicle.tenant_id == tenant_id, MemberVehicle.vin == vin.upper())
    vehicle = session.scalars(query).one_or_none()
    return None if vehicle is None else Identity(vehicle.member, vehicle=vehicle)


def _of_card(card: MemberCard | None) -> Identity | None:
    return None if card is None else Identity(card.member, card=card)


def require_member(session: HubSession, name: str) -> Member:
    """The member of the session's tenant with this id or code. Raises `NotFound`."""
    member = session.scalars(select(Member).where(or_(Member.id == name, Member.code == name))).one_or_none()
    if member is None:
        raise NotFound(f"member {name}")
    return member


def require_card(session: HubSession, name: str) -> MemberCard:
    """The card of the session's tenant with this id or printed number. Raises `NotFound`."""
    padded = name.upper().zfill(16)
    query = select(MemberCard).where(or_(MemberCard.id == name, MemberCard.number == padded))
    card = session.scalars(query).one_or_none()
    if card is None:
        raise NotFound(f"card {name}")
    return card


def block_member(session: HubSession, member: Member, note: Note, *, blocked: bool) -> bool:
    """Refuse every new charge of the account, or allow them again; false when it was so already. Raises `InvalidInput` without reason."""
    return _block(session, member, None, note, blocked=blocked)


def block_card(session: HubSession, card: MemberCard, note: Note, *, blocked: bool) -> bool:
    """The same for one card. Piles that hold it for times without a link are told by the next sync."""
    return _block(session, card.member, card, note, blocked=blocked)


def _block(session: HubSession, member: Member, card: MemberCard | None, note: Note, *, blocked: bool) -> bool:
    reason = (note.reason or "").strip()
    if not reason or len(reason) > REASON_LENGTH:
        raise InvalidInput(
            "reason", f"需要原因, 至多 {REASON_LENGTH} 字 / a reason, at most {REASON_LENGTH} characters"
        )
    row: Member | MemberCard = card or member
    if row.blocked == blocked:
        return False
    row.blocked = blocked
    session.add(
        MemberAction(
            tenant_id=member.tenant_id,
            member_id=member.id,
            card_id=card.id if card else None,
            action=MemberChange.BLOCK if blocked else MemberChange.UNBLOCK,
            at=note.at,
            by=note.by[:96],
            reason=reason,
        )
    )
    session.flush()
    return True
