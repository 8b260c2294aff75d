"""What a partner answered to our statement: its differences are kept on the lines, judged, and become cases.

The hub judges what it can know: that an order was never stated, that its bill is still under way or was never accepted, that the partner
had confirmed the very bill it now contests, that the figures differ by rounding only. The rest is for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.money import AMOUNT_PLACES, ENERGY_PLACES, ZERO, quantize
from partners.reconcile.disputes import STATEMENT, Contest, contest, newest_bill, no_longer_contested
from partners.reconcile.model import PartnerStatement, StatementLine, StatementState
from partners.roaming.facts import LARGEST, code_of
from worker.api import Outcome, State
from worker.model import DeliveryRow

NOT_STATED = "not_stated"
UNDER_WAY = "bill_under_way"
NOT_ACCEPTED = "bill_not_accepted"
CONFIRMED_BEFORE = "confirmed_before"
ROUNDING = "rounding"
DIFFERS = "differs"

TOLERANCE = Decimal("0.01")
"""kWh and yuan (`specs/partners.md` 6.6)."""

UNKNOWN_ORDER, WRONG_MONEY, WRONG_ENERGY = 1, 2, 3
FINDINGS = {UNKNOWN_ORDER: "unknown", WRONG_MONEY: "money", WRONG_ENERGY: "energy"}
"""DisputeReason (9.5) in our words; other codes are the partner's own."""


def take_answer(session: HubSession, statement_id: str, answer: Mapping[str, Any], now: datetime) -> None:
    """Book the answer to a statement of ours: its lines, its state, and a case for every contested order."""
    statement = session.scalars(
        select(PartnerStatement).where(PartnerStatement.id == statement_id).with_for_update()
    ).one_or_none()
    if statement is None:
        return
    disputes: Sequence[Mapping[str, Any]] = answer.get("DisputeOrders") or ()
    query = select(StatementLine).where(StatementLine.statement_id == statement.id)
    lines = {line.start_charge_seq: line for line in session.scalars(query)}
    contested = {str(item["StartChargeSeq"]) for item in disputes}
    for seq, line in lines.items():
        if line.finding != "ok" and seq not in contested:
            no_longer_contested(session, statement.link_id, seq, now)
        if seq not in contested:
            line.finding, line.their_kwh, line.their_yuan = "ok", None, None
    for item in disputes:
        _contested(session, statement, lines.get(str(item["StartChargeSeq"])), item, now)
    statement.state, statement.answered_at, statement.dispute_count = StatementState.ANSWERED, now, len(disputes)
    statement.answer = _totals(answer) | {"problems": answer_problems(answer)}


def statement_failed(session: HubSession, statement_id: str, reason: str) -> None:
    """The statement could not be delivered."""
    statement = session.get(PartnerStatement, statement_id)
    if statement is not None and statement.state == StatementState.PLANNED:
        statement.state = StatementState.FAILED
        statement.answer = {"problems": [reason[:300]]}


def answer_problems(answer: Mapping[str, Any]) -> list[str]:
    """In what the answer contradicts itself: count and sums against its list (13)."""
    items: Sequence[Mapping[str, Any]] = answer.get("DisputeOrders") or ()
    sums = {
        "TotalDisputeOrder": Decimal(len(items)),
        "TotalDisputePower": sum((Decimal(item["TotalPower"]) for item in items), ZERO),
        "TotalDisputeMoney": sum((Decimal(item["TotalMoney"]) for item in items), ZERO),
    }
    stated = {name: Decimal(answer.get(name) or 0) for name in sums}
    return [f"{name} {stated[name]}, 明细合计 sum {sums[name]}" for name in sums if stated[name] != sums[name]]


def judge(line: StatementLine | None, bill: DeliveryRow | None, theirs: tuple[Decimal, Decimal], reason: int) -> str:
    """What the hub knows about one contested order (pure but for its rows). `theirs`: kWh, yuan."""
    if line is None:
        return NOT_STATED
    if bill is not None and bill.state in (State.WAITING, State.LEASED, State.HELD):
        return UNDER_WAY
    confirmed = bill is not None and bill.state == State.DELIVERED and bill.outcome == Outcome.OK
    if reason == UNKNOWN_ORDER:
        return CONFIRMED_BEFORE if confirmed else NOT_ACCEPTED
    if max(abs(line.energy_kwh - theirs[0]), abs(line.total_yuan - theirs[1])) <= TOLERANCE:
        return ROUNDING
    return CONFIRMED_BEFORE if confirmed else DIFFERS


def _contested(
    session: HubSession,
    statement: PartnerStatement,
    line: StatementLine | None,
    item: Mapping[str, Any],
    now: datetime,
) -> None:
    theirs = _kept(item["TotalPower"], ENERGY_PLACES), _kept(item["TotalMoney"], AMOUNT_PLACES)
    reason = int(item["DisputeReason"])
    bill = None if line is None else newest_bill(session, statement.link_id, line.order_id)
    if line is not None:
        line.finding = FINDINGS.get(reason, "own_code")
        line.their_kwh, line.their_yuan = theirs
    case = Contest(
        link_id=statement.link_id,
        start_charge_seq=str(item["StartChargeSeq"])[:64],
        source=STATEMENT,
        order_id=None if line is None else line.order_id,
        delivery_id=None if bill is None else bill.id,
        statement_id=statement.id,
        object_version=0 if bill is None else bill.object_version,
        energy_kwh=None if line is None else str(line.energy_kwh),
        total_yuan=None if line is None else str(line.total_yuan),
        their_kwh=str(theirs[0]),
        their_yuan=str(theirs[1]),
        reason_code=code_of(reason),
        reason=f"DisputeReason {reason}",
        judgement=judge(line, bill, theirs, reason),
    )
    contest(session, case, now)


def _kept(figure: Any, places: int) -> Decimal:
    """A figure of theirs as it can be kept; one that no order has is kept as the largest there is."""
    return quantize(min(Decimal(figure), LARGEST), places)


def _totals(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "disputed_orders": answer.get("TotalDisputeOrder"),
        "disputed_kwh": answer.get("TotalDisputePower"),
        "disputed_yuan": answer.get("TotalDisputeMoney"),
    }
