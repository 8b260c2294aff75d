"""A member's money: the balance changes here only, together with a movement, with the member's row held, in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select

from charging_core.db import HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.members.model import REASON_LENGTH, Member, MemberMovement, MovementKind
from charging_core.money import ZERO, fen

MOST_YUAN = Decimal(1_000_000)
"""One movement beyond this is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Note:
    """Who moves money, when, and why. `reference` makes it once only: a repeat with the same one finds the first."""

    by: str
    at: datetime
    reason: str | None = None
    reference: str | None = None


def lock_member(session: HubSession, member_id: str) -> Member:
    """The member as committed last, its row held: after the rows of an order (`orders.life`). Raises `NotFound`."""
    query = select(Member).where(Member.id == member_id).with_for_update(of=Member, key_share=True)
    member = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if member is None:
        raise NotFound(f"member {member_id}")
    return member


def top_up(session: HubSession, member_id: str, amount: Decimal, note: Note) -> tuple[MemberMovement, bool]:
    """Put `amount` yuan on the account; false when the reference had done so already.

    Raises `NotFound`, `InvalidInput` for an amount that is no whole fen above 0, `Conflict` for a reference used for something else.
    """
    if _checked(amount) <= 0:
        raise InvalidInput("amount", "应大于 0 / is above 0")
    return _by_hand(session, member_id, MovementKind.TOP_UP, amount, note)


def correct(session: HubSession, member_id: str, amount: Decimal, note: Note) -> tuple[MemberMovement, bool]:
    """Put a balance right by `amount` yuan, up or down. Needs a reason; otherwise as `top_up`."""
    if not (note.reason or "").strip():
        raise InvalidInput("reason", "需要原因 / a reason is needed")
    if _checked(amount) == 0:
        raise InvalidInput("amount", "不能为 0 / is not 0")
    return _by_hand(session, member_id, MovementKind.CORRECTION, amount, note)


def open_account(session: HubSession, member: Member, amount: Decimal, note: Note) -> None:
    """The first balance of a member that has just been made."""
    if amount:
        _move(session, member, MovementKind.OPENING, _checked(amount), note)


def charge_for(
    session: HubSession, member_id: str, order_id: str, bill_number: int, total: Decimal, kind: MovementKind, note: Note
) -> None:
    """The order costs `total` yuan from now on: what is more or less than was taken for it so far is moved.

    Once per version of a bill; a bill that costs the same moves nothing. The charge has happened, so the balance may fall below zero.
    """
    member = lock_member(session, member_id)
    difference = fen(total) - taken_for(session, order_id)
    done = select(MemberMovement.id).where(
        MemberMovement.order_id == order_id, MemberMovement.bill_number == bill_number
    )
    if difference and session.scalars(done).first() is None:
        _move(session, member, kind, -difference, note, order_id, bill_number)


def taken_for(session: HubSession, order_id: str) -> Decimal:
    """Yuan that were taken for an order so far."""
    amounts = session.scalars(select(MemberMovement.amount_yuan).where(MemberMovement.order_id == order_id))
    return -sum(amounts, ZERO)


def sum_of_movements(session: HubSession, member_id: str) -> Decimal:
    """What the balance must be."""
    total = session.scalar(select(func.sum(MemberMovement.amount_yuan)).where(MemberMovement.member_id == member_id))
    return total or ZERO


def _by_hand(
    session: HubSession, member_id: str, kind: MovementKind, amount: Decimal, note: Note
) -> tuple[MemberMovement, bool]:
    member = lock_member(session, member_id)
    earlier = _earlier(session, member, note.reference)
    if earlier is None:
        return _move(session, member, kind, amount, note), True
    if (earlier.kind, earlier.amount_yuan) != (kind, amount):
        raise Conflict(f"{note.reference}: 已用于另一笔 / was used for another movement")
    return earlier, False


def _earlier(session: HubSession, member: Member, reference: str | None) -> MemberMovement | None:
    if reference is None:
        return None
    query = select(MemberMovement).where(MemberMovement.member_id == member.id, MemberMovement.reference == reference)
    return session.scalars(query).one_or_none()


def _checked(amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount != fen(amount) or abs(amount) > MOST_YUAN:
        raise InvalidInput(
            "amount", f"至多两位小数, 绝对值至多 {MOST_YUAN} / at most two decimals, at most {MOST_YUAN}"
        )
    return amount


def _move(
    session: HubSession,
    member: Member,
    kind: MovementKind,
    amount: Decimal,
    note: Note,
    order_id: str | None = None,
    bill_number: int | None = None,
) -> MemberMovement:
    member.balance_yuan += amount
    movement = MemberMovement(
        id=new_id(),
        tenant_id=member.tenant_id,
        member_id=member.id,
        kind=kind,
        amount_yuan=amount,
        balance_yuan=member.balance_yuan,
        order_id=order_id,
        bill_number=bill_number,
        reference=note.reference,
        at=note.at,
        by=note.by[:96],
        reason=note.reason[:REASON_LENGTH] if note.reason else None,
    )
    session.add(movement)
    session.flush()
    return movement
