"""Changing roaming orders: one place that moves a state, keeps a sample, books a bill. All of it under the order's row lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from partners.roaming.bills import amounts, bill_problems, same_bill
from partners.roaming.facts import code_of, moment, sample_of, time_of
from partners.roaming.model import RoamingOrder
from partners.roaming.state import SEEN, Happened, RoamingState, advance

CONFIRMED, CONTESTED = 0, 1
"""ConfirmResult (9.5)."""
KEPT_HISTORY = 100
"""Entries kept of what happened to one order; a charge has about ten."""


def lock_by_seq(session: HubSession, link_id: str, seq: str) -> RoamingOrder | None:
    """The order that we started on this link under this sequence, its row held until the transaction ends."""
    query = select(RoamingOrder).where(RoamingOrder.link_id == link_id, RoamingOrder.start_charge_seq == seq)
    locked = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).one_or_none()


def move(order: RoamingOrder, happened: Happened, now: datetime, detail: str = "") -> bool:
    """Apply `happened`; false when the table says that it changes nothing in this state."""
    after = advance(RoamingState(order.state), happened)
    if after is None:
        return False
    if after.value != order.state:
        note(order, happened.value, now, detail, after)
    order.state = after
    return True


def note(order: RoamingOrder, what: str, now: datetime, detail: str = "", state: str | None = None) -> None:
    """Write down what happened."""
    entry = {"at": now, "what": what, "detail": detail[:200], "state": state}
    told = {name: value for name, value in entry.items() if value}
    order.history = [*(order.history or []), told][-KEPT_HISTORY:]


def see_stat(order: RoamingOrder, stat: int, now: datetime, source: str) -> bool:
    """What a StartChargeSeqStat says; 5 and unknown codes say nothing."""
    happened = SEEN.get(stat)
    return happened is not None and move(order, happened, now, source)


def see_start_result(order: RoamingOrder, body: Mapping[str, Any], now: datetime) -> None:
    """11.8: 2 = began; 4 = did not begin; 1 = still starting. There is no flag of success."""
    if body["StartChargeSeqStat"] == 4:
        if move(order, Happened.NOT_STARTED, now, "start result"):
            order.failure = order.failure or "桩未启动 the pile did not start"
        return
    see_stat(order, body["StartChargeSeqStat"], now, "start result")
    if body["StartChargeSeqStat"] == 2:
        order.started_at = order.started_at or time_of(body.get("StartTime"))
    order.ident_code = body.get("IdentCode") or order.ident_code


def see_status(order: RoamingOrder, body: Mapping[str, Any], now: datetime, source: str) -> bool:
    """11.9, 11.10: state and sample; false when the sample is older than the one kept, or its order is over (12.4)."""
    at = moment(body, "EndTime")
    if order.state in (RoamingState.ENDED, RoamingState.DISPUTED, RoamingState.BILLED):
        return False
    see_stat(order, body["StartChargeSeqStat"], now, source)
    if order.sampled_at is not None and at < order.sampled_at:
        return False
    order.sample, order.sampled_at = sample_of(body, at), at
    if body["StartChargeSeqStat"] in (2, 3):
        order.started_at = order.started_at or time_of(body.get("StartTime"))
    if order.state == RoamingState.ENDED:
        order.ended_at = order.ended_at or at
    return True


def take_bill(order: RoamingOrder, body: Mapping[str, Any], now: datetime) -> int:
    """11.13: book the bill and give the ConfirmResult.

    The same bill again gets the same answer and is not booked twice; another one after a confirmation is contested; after a dispute it is
    judged anew (12.4).
    """
    if order.bill is not None:
        if same_bill(order.bill, body):
            return CONFIRMED if order.confirm_result is None else order.confirm_result
        if order.confirm_result == CONFIRMED:
            note(order, "bill_changed_after_confirmation", now, str(body["TotalMoney"]))
            return CONTESTED
    problems = bill_problems(body, order.policy)
    if body["ConnectorID"] != order.connector_id:
        problems.append(f"ConnectorID {body['ConnectorID']} != {order.connector_id}")
    move(order, Happened.BILL_BAD if problems else Happened.BILL_GOOD, now, "; ".join(problems))
    _book(order, body, now)
    order.confirm_result = CONTESTED if problems else CONFIRMED
    order.failure = "; ".join(problems)[:200] or None
    return order.confirm_result


def _book(order: RoamingOrder, body: Mapping[str, Any], now: datetime) -> None:
    for name, value in amounts(body).items():
        setattr(order, name, value)
    order.bill, order.billed_at = dict(body), now
    order.started_at, order.ended_at = moment(body, "StartTime"), moment(body, "EndTime")
    order.stop_reason = code_of(body["StopReason"])
