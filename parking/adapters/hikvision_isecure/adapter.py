"""The iSecure adapter: plate coupons, stays inside, bills (`specs/parking.md` 4.4, 4.6, 4.7).

The coupon code is ours and is the idempotency key: adding a code that exists answers success and changes nothing. A coupon can be
neither corrected nor taken back, therefore this adapter offers no revocation.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException, InvalidOperation
from typing import Any

from charging_core.clock import Clock
from parking.adapters.hikvision_isecure import codes
from parking.adapters.hikvision_isecure.client import ArtemisAnswer, ArtemisClient
from parking.adapters.hikvision_isecure.settings import IsecureSettings
from parking.adapters.observed import observed
from parking.adapters.times import iso_china, read_time
from parking.plates import Plate, normalise
from parking.port import (
    Benefit,
    BenefitKind,
    Capabilities,
    Grant,
    GrantResult,
    GrantState,
    Health,
    Outcome,
    Quote,
    QuoteResult,
    StayInfo,
    StayResult,
    Trace,
)

NAME = "hikvision_isecure"

COUPON_ADD = "/api/pms/v2/coupon/addition"
QUICK_BILL = "/api/pms/v1/pay/quickPreBill"
CARS_INSIDE = "/api/pms/v1/tempCarInRecords/page"
PARK_LIST = "/api/resource/v1/park/parkList"

_MAX_COUPON_CODE = 64
_STAY_PAGE = 100
_MAY_HAVE_HAPPENED = (Outcome.TIMEOUT, Outcome.UNKNOWN)


def isecure_capabilities(settings: IsecureSettings) -> Capabilities:
    """Percentages only where the site's meaning of them is known."""
    kinds = {BenefitKind.MINUTES, BenefitKind.AMOUNT, BenefitKind.ALL_FREE}
    if settings.percent_means is not None:
        kinds.add(BenefitKind.PERCENT)
    return Capabilities(grant_kinds=frozenset(kinds), idempotent_by="couponCode", finds_stays=True)


