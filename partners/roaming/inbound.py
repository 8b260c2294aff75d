"""What other operators tell us about our drivers' charges: the customer's side of T/CEC 102.2, 102.3 (`specs/tcec102.md` 11.2-11.14, 12.4).

Messages are repeated and overtake each other; every handler may be called again with the same body and answers the same. An unknown
sequence is told so, and an unknown bill is kept: somebody may have to pay it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.ids import new_id
from partners.asking import Asked
from partners.reconcile.received import check_charge_orders
from partners.roaming import mirror
from partners.roaming.facts import check_figures, moment
from partners.roaming.life import CONTESTED, lock_by_seq, note, see_start_result, see_stat, see_status, take_bill
from partners.roaming.model import RoamingOrder, UnclaimedBill

Answer = dict[str, Any]

ACCEPTED, IGNORED = 0, 1
"""`Status` of 11.2."""
RECEPTION_FAILED = 1


def notification_stationStatus(asked: Asked) -> Answer:  # noqa: N802 - the wire's name
    """11.2: the newest status of a connector wins; one that we do not know is ignored."""
    with asked.writing() as session:
        known = mirror.take_status(session, asked.link.id, asked.body["ConnectorStatusInfo"], asked.context.clock.now())
    return {"Status": ACCEPTED if known else IGNORED}


def notification_stationInfo(asked: Asked) -> Answer:  # noqa: N802 - the wire's name
    """11.15: one station changed."""
    with asked.writing() as session:
        mirror.hold(session, asked.link)
        mirror.take_station(session, asked.link, asked.body["StationInfo"], asked.context.clock.now())
    return {"Status": ACCEPTED}


def notification_stationFee(asked: Asked) -> Answer:  # noqa: N802 - the wire's name
    """11.15: the prices of a station changed; of one that we do not know it is ignored."""
    with asked.writing() as session:
        known = mirror.take_fees(session, asked.link.id, asked.body["StationFee"], asked.context.clock.now())
    return {"Status": ACCEPTED if known else IGNORED}


def notification_start_charge_result(asked: Asked) -> Answer:
    """11.8."""
    moment(asked.body, "StartTime")
    return _told(asked, lambda order: see_start_result(order, asked.body, asked.context.clock.now()))


def notification_equip_charge_status(asked: Asked) -> Answer:
    """11.10: no FailReason in the answer."""
    check_figures(asked.body, "TotalPower", "ElecMoney", "SeviceMoney", "TotalMoney")
    moment(asked.body, "EndTime")
    answer = _told(asked, lambda order: see_status(order, asked.body, asked.context.clock.now(), "status push"))
    return {name: answer[name] for name in ("StartChargeSeq", "SuccStat")}


def notification_stop_charge_result(asked: Asked) -> Answer:
    """11.12: a stop that failed changes nothing but the record."""

    def tell(order: RoamingOrder) -> None:
        now = asked.context.clock.now()
        if asked.body["SuccStat"] == 0:
            see_stat(order, asked.body["StartChargeSeqStat"], now, "stop result")
        else:
            note(order, "stop_failed", now, f"FailReason {asked.body['FailReason']}")

    return _told(asked, tell)


def notification_charge_order_info(asked: Asked) -> Answer:
    """11.13: the message that moves money. 0 = booked, 1 = contested; an order that we never started is contested and kept."""
    check_figures(asked.body, "TotalPower", "TotalElecMoney", "TotalSeviceMoney", "TotalMoney")
    moment(asked.body, "StartTime"), moment(asked.body, "EndTime")
    now = asked.context.clock.now()
    with asked.writing() as session:
        order = lock_by_seq(session, asked.link.id, asked.body["StartChargeSeq"])
        if order is None:
            _keep_unclaimed(session, asked)
        result = CONTESTED if order is None else take_bill(order, asked.body, now)
    named = {name: asked.body[name] for name in ("StartChargeSeq", "ConnectorID")}
    return named | {"ConfirmResult": result}


HANDLERS: Mapping[str, Callable[[Asked], Answer]] = {
    "notification_stationStatus": notification_stationStatus,
    "notification_stationInfo": notification_stationInfo,
    "notification_stationFee": notification_stationFee,
    "notification_start_charge_result": notification_start_charge_result,
    "notification_equip_charge_status": notification_equip_charge_status,
    "notification_stop_charge_result": notification_stop_charge_result,
    "notification_charge_order_info": notification_charge_order_info,
    "check_charge_orders": check_charge_orders,
}
"""What the customer's side implements."""


def _told(asked: Asked, tell: Callable[[RoamingOrder], Any]) -> Answer:
    """Change the order and say so; Ret 0, SuccStat 1, FailReason 1 for an unknown one (12.4)."""
    seq = asked.body["StartChargeSeq"]
    with asked.writing() as session:
        order = lock_by_seq(session, asked.link.id, seq)
        if order is not None:
            tell(order)
    return {"StartChargeSeq": seq, "SuccStat": int(order is None), "FailReason": RECEPTION_FAILED * int(order is None)}


def _keep_unclaimed(session: HubSession, asked: Asked) -> None:
    seq, now = asked.body["StartChargeSeq"], asked.context.clock.now()
    query = select(UnclaimedBill).where(UnclaimedBill.link_id == asked.link.id, UnclaimedBill.start_charge_seq == seq)
    kept = session.scalars(query.with_for_update()).one_or_none()
    if kept is None:
        members = {"id": new_id(), "tenant_id": asked.link.tenant_id, "link_id": asked.link.id, "start_charge_seq": seq}
        session.add(UnclaimedBill(**members, body=dict(asked.body), first_at=now, last_at=now, count=1))
    else:
        kept.body, kept.last_at, kept.count = dict(asked.body), now, kept.count + 1
