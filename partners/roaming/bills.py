"""Does a received bill add up, and is it the one we were told of? Pure (`specs/tcec102.md` 9.3, 10.8, 11.13; trap 27)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from charging_core.money import AMOUNT_PLACES, ENERGY_PLACES, ZERO, quantize

FIGURES = ("ConnectorID", "TotalPower", "TotalElecMoney", "TotalSeviceMoney", "TotalMoney", "StartTime", "EndTime")
"""What makes a bill the same bill."""

_SUMS = (
    ("TotalPower", "DetailPower"),
    ("TotalElecMoney", "DetailElecMoney"),
    ("TotalSeviceMoney", "DetailSeviceMoney"),
)


def bill_problems(bill: Mapping[str, Any], policy: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Everything for which a bill is contested, in words; empty = it is right. `policy`: the price periods shown before the start."""
    details: Sequence[Mapping[str, Any]] = bill.get("ChargeDetails") or ()
    return [*_totals(bill), *_details(bill, details), *_prices(details, policy or ())]


def same_bill(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two bills ask for the same."""
    return all(one.get(name) == other.get(name) for name in FIGURES)


def _totals(bill: Mapping[str, Any]) -> Iterator[str]:
    parts = bill["TotalElecMoney"] + bill["TotalSeviceMoney"]
    if bill["TotalMoney"] != parts:
        yield f"TotalMoney {bill['TotalMoney']} != {parts}"
    if bill["EndTime"] < bill["StartTime"]:  # one fixed form: the order of the texts is that of the instants
        yield f"EndTime {bill['EndTime']} < StartTime {bill['StartTime']}"


def _details(bill: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Amounts of details are optional (10.8); where all have one, their sum is the total. A SumPeriod alone proves nothing (trap 20)."""
    for total, part in _SUMS:
        if details and all(detail.get(part) is not None for detail in details):
            summed = sum((detail[part] for detail in details), ZERO)
            if summed != bill[total]:
                yield f"{total} {bill[total]} != Σ {part} {summed}"


def _prices(details: Sequence[Mapping[str, Any]], policy: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = {(period["ElecPrice"], period["SevicePrice"]) for period in policy}
    for detail in details if shown else ():
        pair = detail.get("ElecPrice"), detail.get("SevicePrice")
        if None not in pair and pair not in shown:
            yield f"{pair[0]} + {pair[1]}: 未展示过的价格 a price that was never shown"


def amounts(bill: Mapping[str, Any]) -> dict[str, Decimal]:
    """The bill's figures under our names, at the scale in which they are kept (kWh and yuan at 0.0001)."""
    return {
        "energy_kwh": quantize(bill["TotalPower"], ENERGY_PLACES),
        "elec_fee": quantize(bill["TotalElecMoney"], AMOUNT_PLACES),
        "service_fee": quantize(bill["TotalSeviceMoney"], AMOUNT_PLACES),
        "total_fee": quantize(bill["TotalMoney"], AMOUNT_PLACES),
    }
