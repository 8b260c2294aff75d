"""Members of the wire as values: times, figures, samples. Everything that comes in by a push or an answer passes here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from charging_core.clock import CHINA
from partners.tcec102.errors import RET_BUSINESS, BusinessError

LARGEST = Decimal(10) ** 8
"""Neither a charge nor a day has a hundred million kWh or yuan; larger figures fit no column and are no figures."""
LARGEST_CODE = 10**9
"""Codes have three digits, those of partners' own a few more; an integer column ends at twice a milliard."""


def moment(body: Mapping[str, Any], member: str) -> datetime:
    """A time of the body, China time. Raises `BusinessError` (4004) for a day that does not exist."""
    found = time_of(body.get(member))
    if found is None:
        raise BusinessError(RET_BUSINESS, member, "时间不存在 no such time")
    return found


def time_of(text: Any) -> datetime | None:
    """The instant behind `yyyy-MM-dd HH:mm:ss` in China time; None for anything else."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError:
        return None


def check_figures(body: Mapping[str, Any], *members: str) -> None:
    """Raise `BusinessError` (4004) for a figure that no charge has."""
    for member in members:
        value = body.get(member)
        if value is not None and not 0 <= value < LARGEST:
            raise BusinessError(RET_BUSINESS, member, "数值超出范围 out of range")


def code_of(value: int | None) -> int | None:
    """A code of the wire as it can be kept, unknown ones included; none for a number that no list of codes has."""
    return value if value is not None and abs(value) <= LARGEST_CODE else None


def sample_of(body: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A charge status as a sample; `at` is its EndTime, which is the time of the reading (trap 10)."""
    return {
        "at": at,
        "connector_status": body.get("ConnectorStatus"),
        "voltage_v": body.get("VoltageA"),
        "current_a": body.get("CurrentA"),
        "soc": body.get("Soc"),
        "energy_kwh": body.get("TotalPower"),
        "elec_fee": body.get("ElecMoney"),
        "service_fee": body.get("SeviceMoney"),
        "total_fee": body.get("TotalMoney"),
    }
