"""Charges that a pile makes without having asked us (P7): orders without a payer, until a record or a person says whose they are."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders import limits, metrics
from charging_core.orders.model import ChargeOrder, OrderTransition, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartRequest, new_order
from charging_core.stations.model import Connector
from charging_core.tariffs.service import version_in_use

log = structlog.get_logger()

UNASKED = "a charge that nobody asked us for; its payer is unknown"
"""What is to review about it."""


def begin_unasked(
    session: HubSession, context: OrderContext, connector: Connector, trade_number: str
) -> ChargeOrder | None:
    """An order for the charge that `connector`, whose row is held and which no order holds, shows under this number.

    Nothing is sent to the pile: it charges already. It is billed when its record comes, and ends by the timers of every order. None when
    an order has this number already, or the connector has no tariff to charge by.
    """
    known = select(ChargeOrder.id).where(ChargeOrder.trade_number == trade_number)
    if session.scalars(known).first() is not None:
        return None
    try:
        with session.begin_nested():
            order = _write(session, context, connector, trade_number)
    except (NotFound, IntegrityError) as error:
        log.warning("order.unasked_not_kept", connector=connector.code, problem=type(error).__name__)
        return None
    metrics.UNASKED.inc()
    log.warning("order.unasked", order_id=order.id, connector=connector.code)
    return order


def _write(session: HubSession, context: OrderContext, connector: Connector, trade_number: str) -> ChargeOrder:
    now, pile = context.clock.now(), connector.pile
    version = version_in_use(session, pile.confirmed_tariff_version_id, pile.station.tariff_id, now)
    request = StartRequest(connector_code=connector.code, origin=Origin.PILE, at_pile=True)
    order = new_order(context, connector, request, version.id, now + timedelta(seconds=limits.START_LIMIT_S))
    order.trade_number, order.review = trade_number, UNASKED
    session.add(order)
    session.flush()
    session.add(
        OrderTransition(
            tenant_id=order.tenant_id,
            order_id=order.id,
            at=now,
            happened="created",
            state=order.state,
            detail="unasked",
        )
    )
    session.flush()
    return order
