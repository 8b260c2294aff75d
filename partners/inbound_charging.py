"""The charging business that partners ask for: usable, price, start, state, stop (T/CEC 102.3; `specs/tcec102.md` 11.5-11.11, 12.4).

No pile is called here: a start or stop is a row in the order's transaction, and its result leaves later as a push.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import (
    Refusal,
    StartOutcome,
    StartRequest,
    find_by_seq,
    open_order,
    request_stop,
    start_order,
)
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector, Pile
from charging_core.stations.service import why_unusable
from charging_core.tariffs.service import version_in_use
from partners.asking import Asked
from partners.bills import joined_periods, within_bounds
from partners.tcec102.errors import RET_BUSINESS, BusinessError, Busy

NONE = "none"
"""The word for "no refusal" in the profiles' tables."""
UNKNOWN_STATE = "unknown"
NO_SUCH_ORDER = "no_such_order"
NOT_PLUGGED = "not_plugged"
NO_POLICY = "no_policy"

LARGEST_LIMIT_YUAN = Decimal(9999)
"""A limit that no charge reaches is none; this is what a pile is told without one, and larger ones fit no frame (0x34)."""
START_MARGIN_S = 5
"""The start is given up this long before the partner's deadline, so that the refusal still arrives in time (DECISIONS 16)."""


def query_equip_auth(asked: Asked) -> dict[str, Any]:
    """11.5: is this connector usable now, with the plug in and no other order on it."""
    with asked.reading() as session:
        connector = asked.connector(session, asked.body["ConnectorID"])
        refusal = Refusal.NO_SUCH_CONNECTOR if connector is None else _why_not_ready(session, connector)
    return asked.answer("query_equip_auth", {"refusal": refusal})


def query_equip_business_policy(asked: Asked) -> dict[str, Any]:
    """11.6: the price periods that the pile really bills by (DECISIONS 14)."""
    with asked.reading() as session:
        connector = asked.connector(session, asked.body["ConnectorID"])
        periods = [] if connector is None else _periods(asked, session, connector)
    return asked.answer("query_equip_business_policy", {"refusal": NONE if periods else NO_POLICY, "periods": periods})


def query_start_charge(asked: Asked) -> dict[str, Any]:
    """11.7: idempotent on StartChargeSeq; the same sequence for another connector is refused (12.4)."""
    with asked.writing() as session:
        refusal, state = _start(asked, session)
    return asked.answer("query_start_charge", {"refusal": refusal, "state": state})


def query_equip_charge_status(asked: Asked) -> dict[str, Any]:
    """11.9: the order as it stands; after the end its final values. An order of another link is unknown here."""
    with asked.reading() as session:
        order = find_by_seq(session, asked.link.id, asked.body["StartChargeSeq"])
        if order is not None:
            return asked.answer("query_equip_charge_status", within_bounds(order_snapshot(session, order)))
    if asked.link.profile.spec.served.unknown_order == "ret_4004":
        raise BusinessError(RET_BUSINESS, "StartChargeSeq", "没有这个订单 no such order")
    nothing = {
        "start_charge_seq": asked.body["StartChargeSeq"],
        "state": UNKNOWN_STATE,
        "created_at": asked.context.clock.now(),
        "connector": {"code": asked.body.get("ConnectorID") or "0", "state": "offline"},
    }
    return asked.answer("query_equip_charge_status", nothing)


def query_stop_charge(asked: Asked) -> dict[str, Any]:
    """11.11: success while stopping, "already stopped" afterwards (12.4)."""
    with asked.writing() as session:
        refusal, state = _stop(asked, session)
    return asked.answer("query_stop_charge", {"refusal": refusal, "state": state})


def _stop(asked: Asked, session: HubSession) -> tuple[str, str]:
    """The refusal, or none, and the order's state."""
    # Columns only: the order itself must be read for the first time under its lock, or a stale state would be moved.
    wanted = select(ChargeOrder.id, ChargeOrder.connector_id, ChargeOrder.state).where(
        ChargeOrder.link_id == asked.link.id, ChargeOrder.start_charge_seq == asked.body["StartChargeSeq"]
    )
    found = session.execute(wanted).one_or_none()
    if found is None:
        return NO_SUCH_ORDER, UNKNOWN_STATE
    if not asked.means(_connector_of(session, found.connector_id), asked.body["ConnectorID"]):
        return Refusal.NO_SUCH_CONNECTOR, found.state
    outcome = request_stop(session, asked.context, found.id, Origin.PARTNER)
    if outcome is None:
        return NO_SUCH_ORDER, UNKNOWN_STATE
    return outcome.refusal or NONE, outcome.order.state


