"""Coupons of the fake platform: what `coupon/addition` accepts (digest 4.6), and the times of the interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging_core.clock import CHINA, to_china
from parking.fake.artemis_errors import (
    FORMAT,
    PLATE_WRONG,
    RANGE,
    REQUIRED,
    TOO_LONG,
    UNKNOWN_PARAMETER,
    ArtemisRefusal,
)
from parking.fake.park_config import Park

PLATE = re.compile(r"^[\u4e00-\u9fff][A-Z][A-Z0-9]{4,5}[A-Z0-9\u4e00-\u9fff]$")
"""Province, letter, five or six more: seven characters for fuel, eight for new energy."""

AMOUNT, PERCENT, ALL_FREE, MINUTES = 0, 1, 2, 4
"""deductRuleType; there is no 3."""

COUPON_MEMBERS = frozenset(
    (
        "couponCode",
        "plateNo",
        "deductRuleType",
        "deductContent",
        "parkSyscode",
        "startTime",
        "endTime",
        "merchantSyscode",
    )
)
COUPON_CODE_LENGTH = 64


@dataclass
class Coupon:
    """One coupon as it was first added; later additions with the same code change nothing."""

    code: str
    plate: str
    kind: int
    content: int
    park: str
    begins: datetime
    ends: datetime
    used: bool = False
    repeats: int = 0


def coupon_from(item: Any, park: Callable[[str], Park]) -> Coupon:
    """The coupon that one item of a call describes; `park` finds a park by its code. Raises `ArtemisRefusal`."""
    if not isinstance(item, dict):
        raise ArtemisRefusal(FORMAT, "coupons must be objects")
    _known_members(item)
    code, plate = str(item["couponCode"]), str(item.get("plateNo") or "")
    if len(code) > COUPON_CODE_LENGTH:
        raise ArtemisRefusal(TOO_LONG, "couponCode")
    if plate and not PLATE.match(plate):
        raise ArtemisRefusal(PLATE_WRONG, f"plateNo {plate}")
    kind, content = _rule(item)
    begins, ends = moment(item["startTime"], "startTime"), moment(item["endTime"], "endTime")
    if ends <= begins:
        raise ArtemisRefusal(RANGE, "endTime is not after startTime")
    return Coupon(code, plate, kind, content, park(str(item["parkSyscode"])).code, begins, ends)


def iso(instant: datetime) -> str:
    """ISO 8601 with the Chinese offset and no fraction, as the platform writes times."""
    return to_china(instant).isoformat(timespec="seconds")


def moment(text: Any, name: str) -> datetime:
    """A time of the interface; without an offset it is refused."""
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ArtemisRefusal(FORMAT, name) from error
    if parsed.utcoffset() is None:
        raise ArtemisRefusal(FORMAT, f"{name} has no offset")
    return parsed.astimezone(CHINA)


def _known_members(item: Mapping[str, Any]) -> None:
    for name in ("couponCode", "deductRuleType", "deductContent", "parkSyscode", "startTime", "endTime"):
        if item.get(name) in (None, ""):
            raise ArtemisRefusal(REQUIRED, name)
    unknown = sorted(item.keys() - COUPON_MEMBERS)
    if unknown:
        raise ArtemisRefusal(UNKNOWN_PARAMETER, ",".join(unknown))


def _rule(item: Mapping[str, Any]) -> tuple[int, int]:
    kind, content = item["deductRuleType"], item["deductContent"]
    if kind not in (AMOUNT, PERCENT, ALL_FREE, MINUTES) or isinstance(kind, bool):
        raise ArtemisRefusal(RANGE, "deductRuleType is 0, 1, 2 or 4")
    if not isinstance(content, int) or isinstance(content, bool) or content < 0:
        raise ArtemisRefusal(FORMAT, "deductContent is a whole number")
    if kind == PERCENT and content > 100:
        raise ArtemisRefusal(RANGE, "deductContent above 100 %")
    return int(kind), content
