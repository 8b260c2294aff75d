"""What the fake platform knows: who is inside, which coupons exist, what a stay costs, what the gates did."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from charging_core.clock import Clock
from parking.fake.artemis_errors import BILL_STALE, NOT_FOUND, PARK_WRONG, RANGE, REQUIRED, ArtemisRefusal
from parking.fake.coupons import ALL_FREE, AMOUNT, MINUTES, Coupon, coupon_from, iso
from parking.fake.park_config import IsecureConfig, Park, Roadway

CENT = Decimal("0.01")


@dataclass
class Stay:
    """One car inside."""

    plate: str
    park: str
    entered_at: datetime
    record: str = field(default_factory=lambda: uuid.uuid4().hex)
    paid: Decimal = Decimal(0)
    reduced: Decimal = Decimal(0)
    paid_at: datetime | None = None


@dataclass(frozen=True)
class Bill:
    """What a stay costs at one moment; amounts in yuan."""

    syscode: str
    stay: Stay
    total: Decimal
    reduced: Decimal
    coupon: Coupon | None
    minutes: int
    coupon_message: str = ""

    @property
    def due(self) -> Decimal:
        """What is still to be paid."""
        return max(self.total - self.reduced - self.stay.paid, Decimal(0))


class ParkBooks:
    """All parks of the platform. The caller holds a lock around every method."""

    def __init__(self, config: IsecureConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._parks = {park.code: park for park in config.parks}
        self._roadways: dict[str, tuple[Park, Roadway]] = {
            roadway.code: (park, roadway)
            for park in config.parks
            for entrance in park.entrances
            for roadway in entrance.roadways
        }
        self.stays: dict[tuple[str, str], Stay] = {}
        self.coupons: dict[str, Coupon] = {}
        self.bills: dict[str, Bill] = {}
        self.passages: list[dict[str, Any]] = []
        self.gate_actions: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Empty books."""
        for shelf in (self.stays, self.coupons, self.bills, self.passages, self.gate_actions):
            shelf.clear()

    def park(self, code: str) -> Park:
        """The park with this code; raises `ArtemisRefusal` when there is none."""
        if code not in self._parks:
            raise ArtemisRefusal(PARK_WRONG, "park id wrong 停车库编号错误")
        return self._parks[code]

    # -- cars --------------------------------------------------------------------------------------------------------

    def pass_gate(self, plate: str, direction: str, park_code: str, at: datetime | None = None) -> dict[str, Any]:
        """A car enters or leaves; an exit ends the stay and uses up its coupon."""
        park, moment = self.park(park_code), at or self._clock.now()
        key = (park.code, plate)
        if direction == "entry":
            self.stays[key] = Stay(plate, park.code, moment)
        elif (stay := self.stays.get(key)) is not None:
            coupon = self._coupon_for(stay)
            if coupon:
                coupon.used = True
            del self.stays[key]
        return self._passed(plate, direction, park, moment)

    def _passed(self, plate: str, direction: str, park: Park, moment: datetime) -> dict[str, Any]:
        lanes = [lane for entrance in park.entrances for lane in entrance.roadways if lane.direction == direction]
        passage = {
            "crossRecordSyscode": uuid.uuid4().hex,
            "plateNo": plate,
            "vehicleOut": 0 if direction == "entry" else 1,
            "crossTime": iso(moment),
            "createTime": iso(self._clock.now()),
            "parkSyscode": park.code,
            "roadwaySyscode": lanes[0].code if lanes else "",
            "releaseResult": 1,
        }
        self.passages.append(passage)
        return passage

    # -- coupons -----------------------------------------------------------------------------------------------------

    def add_coupons(self, raw: Any) -> None:
        """`coupon/addition`: all are checked before any is kept; a known code is success without change."""
        if not isinstance(raw, list) or not raw:
            raise ArtemisRefusal(REQUIRED, "coupons")
        for coupon in [coupon_from(item, self.park) for item in raw]:
            known = self.coupons.get(coupon.code)
            if known:
                known.repeats += 1
            else:
                self.coupons[coupon.code] = coupon

    def _coupon_for(self, stay: Stay) -> Coupon | None:
        now = self._clock.now()
        fitting = (
            coupon
            for coupon in self.coupons.values()
            if (coupon.plate, coupon.park) == (stay.plate, stay.park)
            and not coupon.used
            and coupon.begins <= now <= coupon.ends
        )
        return next(fitting, None)

    # -- bills -------------------------------------------------------------------------------------------------------

    def stay_of(self, plate: str, park_code: str) -> Stay:
        """The stay of a plate, in one park or (empty code) in any; raises `ArtemisRefusal` when the car is not inside."""
        if len(plate) < 3:
            raise ArtemisRefusal(RANGE, "plateNo needs at least 3 characters")
        if park_code:
            self.park(park_code)
        for stay in self.stays.values():
            if stay.plate == plate and park_code in ("", stay.park):
                return stay
        raise ArtemisRefusal(NOT_FOUND, f"{plate} is not inside")

    def stay_by_record(self, record: str) -> Stay:
        """The stay with this `inRecordSyscode`."""
        for stay in self.stays.values():
            if stay.record == record:
                return stay
        raise ArtemisRefusal(NOT_FOUND, "inRecordSyscode")

    def bill(self, stay: Stay, coupon_code: str = "") -> Bill:
        """A fresh bill; a coupon is taken by code, or the one bound to the plate when the site is set up so."""
        now = self._clock.now()
        minutes = max(int((now - stay.entered_at).total_seconds() // 60), 0)
        total = self._fee(stay.park, minutes)
        coupon, message = self._chosen(stay, coupon_code)
        reduced = self._reduction(stay.park, total, minutes, coupon) if coupon else stay.reduced
        bill = Bill(uuid.uuid4().hex, stay, total, reduced, coupon, minutes, message)
        self.bills = {code: old for code, old in self.bills.items() if old.stay is not stay} | {bill.syscode: bill}
        return bill

    def confirm(self, syscode: str) -> None:
        """`receipt`: the rest of the bill counts as paid and its coupon as used. Only the newest bill of a stay is valid."""
        bill = self.bills.pop(syscode, None)
        if bill is None:
            raise ArtemisRefusal(BILL_STALE, "bill id wrong or stale, fetch a new bill")
        bill.stay.paid += bill.due
        bill.stay.reduced = bill.reduced
        if bill.coupon:
            bill.coupon.used = True
        bill.stay.paid_at = self._clock.now()

    def _chosen(self, stay: Stay, code: str) -> tuple[Coupon | None, str]:
        """The coupon of a bill, or the vendor's couponUsedMsg that says why there is none."""
        if stay.paid_at is not None:
            return None, "4" if code else ""
        if not code:
            return (self._coupon_for(stay) if self._config.apply_plate_coupons else None), ""
        coupon = self.coupons.get(code)
        if coupon is None:
            return None, "2"
        if coupon.used:
            return None, "6"
        if coupon.park != stay.park:
            return None, "3"
        if not coupon.begins <= self._clock.now() <= coupon.ends:
            return None, "1"
        return coupon, ""

    def _fee(self, park_code: str, minutes: int) -> Decimal:
        park = self.park(park_code)
        hours_begun = -(-minutes // 60)
        return (Decimal(0) if minutes <= park.free_minutes else park.yuan_per_hour * hours_begun).quantize(CENT)

    def _reduction(self, park_code: str, total: Decimal, minutes: int, coupon: Coupon) -> Decimal:
        if coupon.kind == ALL_FREE:
            return total
        if coupon.kind == AMOUNT:
            return min(total, Decimal(coupon.content) * CENT)
        if coupon.kind == MINUTES:
            return total - self._fee(park_code, max(minutes - coupon.content, 0))
        percent = coupon.content if self._config.percent_means == "off" else 100 - coupon.content
        return (total * percent / 100).quantize(CENT, ROUND_HALF_UP)

    # -- gates -------------------------------------------------------------------------------------------------------

    def control_gate(self, roadway_code: Any, command: Any) -> dict[str, Any]:
        """`deviceControl`: 0 close, 1 open, 3 keep open."""
        if command not in (0, 1, 3) or isinstance(command, bool):
            raise ArtemisRefusal(RANGE, "command is 0, 1 or 3")
        if roadway_code not in self._roadways:
            raise ArtemisRefusal(NOT_FOUND, "roadwaySyscode")
        action = {"time": iso(self._clock.now()), "roadwaySyscode": roadway_code, "command": command}
        self.gate_actions.append(action)
        return action


def display_time(minutes: int) -> str:
    """A parking time as the platform shows it."""
    hours, rest = divmod(int(timedelta(minutes=minutes).total_seconds() // 60), 60)
    return f"{hours}小时{rest}分"
