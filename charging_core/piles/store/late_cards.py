"""Off-line charges of cards that nobody knew when their records came: billed once the card is declared, as the pile will not tell again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Text, literal, select, type_coerce

from charging_core.db import Database
from charging_core.members.model import MemberCard
from charging_core.orders.ports import OrderContext
from charging_core.piles.model import PARKED, TradeRecordRow
from charging_core.piles.store.parked import look_again

LOOKED_AT_FOR = timedelta(days=60)
"""A card that is declared later than that did not mean the charge."""
AT_ONCE = 100


def sweep_late_cards(db: Database, context: OrderContext) -> int:
    """Bill the parked off-line records whose card is known by now; returns how many. Each in its own transaction."""
    told = type_coerce(TradeRecordRow.told, Text)
    known = select(MemberCard.id).where(
        MemberCard.tenant_id == TradeRecordRow.tenant_id,
        told.contains(literal('"card":"') + MemberCard.physical + literal('"')),
    )
    parked = select(TradeRecordRow.id, TradeRecordRow.tenant_id).where(
        TradeRecordRow.order_id.is_(None),
        TradeRecordRow.state == PARKED,
        TradeRecordRow.received_at > context.clock.now() - LOOKED_AT_FOR,
        told.contains('"trade_flag":4'),
        known.exists(),
    )
    with db.read_system("off-line records of new cards") as session:
        found = session.execute(parked.order_by(TradeRecordRow.id).limit(AT_ONCE)).all()
    return sum(look_again(db, context, record_id, tenant_id) for record_id, tenant_id in found)
