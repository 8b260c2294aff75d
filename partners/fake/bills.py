"""Arithmetic of a bill as its receiver checks it: do the details give the totals, do prices give the money? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

HALF_FEN = Decimal("0.005")
"""Money is rounded half-up to 0.01 yuan, so a product may differ by half of that."""

PRICE_STEP = Decimal("0.0001")
"""Prices travel with four decimals."""


class BillFault(NamedTuple):
    """One thing that does not add up: a machine code and words with the figures."""

    code: str
    text: str


@dataclass(frozen=True)
class BillNames:
    """How one platform spells the members of an order, and how many decimals its energy has."""

    total_energy: str = "TotalPower"
    total_service: str = "TotalSeviceMoney"
    service_price: str = "SevicePrice"
    detail_service: str = "DetailSeviceMoney"
    energy_decimals: int = 2

    @property
    def energy_step(self) -> Decimal:
        """The smallest amount of energy that can be told. Spreading a rounded total over details moves each by less."""
        return Decimal(1).scaleb(-self.energy_decimals)


def bill_faults(order: Mapping[str, Any], names: BillNames) -> list[BillFault]:
    """Everything that does not add up in an order whose members have passed the field check."""
    details = order.get("ChargeDetails") or []
    found = list(_totals(order, details, names))
    found += _times(order, details)
    for number, detail in enumerate(details, 1):
        found += _products(detail, number, names)
    return found


def foreign_prices(
    order: Mapping[str, Any], shown: Sequence[Mapping[str, Any]], names: BillNames
) -> list[tuple[Decimal, Decimal]]:
    """Pairs of energy and service price in the order's details that are in no period of the policy that was shown."""
    known = {(Decimal(row["ElecPrice"]), Decimal(row[names.service_price])) for row in shown}
    used = [
        (Decimal(detail["ElecPrice"]), Decimal(detail[names.service_price]))
        for detail in order.get("ChargeDetails") or []
        if "ElecPrice" in detail and names.service_price in detail
    ]
    return [pair for pair in dict.fromkeys(used) if pair not in known]


def _totals(order: Mapping[str, Any], details: Sequence[Mapping[str, Any]], names: BillNames) -> Iterator[BillFault]:
    total = Decimal(order["TotalMoney"])
    parts = Decimal(order["TotalElecMoney"]) + Decimal(order[names.total_service])
    if total != parts:
        yield BillFault("total_money", f"TotalMoney {total} != {parts}")
    stated = order.get("SumPeriod")
    if stated is not None and stated != len(details):
        yield BillFault("sum_period", f"SumPeriod {stated}, but {len(details)} details")
    pairs = (
        (names.total_energy, "DetailPower"),
        ("TotalElecMoney", "DetailElecMoney"),
        (names.total_service, names.detail_service),
    )
    for whole, part in pairs:
        if details and all(part in detail for detail in details):
            summed = sum((Decimal(detail[part]) for detail in details), Decimal(0))
            if summed != Decimal(order[whole]):
                yield BillFault("detail_sum", f"{whole} {order[whole]} != sum of {part} {summed}")


def _times(order: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> Iterator[BillFault]:
    """Times are compared as text: the form is fixed, so the order of the texts is the order of the instants."""
    if order["EndTime"] < order["StartTime"]:
        yield BillFault("time_order", f"EndTime {order['EndTime']} is before StartTime {order['StartTime']}")
    reached = order["StartTime"]
    for number, detail in enumerate(details, 1):
        begin, end = detail["DetailStartTime"], detail["DetailEndTime"]
        if not reached <= begin <= end <= order["EndTime"]:
            yield BillFault("detail_time", f"detail {number} ({begin} - {end}) overlaps or lies outside the order")
        reached = max(reached, end)


def _products(detail: Mapping[str, Any], number: int, names: BillNames) -> Iterator[BillFault]:
    energy = Decimal(detail["DetailPower"])
    for price_name, money_name in (("ElecPrice", "DetailElecMoney"), (names.service_price, names.detail_service)):
        if price_name in detail and money_name in detail:
            price, money = Decimal(detail[price_name]), Decimal(detail[money_name])
            allowed = HALF_FEN + names.energy_step * price + PRICE_STEP / 2 * energy
            if abs(price * energy - money) > allowed:
                yield BillFault("detail_price", f"detail {number}: {price} x {energy} is not {money_name} {money}")
