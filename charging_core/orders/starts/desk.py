"""Deciding what a pile asks: may this card, or this vehicle, charge here? On acceptance the order is made in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from types import MappingProxyType

import structlog

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.members.ledger import lock_member
from charging_core.members.service import Identity, find_by_card, find_by_number, find_by_vin
from charging_core.money import ZERO
from charging_core.orders import metrics
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import Group, Payer, Refusal, StartRequest, open_order, start_order
from charging_core.orders.starts.checks import Case, why_refused
from charging_core.orders.starts.facts import ShownBy, StartAsked, StartDecision, StartRefusal
from charging_core.orders.starts.funds import RUNNING, for_one_charge, free_yuan, halved
from charging_core.orders.starts.groups import call_off, open_group
from charging_core.orders.state import BEFORE_CHARGE
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector

log = structlog.get_logger()

_REASONS = MappingProxyType(
    {
        Refusal.DISABLED: StartRefusal.PILE_DISABLED,
        Refusal.FAULT: StartRefusal.PILE_DISABLED,
        Refusal.OFFLINE: StartRefusal.PILE_DISABLED,
        Refusal.BUSY: StartRefusal.PILE_UNSETTLED,
        Refusal.RECORD_PENDING: StartRefusal.PILE_UNSETTLED,
    }
)
"""What the orders refuse, for a pile; anything else is this account's not being let in here now (a reservation)."""


def decide(session: HubSession, context: OrderContext, asked: StartAsked) -> StartDecision:
    """Accept, with an order and its trade number, or refuse with the first reason that applies. `session` is of the pile's tenant.

    A pile that asks again because our answer got lost gets the same one. Rows are held in the order connector, order, member.
    """
    connector = find_connector(session, asked.connector_code, lock=True)
    if connector is None:
        return _refused(asked, StartRefusal.PILE_DISABLED, ZERO, None)
    identity = _identify(session, connector.tenant_id, asked)
    if identity is not None:
        lock_member(session, identity.member.id)
    again = _asked_again(session, connector, identity, asked)
    if again is not None:
        return again
    mates = open_group(session, connector, asked.parallel.number) if asked.parallel else []
    case = _case(session, asked, connector, identity, mates)
    refusal = why_refused(case) or _why_not_together(mates, identity)
    decision = _refused(asked, refusal, case.limit_yuan, identity) if refusal else _start(context, case, mates)
    if not decision.accepted:
        call_off(session, context, mates, "another connector of the parallel charge was refused")
    return decision


def may_charge(session: HubSession, asked: StartAsked) -> bool:
    """Whether a card is let in here now, without beginning anything (OCPP asks before the plug)."""
    connector = find_connector(session, asked.connector_code)
    if connector is None:
        return False
    identity = _identify(session, connector.tenant_id, asked)
    return why_refused(_case(session, asked, connector, identity, [])) is None


def _identify(session: HubSession, tenant_id: str, asked: StartAsked) -> Identity | None:
    match asked.by:
        case ShownBy.CARD:
            return find_by_card(session, tenant_id, asked.shown)
        case ShownBy.CARD_NUMBER:
            return find_by_number(session, tenant_id, asked.shown)
        case ShownBy.VIN:
            return find_by_vin(session, tenant_id, asked.shown)
        case _:
            return None


def _asked_again(
    session: HubSession, connector: Connector, identity: Identity | None, asked: StartAsked
) -> StartDecision | None:
    """The answer that was given, while the pile has not started by it."""
    order = open_order(session, connector.id)
    if order is None or identity is None or order.current_state not in BEFORE_CHARGE:
        return None
    same = order.origin in (Origin.CARD, Origin.VIN) and _pays(order, identity)
    number = asked.parallel.number if asked.parallel else None
    return _accepted(order) if same and order.group_number == number else None


def _pays(order: ChargeOrder, identity: Identity) -> bool:
    shown = order.card == identity.card.number if identity.card else order.card is None
    vehicle = identity.vehicle is None or order.vin == identity.vehicle.vin
    return order.member_id == identity.member.id and shown and vehicle


def _case(
    session: HubSession,
    asked: StartAsked,
    connector: Connector,
    identity: Identity | None,
    mates: Sequence[ChargeOrder],
) -> Case:
    group_id = mates[0].group_id if mates else None
    return Case(session, asked, connector, identity, _limit(session, asked, identity, mates), group_id)


def _limit(session: HubSession, asked: StartAsked, identity: Identity | None, mates: Sequence[ChargeOrder]) -> Decimal:
    """What may be spent here. Of a parallel charge each connector gets half: the second one what the first one left for it."""
    if identity is None:
        return ZERO
    free = free_yuan(session, identity.member)
    if mates:
        return min(free, mates[0].limit_yuan or ZERO)
    whole = for_one_charge(identity.member, free)
    return halved(whole) if asked.parallel else whole


def _why_not_together(mates: Sequence[ChargeOrder], identity: Identity | None) -> StartRefusal | None:
    """All connectors of a parallel charge are one payer's, and none has ended."""
    if identity is None or any(not _pays(mate, identity) for mate in mates):
        return StartRefusal.NOT_ALLOWED_HERE
    return StartRefusal.PILE_UNSETTLED if any(mate.current_state not in RUNNING for mate in mates) else None


def _start(context: OrderContext, case: Case, mates: Sequence[ChargeOrder]) -> StartDecision:
    identity, asked = case.identity, case.asked
    if identity is None:  # refused before
        return _refused(asked, StartRefusal.UNKNOWN_ACCOUNT, ZERO, None)
    request = StartRequest(
        connector_code=asked.connector_code,
        origin=Origin.VIN if asked.by is ShownBy.VIN else Origin.CARD,
        phone=identity.member.phone,
        vin=identity.vehicle.vin if identity.vehicle else None,
        limit_yuan=case.limit_yuan,
        payer=Payer(identity.member.id, identity.card.number if identity.card else None),
        group=_group(asked, mates),
        at_pile=True,
    )
    outcome = start_order(case.session, context, request)
    if outcome.order is None:
        known = outcome.refusal or Refusal.BUSY
        return _refused(asked, _REASONS.get(known, StartRefusal.NOT_ALLOWED_HERE), case.limit_yuan, identity)
    metrics.STARTS_AT_PILE.labels("accepted").inc()
    log.info("order.started_at_pile", order_id=outcome.order.id, origin=request.origin)
    return _accepted(outcome.order)


def _group(asked: StartAsked, mates: Sequence[ChargeOrder]) -> Group | None:
    if asked.parallel is None:
        return None
    return Group(mates[0].group_id or new_id() if mates else new_id(), asked.parallel.number)


def _accepted(order: ChargeOrder) -> StartDecision:
    return StartDecision(None, order.trade_number, order.card, order.limit_yuan or ZERO)


def _refused(asked: StartAsked, refusal: StartRefusal, balance: Decimal, identity: Identity | None) -> StartDecision:
    metrics.STARTS_AT_PILE.labels(refusal).inc()
    log.info("order.refused_at_pile", connector=asked.connector_code, by=asked.by, reason=refusal)
    card = identity.card.number if identity is not None and identity.card is not None else None
    return StartDecision(refusal, card=card, balance_yuan=balance)