class IsecureAdapter:
    """One park of one iSecure platform. Thread-safe."""

    def __init__(self, settings: IsecureSettings, clock: Clock) -> None:
        self._settings = settings
        self._client = ArtemisClient(settings, clock)

    @property
    def capabilities(self) -> Capabilities:
        """Grants by plate, stays, bills; no gate, no events."""
        return isecure_capabilities(self._settings)

    def close(self) -> None:
        """Close pooled connections."""
        self._client.close()

    def health(self) -> Health:
        """Ask for the park list, and whether our park is in it."""
        return observed(NAME, "health", self._health)

    def grant(self, grant: Grant) -> GrantResult:
        """Bind a coupon to the plate. The same key twice is one coupon."""
        return observed(NAME, "grant", lambda: self._grant(grant))

    def find_stay(self, plate: Plate) -> StayResult:
        """The open stay of exactly this plate (the platform matches parts of plates, we do not)."""
        return observed(NAME, "find_stay", lambda: self._find_stay(plate))

    def quote(self, plate: Plate) -> QuoteResult:
        """The bill of the plate; a fixed or reserved car has none, which is an answer, not an error."""
        return observed(NAME, "quote", lambda: self._quote(plate))

    def _health(self) -> Health:
        answer = self._client.post(PARK_LIST, {"parkIndexCodes": ""})
        if answer.outcome is not Outcome.OK:
            return Health(answer.outcome, f"{answer.code} {answer.message}".strip(), answer.trace)
        parks = {str(park.get("parkIndexCode")): str(park.get("parkName", "")) for park in _rows(answer.data)}
        ours = parks.get(self._settings.park_syscode)
        if ours is None:
            message = f"平台上没有该停车库 no park {self._settings.park_syscode} on the platform, which has: {', '.join(parks)}"
            return Health(Outcome.CONFIGURATION, message, answer.trace)
        return Health(Outcome.OK, "正常 fine", answer.trace, details={"park_name": ours})

    def _grant(self, grant: Grant) -> GrantResult:
        problem = self._unsendable(grant)
        if problem:
            return GrantResult(GrantState.REJECTED, Outcome.PERMANENT, Trace(""), "UNSENDABLE", problem)
        answer = self._client.post(COUPON_ADD, {"coupons": [self._coupon(grant)]})
        if answer.outcome is Outcome.OK:
            return GrantResult(
                GrantState.GRANTED, Outcome.OK, answer.trace, answer.code, answer.message, grant.idempotency_key
            )
        state = GrantState.UNKNOWN if answer.outcome in _MAY_HAVE_HAPPENED else GrantState.REJECTED
        return GrantResult(state, answer.outcome, answer.trace, answer.code, answer.message)

    def _unsendable(self, grant: Grant) -> str:
        if len(grant.idempotency_key) > _MAX_COUPON_CODE:
            return f"a coupon code has at most {_MAX_COUPON_CODE} characters"
        if grant.benefit.kind not in self.capabilities.grant_kinds:
            return f"this connection cannot give {grant.benefit.kind}"
        return "" if grant.valid_until > grant.valid_from else "the coupon would end before it begins"

    def _coupon(self, grant: Grant) -> dict[str, Any]:
        rule_type, content = self._deduction(grant.benefit)
        return {
            "couponCode": grant.idempotency_key,
            "plateNo": grant.plate.text,
            "deductRuleType": rule_type,
            "deductContent": content,
            "parkSyscode": self._settings.park_syscode,
            "startTime": iso_china(grant.valid_from),
            "endTime": iso_china(grant.valid_until),
        }

    def _deduction(self, benefit: Benefit) -> tuple[int, int]:
        """`deductRuleType` and `deductContent`: 0 fen, 1 percent, 2 all free, 4 minutes; there is no 3."""
        if benefit.kind is BenefitKind.MINUTES:
            return 4, int(benefit.value)
        if benefit.kind is BenefitKind.AMOUNT:
            return 0, int(benefit.value * 100)
        if benefit.kind is BenefitKind.PERCENT:
            return 1, int(benefit.value if self._settings.percent_means == "off" else 100 - benefit.value)
        return 2, self._settings.all_free_content

    def _find_stay(self, plate: Plate) -> StayResult:
        asked = {
            "parkSyscode": self._settings.park_syscode,
            "plateNo": plate.text,
            "pageNo": 1,
            "pageSize": _STAY_PAGE,
        }
        answer = self._client.post(CARS_INSIDE, asked)
        if answer.outcome is not Outcome.OK:
            return StayResult(answer.outcome, answer.trace, None, answer.code, answer.message)
        rows = answer.data.get("list") if isinstance(answer.data, dict) else None
        stays = [stay for stay in map(_stay, _rows(rows)) if stay is not None and stay.plate.text == plate.text]
        return StayResult(Outcome.OK, answer.trace, stays[0] if stays else None, answer.code, answer.message)

    def _quote(self, plate: Plate) -> QuoteResult:
        answer = self._bill(plate)
        if answer.code == codes.STALE_BILL:
            answer = self._bill(plate)
        if answer.outcome is not Outcome.OK or not answer.data:
            return QuoteResult(answer.outcome, answer.trace, None, answer.code, answer.message)
        try:
            quote = _read_quote(answer.data)
        except (DecimalException, AttributeError) as error:
            message = f"账单格式错误 the bill cannot be read: {error}"
            return QuoteResult(Outcome.UNKNOWN, answer.trace, None, "BAD_BILL", message)
        return QuoteResult(Outcome.OK, answer.trace, quote, answer.code, answer.message)

    def _bill(self, plate: Plate) -> ArtemisAnswer:
        return self._client.post(QUICK_BILL, {"parkSyscode": self._settings.park_syscode, "plateNo": plate.text})


def build_isecure(_connection_id: str, settings: IsecureSettings, clock: Clock) -> IsecureAdapter:
    """The adapter of one connection."""
    return IsecureAdapter(settings, clock)


def _rows(data: Any) -> list[dict[str, Any]]:
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _stay(row: dict[str, Any]) -> StayInfo | None:
    plate = normalise(str(row.get("plateNo") or ""))
    reference = row.get("inRecordSyscode")
    if plate is None or not reference:
        return None
    return StayInfo(str(reference), plate, read_time(str(row.get("inTime") or "")))


def _read_quote(data: dict[str, Any]) -> Quote:
    """The bill's money is text in yuan; a missing member is nothing owed or paid."""
    return Quote(
        bill_ref=str(data.get("billSyscode") or ""),
        stay_ref=str(data["inRecordSyscode"]) if data.get("inRecordSyscode") else None,
        due=_yuan(data.get("supposeCost")),
        reduced=_yuan(data.get("deduceCost")),
        paid=_yuan(data.get("paidCost")),
        total=_yuan(data.get("totalCost")),
        entered_at=read_time(str(data.get("enterTime") or "")),
        coupon_used=str(data.get("isUsedCoupon")) == "1",
    )


def _yuan(text: Any) -> Decimal:
    amount = Decimal(str(text)) if text not in (None, "") else Decimal(0)
    if not amount.is_finite():
        raise InvalidOperation(f"{text!r} is no amount")
    return amount
