"""Why a card or a vehicle may not charge here now: the reasons of `specs/ykc.md` 5 (0x32), looked at in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.members.pin import pin_fits
from charging_core.members.service import Identity
from charging_core.money import ZERO
from charging_core.orders.model import ChargeOrder
from charging_core.orders.service import open_order
from charging_core.orders.starts.facts import ShownBy, StartAsked, StartRefusal
from charging_core.orders.starts.funds import LEAST_YUAN, UNSETTLED
from charging_core.orders.state import OPEN_STATES
from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.service import why_unusable

CAPACITY = "capacity_kw"
"""Member of a station's `extra`: what its grid connection gives; absent: cards are not refused for it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request with everything that is known about it. `limit_yuan` is what it could spend, `group_id` the charge it would join."""

    session: HubSession
    asked: StartAsked
    connector: Connector
    identity: Identity | None
    limit_yuan: Decimal
    group_id: str | None


def why_refused(case: Case) -> StartRefusal | None:
    """The first reason that applies; none: it may start."""
    return next((reason for reason, applies in _IN_ORDER if applies(case)), None)


def _unknown_account(case: Case) -> bool:
    return case.identity is None and case.asked.by is not ShownBy.VIN


def _frozen(case: Case) -> bool:
    return case.identity is not None and not case.identity.usable


def _no_money(case: Case) -> bool:
    return case.identity is not None and case.identity.member.spendable_yuan < LEAST_YUAN


def _money_is_held(case: Case) -> bool:
    """There is money, but charges of other cards or vehicles of the account may take it all."""
    return case.identity is not None and case.limit_yuan < LEAST_YUAN


def _card_unsettled(case: Case) -> bool:
    """One running order per card or vehicle; those of the same parallel charge are one."""
    if case.identity is None:
        return False
    query = select(ChargeOrder.group_id).where(
        ChargeOrder.member_id == case.identity.member.id, ChargeOrder.state.in_(UNSETTLED)
    )
    card, vehicle = case.identity.card, case.identity.vehicle
    own = ChargeOrder.card == card.number if card else ChargeOrder.vin == (vehicle.vin if vehicle else None)
    query = query.where(own)
    return any(group_id is None or group_id != case.group_id for group_id in case.session.scalars(query))


def _pile_disabled(case: Case) -> bool:
    """A pile that asks is not off-line, whatever its last state was."""
    return why_unusable(case.connector) in ("disabled", "fault")


def _not_allowed_here(case: Case) -> bool:
    allowed = case.identity.member.stations if case.identity is not None else None
    return allowed is not None and case.connector.pile.station.code not in allowed


def _wrong_pin(case: Case) -> bool:
    """A card with a PIN needs it; of one without, nothing that was typed is looked at."""
    card = case.identity.card if case.identity is not None else None
    if card is None or card.pin_hash is None or case.asked.by is ShownBy.CARD_NUMBER:
        return False
    return case.asked.pin is None or not pin_fits(card.pin_hash, case.asked.pin)


def _no_capacity(case: Case) -> bool:
    """What runs and starts at the station, at its connectors' rated power, must leave room for this one."""
    capacity = case.connector.pile.station.extra.get(CAPACITY)
    if capacity is None:
        return False
    busy = select(Connector.power_kw).join(ChargeOrder, ChargeOrder.connector_id == Connector.id)
    here = busy.where(ChargeOrder.station_id == case.connector.pile.station_id, ChargeOrder.state.in_(OPEN_STATES))
    drawn = sum(case.session.scalars(here), ZERO)
    return drawn + case.connector.power_kw > Decimal(str(capacity))


def _unknown_vin(case: Case) -> bool:
    return case.identity is None and case.asked.by is ShownBy.VIN


def _pile_unsettled(case: Case) -> bool:
    """One open order per connector (P8), also one that nobody here knows of."""
    charging = case.connector.state == ConnectorState.CHARGING
    return charging or open_order(case.session, case.connector.id) is not None


def _no_cards(case: Case) -> bool:
    return not case.asked.takes_cards


_IN_ORDER: tuple[tuple[StartRefusal, Callable[[Case], bool]], ...] = (
    (StartRefusal.UNKNOWN_ACCOUNT, _unknown_account),
    (StartRefusal.FROZEN, _frozen),
    (StartRefusal.NO_MONEY, _no_money),
    (StartRefusal.CARD_UNSETTLED, _card_unsettled),
    (StartRefusal.NO_MONEY, _money_is_held),
    (StartRefusal.PILE_DISABLED, _pile_disabled),
    (StartRefusal.NOT_ALLOWED_HERE, _not_allowed_here),
    (StartRefusal.WRONG_PIN, _wrong_pin),
    (StartRefusal.NO_CAPACITY, _no_capacity),
    (StartRefusal.UNKNOWN_VIN, _unknown_vin),
    (StartRefusal.PILE_UNSETTLED, _pile_unsettled),
    (StartRefusal.NO_CARDS, _no_cards),
)
