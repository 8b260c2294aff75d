"""The order of a charge that a pile allowed by itself while it had no link: made after the fact, when its record comes (P3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from charging_core.db import HubSession
from charging_core.members.service import Identity
from charging_core.orders.model import ChargeOrder, OrderTransition, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import Payer, StartRequest, new_order
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector, Pile
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.service import current_version, version_by_id

OLDEST = timedelta(days=180)
"""A start longer ago is a wrong clock, not a record that waited."""
AHEAD = timedelta(minutes=10)
"""A pile's clock may be so much before ours (P6)."""


@dataclass(frozen=True, slots=True)
class PastCharge:
    """What is known of it. The times are the pile's own and are believed where they are possible: nobody else saw the charge."""

    trade_number: str
    started_at: datetime | None
    ended_at: datetime | None
    vin: str | None
    received_at: datetime


def order_after_the_fact(
    session: HubSession, context: OrderContext, connector: Connector, identity: Identity, past: PastCharge
) -> ChargeOrder:
    """An order that has ended and waits for its record only, so that it takes no connector from anybody who charges now.

    Its record is settled by the caller, in the same transaction.
    """
    start, end = _when(past)
    pile = connector.pile
    version = _version(session, pile, start)
    request = StartRequest(
        connector_code=connector.code,
        origin=Origin.CARD,
        phone=identity.member.phone,
        vin=past.vin,
        payer=Payer(identity.member.id, identity.card.number if identity.card else None),
    )
    order = new_order(context, connector, request, version.id, past.received_at)
    order.trade_number = past.trade_number
    order.state = OrderState.ABNORMAL
    order.started_at, order.ended_at = start, end
    session.add(order)
    session.flush()
    session.add(
        OrderTransition(
            tenant_id=order.tenant_id,
            order_id=order.id,
            at=context.clock.now(),
            happened="created",
            state=order.state,
            detail="off-line charge by a known card",
        )
    )
    session.flush()
    return order


def _when(past: PastCharge) -> tuple[datetime, datetime]:
    earliest, latest = past.received_at - OLDEST, past.received_at + AHEAD
    start, end = past.started_at, past.ended_at
    if start is None or not earliest <= start <= latest:
        start = past.received_at if end is None or not earliest <= end <= latest else end
    if end is None or not start <= end <= latest:
        end = max(start, past.received_at)
    return start, end


def _version(session: HubSession, pile: Pile, at: datetime) -> TariffVersion:
    """The one the pile confirmed last, if it was in force by then; else the one that held at that time."""
    if pile.confirmed_tariff_version_id is not None:
        confirmed = version_by_id(session, pile.confirmed_tariff_version_id)
        if confirmed.valid_from <= at:
            return confirmed
    return current_version(session, pile.station.tariff_id, at)