def _why_not_ready(session: HubSession, connector: Connector) -> str:
    unusable = why_unusable(connector)
    if unusable is not None:
        return unusable
    # From the start request until the first sample a connector only reads "plugged".
    if open_order(session, connector.id) is not None:
        return Refusal.BUSY
    return NONE if connector.plugged else NOT_PLUGGED


def _periods(asked: Asked, session: HubSession, connector: Connector) -> list[dict[str, Any]]:
    pile = connector.pile
    try:
        version = version_in_use(
            session, pile.confirmed_tariff_version_id, pile.station.tariff_id, asked.context.clock.now()
        )
    except NotFound:
        return []
    return joined_periods(version.periods)


def _start(asked: Asked, session: HubSession) -> tuple[str, str]:
    """The refusal, or none, and the state of the order with this sequence.

    A sequence that is known gets its order's state whatever has become of connector or authorisation: "ended" about a charge that runs
    would make the partner close it.
    """
    seq: str = asked.body["StartChargeSeq"]
    earlier = find_by_seq(session, asked.link.id, seq)
    if earlier is None:
        outcome = _first_start(asked, session, seq)
        if not outcome.repeated:
            return outcome.refusal or NONE, OrderState.FAILED if outcome.order is None else outcome.order.state
        earlier = find_by_seq(session, asked.link.id, seq)  # the other one of two first calls at the same instant
    if earlier is None:
        raise Busy
    same = asked.means(earlier.connector, asked.body["ConnectorID"])
    return NONE if same else Refusal.CONFLICTING_REPEAT, earlier.state


def _first_start(asked: Asked, session: HubSession, seq: str) -> StartOutcome:
    connector = asked.connector(session, asked.body["ConnectorID"])
    if connector is None:
        return StartOutcome(None, Refusal.NO_SUCH_CONNECTOR)
    fields = asked.link.profile.spec.start
    request = StartRequest(
        connector_code=connector.code,
        origin=Origin.PARTNER,
        link_id=asked.link.id,
        start_charge_seq=seq,
        plate=_text(asked, fields.plate_fields, 16),
        phone=_text(asked, fields.phone_fields, 32),
        limit_yuan=_limit(asked, fields.limit_fields),
        start_within_s=asked.link.timing.start_result_s - START_MARGIN_S,
    )
    return start_order(session, asked.context, request)


def _connector_of(session: HubSession, connector_id: str) -> Connector:
    surroundings = joinedload(Connector.pile).joinedload(Pile.station)
    return session.scalars(select(Connector).where(Connector.id == connector_id).options(surroundings)).one()


def _text(asked: Asked, names: Iterable[str], longest: int) -> str | None:
    """The first of these members that is there; one that cannot be a plate or a phone is ignored rather than cut."""
    value = next((asked.body[name] for name in names if asked.body.get(name)), "")
    text = str(value) if type(value) in (str, int) else ""
    return text if 0 < len(text) <= longest and text.isprintable() else None


def _limit(asked: Asked, names: Iterable[str]) -> Decimal | None:
    """The amount the user may spend; missing, zero or negative means no limit (`specs/partners.md` 4.8)."""
    for name in names:
        value = asked.body.get(name)
        if value is not None and value != "":
            amount = _yuan(name, value)
            return amount if 0 < amount < LARGEST_LIMIT_YUAN else None
    return None


def _yuan(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
        if amount.is_finite():
            return amount.quantize(Decimal("0.01"), rounding="ROUND_DOWN")
    except ArithmeticError as error:
        raise BusinessError(RET_BUSINESS, name, "金额不合法 not an amount") from error
    raise BusinessError(RET_BUSINESS, name, "金额不合法 not an amount")
