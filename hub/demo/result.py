"""The result of a run as one JSON object, and whether everybody confirmed and saw the same money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from charging_core.clock import china_text
from charging_core.db import Database
from charging_core.money import quantize
from charging_core.orders.model import ChargeOrder
from hub.demo.cast import TENANT
from hub.demo.evidence import Evidence, money_of_partner


def build_result(db: Database, evidence: Evidence) -> dict[str, Any]:
    """Order, energy and money, each push with its answer; `confirmed` is true only when nothing is missing and all sums agree."""
    partner, regulator = evidence.partner_order(), evidence.regulator_order()
    ours = _order(db, evidence.start_charge_seq)
    told = money_of_partner(partner) if partner else {}
    missing = evidence.missing() + _disagreements(ours, told, (regulator or {}).get("body") or {})
    return {
        "order": ours,
        "energy_kwh": str(told.get("energy_kwh", "")),
        "total_yuan": str(told.get("total_yuan", "")),
        "partner": {"confirm_result": _confirm(partner), "pushes": evidence.partner()},
        "regulator": {"confirm_result": _confirm(regulator), "pushes": evidence.regulator()},
        "parking": evidence.parking(),
        "missing": missing,
        "confirmed": not missing,
    }


def _order(db: Database, seq: str) -> dict[str, Any]:
    with db.read(TENANT) as session:
        order = session.scalars(select(ChargeOrder).where(ChargeOrder.start_charge_seq == seq)).one_or_none()
        if order is None:
            return {"start_charge_seq": seq, "state": "none", "details": []}
        return {
            "id": order.id,
            "start_charge_seq": seq,
            "trade_number": order.trade_number,
            "state": order.state,
            "plate": order.plate,
            "started_at": order.started_at and china_text(order.started_at),
            "ended_at": order.ended_at and china_text(order.ended_at),
            "energy_kwh": str(order.energy_kwh),
            "elec_yuan": str(order.elec_fee and quantize(order.elec_fee, 2)),
            "service_yuan": str(order.service_fee and quantize(order.service_fee, 2)),
            "total_yuan": str(order.total_fee and quantize(order.total_fee, 2)),
            "review": order.review,
            "details": [_detail(detail) for detail in order.details],
        }


def _detail(detail: Any) -> dict[str, Any]:
    return {
        "started_at": china_text(detail.started_at),
        "ended_at": china_text(detail.ended_at),
        "class": detail.rate_class,
        "elec_price": str(detail.elec_price),
        "service_price": str(detail.service_price),
        "energy_kwh": str(detail.energy_kwh),
        "elec_yuan": str(quantize(detail.elec_fee, 2)),
        "service_yuan": str(quantize(detail.service_fee, 2)),
    }


def _disagreements(ours: dict[str, Any], partner: dict[str, Decimal], regulator: dict[str, Any]) -> list[str]:
    """Where the three accounts differ: money must be identical, energy equal at the destination's scale (DECISIONS 12)."""
    if not partner or not regulator or ours["state"] != "settled":
        return ["the order is not settled everywhere"]
    energy = Decimal(ours["energy_kwh"])
    pairs = {
        "partner total": (partner["total_yuan"], Decimal(ours["total_yuan"])),
        "partner elec": (partner["elec_yuan"], Decimal(ours["elec_yuan"])),
        "partner service": (partner["service_yuan"], Decimal(ours["service_yuan"])),
        "partner energy": (partner["energy_kwh"], quantize(energy, 2)),
        "regulator total": (Decimal(str(regulator["TotalMoney"])), Decimal(ours["total_yuan"])),
        "regulator elec": (Decimal(str(regulator["TotalElecMoney"])), Decimal(ours["elec_yuan"])),
        "regulator service": (Decimal(str(regulator["TotalServiceMoney"])), Decimal(ours["service_yuan"])),
        "regulator energy": (Decimal(str(regulator["TotalElect"])), energy),
    }
    return [f"{name}: {theirs} is not {own}" for name, (theirs, own) in pairs.items() if theirs != own]


def _confirm(entry: dict[str, Any] | None) -> int | None:
    return None if entry is None else entry["answer"]["Data"]["ConfirmResult"]
