"""Who pays for a charge that a pile made without asking (P3, P7): the card of its record, when it is one of ours.

A record that nobody waits for gets an order after the fact; one that was seen running has its order already, and gets its payer.
"""

from __future__ import annotations

from charging_core.db import HubSession
from charging_core.members.service import Identity, find_by_card
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.provisional import UNASKED
from charging_core.orders.starts.offline import PastCharge, order_after_the_fact
from charging_core.piles.events import TradeRecord
from charging_core.stations.service import find_connector

OFFLINE_CARD = 4
"""Trade flag of 0x3B: started by a card of the list that the pile keeps for times without a link."""


def paid_by_card(
    session: HubSession, context: OrderContext, record: TradeRecord, order: ChargeOrder | None, tenant_id: str
) -> ChargeOrder | None:
    """The order of an off-line record, with its payer; `order` unchanged when the record is none, or its card nobody's.

    A blocked card pays too: the charge has happened. `order` is the record's, its row held.
    """
    if record.trade_flag != OFFLINE_CARD or record.card is None or not record.complete:
        return order
    identity = find_by_card(session, tenant_id, record.card)
    if identity is None:
        return order
    if order is None:
        return _made(session, context, record, identity, tenant_id)
    if order.origin == Origin.PILE and order.member_id is None:
        order.member_id, order.card = identity.member.id, identity.card.number if identity.card else None
        order.review = None if order.review == UNASKED else order.review
        session.flush()
    return order


def _made(
    session: HubSession, context: OrderContext, record: TradeRecord, identity: Identity, tenant_id: str
) -> ChargeOrder | None:
    connector = find_connector(session, f"{record.pile_code}{record.connector_no:02d}", lock=True)
    if connector is None or connector.tenant_id != tenant_id:
        return None
    past = PastCharge(record.trade_number, record.started_at, record.ended_at, record.vin, record.received_at)
    return order_after_the_fact(session, context, connector, identity, past)
