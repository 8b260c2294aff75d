"""What a member really has for a charge: the account less what its running charges may still take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.members import ledger
from charging_core.members.ledger import Note
from charging_core.members.model import Member, MemberMovement
from charging_core.money import FEN, ZERO
from charging_core.orders.life import lock_order
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.state import BEFORE_CHARGE, OPEN_STATES, OrderState

LEAST_YUAN = Decimal("1.00")
"""Below this no charge is begun: it would end at its first sample."""
BALANCE_VALID_FOR = timedelta(minutes=5)
"""A new balance that a pile could not be told for so long is not told any more; our own guard knows it in any case."""
RUNNING = frozenset({*BEFORE_CHARGE, OrderState.CHARGING})
"""States of an order that is still wanted: nobody and nothing has ended it."""
UNSETTLED = frozenset({*OPEN_STATES, OrderState.ABNORMAL})
"""States of an order whose cost is not known yet."""


def unsettled_orders(session: HubSession, member_id: str) -> Sequence[ChargeOrder]:
    """The member's charges that are not billed, oldest first."""
    query = select(ChargeOrder).where(ChargeOrder.member_id == member_id, ChargeOrder.state.in_(UNSETTLED))
    return session.scalars(query.order_by(ChargeOrder.id)).all()


def free_yuan(session: HubSession, member: Member) -> Decimal:
    """Balance and credit less what charges that are not billed may take (their limits); never below 0."""
    held = sum((order.limit_yuan or ZERO for order in unsettled_orders(session, member.id)), ZERO)
    return max(ZERO, member.spendable_yuan - held)


def for_one_charge(member: Member, free: Decimal) -> Decimal:
    """What one charge may take of what is free."""
    return free if member.per_charge_yuan is None else min(free, member.per_charge_yuan)


def halved(amount: Decimal) -> Decimal:
    """One of two equal parts, in whole fen, rounded down."""
    return (amount / 2).quantize(FEN, ROUND_DOWN)


def top_up(
    session: HubSession, context: OrderContext, member_id: str, amount: Decimal, note: Note
) -> tuple[MemberMovement, bool]:
    """Put money on an account; charges of it that run may take the new money, and their piles are told. Raises as `ledger.top_up`."""
    held = [lock_order(session, order.id) for order in unsettled_orders(session, member_id)]
    movement, fresh = ledger.top_up(session, member_id, amount, note)
    if fresh:
        running = [order for order in held if order is not None and order.current_state in RUNNING]
        _raise_limits(session, context, ledger.lock_member(session, member_id), running)
    return movement, fresh


def _raise_limits(session: HubSession, context: OrderContext, member: Member, running: Sequence[ChargeOrder]) -> None:
    """Equal shares of what is free, none beyond what one charge may take; whoever has no limit keeps none."""
    limited = [order for order in running if order.limit_yuan is not None]
    for place, order in enumerate(limited):
        share = (free_yuan(session, member) / (len(limited) - place)).quantize(FEN, ROUND_DOWN)
        limit = for_one_charge(member, (order.limit_yuan or ZERO) + share)
        if limit <= (order.limit_yuan or ZERO):
            continue
        order.limit_yuan = limit
        session.flush()
        expires_at = context.clock.now() + BALANCE_VALID_FOR
        context.commands.tell_balance(session, order.id, order.connector.code, limit, expires_at)
