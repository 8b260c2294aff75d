"""Why an order costs what it costs: every line as a calculation, the totals as sums, the pile's own figures beside ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.money import ZERO
from charging_core.orders.billing import Bill, BillDetail
from charging_core.orders.bills.facts import ChargeFacts
from charging_core.orders.bills.keep import Calculation, bills_of, calculate
from charging_core.orders.bills.model import OrderAction, OrderBill
from charging_core.orders.model import ChargeOrder
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods, RateClass
from charging_core.tariffs.service import plan_of, version_by_id


def explain(session: HubSession, order: ChargeOrder) -> dict[str, Any]:
    """The bill of a settled order, calculated again from the facts kept with it, so that what is shown is how it was made.

    Money in yuan, energy in kWh. `reproduced` is false when the calculation no longer gives the kept lines (samples were cleaned up since).
    Raises `NotFound` for an order without a bill.
    """
    bills = bills_of(session, order.id)
    if not bills:
        raise NotFound(f"bill of order {order.id}")
    last = bills[-1]
    facts = ChargeFacts.from_rows(last.facts)
    made = calculate(session, order, facts, last.tariff_version_id, last.refund_yuan)
    version = version_by_id(session, last.tariff_version_id)
    return {
        "order_id": order.id,
        "state": order.state,
        "review": order.review,
        "started_at": facts.started_at,
        "ended_at": facts.ended_at,
        "tariff": _tariff(session, version, made),
        "slots": [_slot(number, line, made.periods) for number, line in enumerate(made.bill.details, start=1)],
        "totals": _totals(made.bill) | {"refund": last.refund_yuan},
        "limit": _limit(order, last),
        "reproduced": made.bill.total_fee == last.total_fee and len(made.bill.details) == len(last.details),
        "classes": _classes(facts, made.listed),
        "pile": _pile(facts),
        "checks": last.checks,
        "bills": _versions(bills),
        "actions": [_action(one) for one in actions_of(session, order.id)],
    }


def actions_of(session: HubSession, order_id: str) -> list[OrderAction]:
    """What the staff did to an order, oldest first."""
    query = select(OrderAction).where(OrderAction.order_id == order_id).order_by(OrderAction.id)
    return list(session.scalars(query))


def slots_of(bill: Bill, listed: DayPeriods) -> list[dict[str, Any]]:
    """The lines of any bill, explained."""
    return [_slot(number, line, listed) for number, line in enumerate(bill.details, start=1)]


def _tariff(session: HubSession, version: TariffVersion, made: Calculation) -> dict[str, Any]:
    tariff = session.scalars(select(Tariff).where(Tariff.id == version.tariff_id)).one()
    terms = plan_of(version).terms
    return {
        "code": tariff.code,
        "name": tariff.name,
        "version": version.number,
        "version_id": version.id,
        "model_number": version.model_number,
        "valid_from": version.valid_from,
        "day": version.day,
        "loss_percent": terms.loss_percent,
        "discount": made.discount.row() if made.discount else None,
    }


def _slot(number: int, line: BillDetail, listed: DayPeriods) -> dict[str, Any]:
    elec, service = line.energy_kwh * line.elec_price, line.energy_kwh * line.service_price
    period = listed.at(line.started_at)
    of_class = period if period.rate_class is line.rate_class else listed.prices_of(line.rate_class)
    return {
        "number": number,
        "started_at": line.started_at,
        "ended_at": line.ended_at,
        "seconds": int((line.ended_at - line.started_at).total_seconds()),
        "class": line.rate_class,
        "list_elec_price": of_class.elec_price if of_class else None,
        "list_service_price": of_class.service_price if of_class else None,
        "elec_price": line.elec_price,
        "service_price": line.service_price,
        "energy_kwh": line.energy_kwh,
        "basis": line.basis,
        "elec_exact": elec,
        "elec_fee": line.elec_fee,
        "elec_rounding": line.elec_fee - elec,
        "service_exact": service,
        "service_fee": line.service_fee,
        "service_rounding": line.service_fee - service,
    }


def _limit(order: ChargeOrder, last: OrderBill) -> dict[str, Any] | None:
    """The payer's limit, what the charge cost beyond it, and which part of that he was not charged; none without a limit."""
    if last.limit_yuan is None:
        return None
    cost = last.total_fee + last.refund_yuan + last.waived_yuan
    over = max(ZERO, cost - last.limit_yuan)
    return {"yuan": last.limit_yuan, "rule": order.over_limit, "over": over, "waived": last.waived_yuan}


def _totals(bill: Bill) -> dict[str, Decimal]:
    names = ("energy_kwh", "elec_fee", "service_fee", "total_fee")
    return {name: getattr(bill, name) for name in names}


def _classes(facts: ChargeFacts, listed: Bill) -> list[dict[str, Any]]:
    """Both calculations side by side, per class and at the prices that the pile was told."""
    told = {rate.rate_class: rate for rate in facts.rates}
    used = [
        c for c in RateClass if facts.energy_by_class.get(c) or (c in told and (told[c].energy_kwh or told[c].amount))
    ]
    return [
        {
            "class": c,
            "energy_kwh": facts.energy_by_class.get(c, ZERO),
            "amount": sum((d.elec_fee + d.service_fee for d in listed.details if d.rate_class is c), ZERO),
            "pile_price": told[c].price if c in told else None,
            "pile_energy_kwh": told[c].energy_kwh if c in told else None,
            "pile_with_loss_kwh": told[c].with_loss_kwh if c in told else None,
            "pile_amount": told[c].amount if c in told else None,
        }
        for c in used
    ]


def _pile(facts: ChargeFacts) -> dict[str, Any]:
    return {
        "energy_kwh": facts.total_energy,
        "amount": facts.pile_amount,
        "meter_start": facts.meter_start,
        "meter_end": facts.meter_end,
    }


def _versions(bills: list[OrderBill]) -> list[dict[str, Any]]:
    names = (
        "number", "kind", "made_at", "made_by", "reason", "tariff_version_id", "discount", "energy_kwh", "elec_fee",
        "service_fee", "total_fee", "refund_yuan",
    )  # fmt: skip
    before = [None, *bills]
    return [
        {name: getattr(bill, name) for name in names}
        | {"difference": bill.total_fee - earlier.total_fee if earlier else None}
        for earlier, bill in zip(before, bills, strict=False)
    ]


def _action(row: OrderAction) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("at", "action", "by", "reason", "before", "after")}
