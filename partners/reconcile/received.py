"""A statement that another operator sent us, held against our own orders (`specs/tcec102.md` 11.14, 13).

Not found → 1, money differs → 2, energy differs → 3, money first. The same statement again is computed again. Orders that only we have
cannot be said on the wire; they are kept as `missing` lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.money import AMOUNT_PLACES, ENERGY_PLACES, ZERO, quantize
from partners.asking import Asked
from partners.reconcile.model import PartnerStatement, StatementLine, StatementState
from partners.roaming.facts import check_figures, moment
from partners.roaming.model import RoamingOrder
from partners.tcec102.errors import RET_BUSINESS, BusinessError

IN = "in"
REASONS = {"unknown": 1, "money": 2, "energy": 3}
PLACES = 2
"""Orders are compared to 0.01 kWh and 0.01 yuan (`specs/partners.md` 6.6)."""

Item = Mapping[str, Any]


def check_charge_orders(asked: Asked) -> dict[str, Any]:
    """11.14: the differences, with our figures. 4004 when OrderCount is not the number of orders."""
    body = asked.body
    items: Sequence[Item] = body["ChargeOrders"]
    starts_at, ends_at = moment(body, "StartTime"), moment(body, "EndTime")
    if body["OrderCount"] != len(items):
        raise BusinessError(RET_BUSINESS, "OrderCount", f"明细 {len(items)} 条 the list has {len(items)}")
    check_figures(body, "TotalOrderPower", "TotalOrderMoney")
    for item in items:
        check_figures(item, "TotalPower", "TotalMoney")
    with asked.writing() as session:
        lines = _judged(session, asked.link.id, items)
        lines += _missing(session, asked.link.id, starts_at, ends_at, {line.start_charge_seq for line in lines})
        _keep(session, asked, (starts_at, ends_at), lines)
        disputed = [_dispute(line) for line in lines if line.finding in REASONS]
    return _answer(body, disputed)


def _judged(session: HubSession, link_id: str, items: Sequence[Item]) -> list[StatementLine]:
    ours = _orders(session, link_id, (item["StartChargeSeq"] for item in items))
    lines: dict[str, StatementLine] = {}
    for item in items:
        seq = item["StartChargeSeq"]
        lines[seq] = _line(link_id, seq, item, ours.get(seq))
    return list(lines.values())


def _orders(session: HubSession, link_id: str, seqs: Iterable[str]) -> dict[str, RoamingOrder]:
    wanted = sorted(set(seqs))
    found: dict[str, RoamingOrder] = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        query = select(RoamingOrder).where(RoamingOrder.link_id == link_id, RoamingOrder.start_charge_seq.in_(part))
        found |= {order.start_charge_seq: order for order in session.scalars(query)}
    return found


def _line(link_id: str, seq: str, item: Item, order: RoamingOrder | None) -> StatementLine:
    return StatementLine(
        start_charge_seq=seq,
        link_id=link_id,
        direction=IN,
        order_id=None if order is None else order.id,
        energy_kwh=quantize(item["TotalPower"], ENERGY_PLACES),
        total_yuan=quantize(item["TotalMoney"], AMOUNT_PLACES),
        finding=finding(item, order),
        their_kwh=None if order is None else order.energy_kwh,
        their_yuan=None if order is None else order.total_fee,
    )


def finding(item: Item, order: RoamingOrder | None) -> str:
    """What is wrong with one stated order by our books; an order without a bill has no figures, as if it did not exist."""
    if order is None or order.bill is None:
        return "unknown"
    if _rounded(order.total_fee) != _rounded(item["TotalMoney"]):
        return "money"
    return "ok" if _rounded(order.energy_kwh) == _rounded(item["TotalPower"]) else "energy"


def _missing(
    session: HubSession, link_id: str, starts_at: datetime, ends_at: datetime, stated: set[str]
) -> list[StatementLine]:
    query = select(RoamingOrder).where(
        RoamingOrder.link_id == link_id,
        RoamingOrder.bill.is_not(None),
        RoamingOrder.ended_at >= starts_at,
        RoamingOrder.ended_at <= ends_at,
    )
    absent = [order for order in session.scalars(query) if order.start_charge_seq not in stated]
    return [
        StatementLine(
            start_charge_seq=order.start_charge_seq,
            link_id=link_id,
            direction=IN,
            order_id=order.id,
            energy_kwh=ZERO,
            total_yuan=ZERO,
            finding="missing",
            their_kwh=order.energy_kwh,
            their_yuan=order.total_fee,
        )
        for order in absent
    ]


def _keep(session: HubSession, asked: Asked, period: tuple[datetime, datetime], lines: Sequence[StatementLine]) -> None:
    body, now = asked.body, asked.context.clock.now()
    query = select(PartnerStatement).where(
        PartnerStatement.link_id == asked.link.id,
        PartnerStatement.direction == IN,
        PartnerStatement.check_seq == body["CheckOrderSeq"],
    )
    row = session.scalars(query.with_for_update()).one_or_none()
    if row is None:
        row = PartnerStatement(
            id=new_id(), tenant_id=asked.link.tenant_id, link_id=asked.link.id, direction=IN,
            check_seq=body["CheckOrderSeq"], created_at=now,
        )  # fmt: skip
        session.add(row)
    row.starts_at, row.ends_at = period
    row.order_count = body["OrderCount"]
    row.energy_kwh = quantize(body["TotalOrderPower"], ENERGY_PLACES)
    row.total_yuan = quantize(body["TotalOrderMoney"], AMOUNT_PLACES)
    row.state, row.answered_at = StatementState.RECEIVED, now
    row.dispute_count = sum(line.finding in REASONS for line in lines)
    row.answer = {"problems": _problems(body), "missing": sum(line.finding == "missing" for line in lines)}
    session.flush()
    session.execute(delete(StatementLine).where(StatementLine.statement_id == row.id))
    for line in lines:
        line.statement_id, line.tenant_id = row.id, asked.link.tenant_id
    session.add_all(lines)


def _problems(body: Mapping[str, Any]) -> list[str]:
    items: Sequence[Item] = body["ChargeOrders"]
    sums = {
        "TotalOrderPower": sum((item["TotalPower"] for item in items), ZERO),
        "TotalOrderMoney": sum((item["TotalMoney"] for item in items), ZERO),
    }
    wrong = [f"{name} {body[name]}, 明细合计 sum {sums[name]}" for name in sums if body[name] != sums[name]]
    twice = len(items) - len({item["StartChargeSeq"] for item in items})
    return wrong + ([f"{twice} 条重复 listed twice"] if twice else [])


def _dispute(line: StatementLine) -> dict[str, Any]:
    return {
        "StartChargeSeq": line.start_charge_seq,
        "TotalPower": _rounded(line.their_kwh),
        "TotalMoney": _rounded(line.their_yuan),
        "DisputeReason": REASONS[line.finding],
    }


def _answer(body: Mapping[str, Any], disputed: Sequence[Item]) -> dict[str, Any]:
    named = {name: body[name] for name in ("CheckOrderSeq", "StartTime", "EndTime")}
    return named | {
        "TotalDisputeOrder": len(disputed),
        "TotalDisputePower": sum((item["TotalPower"] for item in disputed), ZERO),
        "TotalDisputeMoney": sum((item["TotalMoney"] for item in disputed), ZERO),
        "DisputeOrders": list(disputed),
    }


def _rounded(value: Decimal | None) -> Decimal:
    return quantize(value or ZERO, PLACES)
