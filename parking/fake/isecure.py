"""The fake iSecure platform behind its artemis gateway: signature, lanes, coupons, bills, stays, gate control.

`python -m parking.fake.isecure --config FILE [--port N] [--log FILE] [--fault KIND]`.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from charging_core.clock import Clock
from parking.fake import artemis_errors as codes
from parking.fake.artemis_errors import ArtemisRefusal
from parking.fake.artemis_gateway import PREFIX, Gateway
from parking.fake.coupons import iso, moment
from parking.fake.park_books import Bill, ParkBooks, Stay, display_time
from parking.fake.park_config import Entrance, IsecureConfig
from partners.fake.command import fake_options, run_fake
from partners.fake.faults import Fault
from partners.fake.httpd import Request, json_reply
from partners.fake.server import ControlAction, FakeServer, Served

DEFAULT_PORT = 18082
"""The third of the fakes' ports (DECISIONS 9)."""

MAX_PAGE = 1000

Action = Callable[[dict[str, Any]], Any]


class FakeIsecure(FakeServer):
    """An iSecure platform on a local port. `with FakeIsecure(config) as platform:` then give the hub `platform.url`."""

    fault_kinds: ClassVar[Mapping[str, str]] = {
        "code": "the signature is checked, then refused with the gateway code `value` (0x02401036 for a rate limit)",
        "code_after": "executed, then answered with the code `value` (default 0x02401033, read timeout: outcome unknown)",
        "int_code": "success is told as the number 0 instead of the text",
        "message_key": "the text is called `message` instead of `msg`",
    }

    def __init__(self, config: IsecureConfig | Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config = config if isinstance(config, IsecureConfig) else IsecureConfig.model_validate(config)
        self.books = ParkBooks(self.config, self.clock)
        self._lock = threading.RLock()
        self._actions: Mapping[str, Action] = {
            "/api/resource/v1/park/parkList": self._park_list,
            "/api/resource/v1/entrance/entranceList": self._entrance_list,
            "/api/resource/v1/roadway/roadwayList": self._roadway_list,
            "/api/pms/v1/deviceControl": self._device_control,
            "/api/pms/v2/coupon/addition": self._coupon_addition,
            "/api/pms/v1/pay/quickPreBill": self._quick_pre_bill,
            "/api/pms/v1/pay/preBill": self._pre_bill,
            "/api/pms/v2/pay/receipt": self._receipt,
            "/api/pms/v1/tempCarInRecords/page": self._cars_inside,
            "/api/pms/v1/crossRecords/page": self._cross_records,
        }
        self._gateway = Gateway(self.config, self.clock, frozenset(self._actions))

    # -- one request -------------------------------------------------------------------------------------------------

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        """Gateway checks, action, envelope of the gateway. HTTP status 200 also for refusals."""
        checks: dict[str, str] = {}
        entry: dict[str, Any] = {"checks": checks, "api": request.path.removeprefix(PREFIX)}
        try:
            entry["body"] = self._gateway.open(request, checks)
            if fault and fault.kind == "code":
                raise ArtemisRefusal(str(fault.value or "0x02401036"), "refused on demand")
            with self._lock:
                data = self._actions[entry["api"]](entry["body"])
            entry["accepted"] = True
            answer = self._success(data, fault)
        except ArtemisRefusal as refusal:
            answer = {"code": refusal.code, "msg": refusal.msg, "data": None}
        return Served(json_reply(answer), entry | {"answer": answer})

    def _success(self, data: Any, fault: Fault | None) -> dict[str, Any]:
        kind = fault.kind if fault else ""
        if fault and kind == "code_after":
            return {"code": str(fault.value or "0x02401033"), "msg": "read timeout", "data": None}
        text = {"message" if kind == "message_key" else "msg": "success"}
        return {"code": 0 if kind == "int_code" else "0", **text, "data": data}

    # -- resources ---------------------------------------------------------------------------------------------------

    def _park_list(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _code_list(body.get("parkIndexCodes"))
        return [
            {"parkIndexCode": park.code, "parentParkIndexCode": "", "parkName": park.name}
            for park in self.config.parks
            if not wanted or park.code in wanted
        ]

    def _entrance_list(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _code_list(_required(body, "parkIndexCodes"))
        return [
            {
                "entranceIndexCode": entrance.code,
                "entranceName": entrance.name,
                "parkIndexCode": park_code,
                "roadNum": len(entrance.roadways),
            }
            for park_code, entrance in self._entrances()
            if park_code in wanted
        ]

    def _roadway_list(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _code_list(_required(body, "entranceIndexCodes"))
        return [
            {
                "roadwayIndexCode": roadway.code,
                "roadwayName": roadway.name,
                "roadwayType": 0 if roadway.direction == "entry" else 1,
                "entranceIndexCode": entrance.code,
            }
            for _, entrance in self._entrances()
            if entrance.code in wanted
            for roadway in entrance.roadways
        ]

    def _entrances(self) -> Iterator[tuple[str, Entrance]]:
        return ((park.code, entrance) for park in self.config.parks for entrance in park.entrances)

    # -- parking -----------------------------------------------------------------------------------------------------

    def _device_control(self, body: dict[str, Any]) -> None:
        self.books.control_gate(_required(body, "roadwaySyscode"), body.get("command"))

    def _coupon_addition(self, body: dict[str, Any]) -> None:
        self.books.add_coupons(body.get("coupons"))

    def _quick_pre_bill(self, body: dict[str, Any]) -> dict[str, Any]:
        stay = self.books.stay_of(str(_required(body, "plateNo")), str(body.get("parkSyscode") or ""))
        return self._bill_json(self.books.bill(stay))

    def _pre_bill(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._bill_json(self.books.bill(self._stay_asked(body), str(body.get("couponCode") or "")))

    def _stay_asked(self, body: dict[str, Any]) -> Stay:
        record, plate = str(body.get("inRecordSyscode") or ""), str(body.get("plateNo") or "")
        if bool(record) == bool(plate):
            raise ArtemisRefusal(codes.REQUIRED, "exactly one of inRecordSyscode and plateNo")
        if record:
            return self.books.stay_by_record(record)
        return self.books.stay_of(plate, str(body.get("parkSyscode") or ""))

    def _receipt(self, body: dict[str, Any]) -> None:
        self.books.confirm(str(_required(body, "billSyscode")))

    def _cars_inside(self, body: dict[str, Any]) -> dict[str, Any]:
        park, plate = str(body.get("parkSyscode") or ""), str(body.get("plateNo") or "")
        if plate and len(plate) < 3:
            raise ArtemisRefusal(codes.RANGE, "plateNo needs at least 3 characters")
        stays = [s for s in self.books.stays.values() if park in ("", s.park) and plate in s.plate]
        return _page(body, [self._stay_json(stay) for stay in stays])

    def _cross_records(self, body: dict[str, Any]) -> dict[str, Any]:
        found = [
            passage
            for passage in self.books.passages
            if all(body.get(name) in (None, "", passage[name]) for name in ("parkSyscode", "vehicleOut"))
            and str(body.get("plateNo") or "") in passage["plateNo"]
            and _within(body, passage["crossTime"])
        ]
        return _page(body, found)

    def _stay_json(self, stay: Stay) -> dict[str, Any]:
        minutes = int((self.clock.now() - stay.entered_at).total_seconds() // 60)
        return {
            "inRecordSyscode": stay.record,
            "plateNo": stay.plate,
            "cardNo": "",
            "inTime": iso(stay.entered_at),
            "parkTime": display_time(minutes),
            "parkSyscode": stay.park,
        }

    def _bill_json(self, bill: Bill) -> dict[str, Any]:
        return {
            "billSyscode": bill.syscode,
            "inRecordSyscode": bill.stay.record,
            "parkSyscode": bill.stay.park,
            "parkName": self.books.park(bill.stay.park).name,
            "plateNo": bill.stay.plate,
            "cardNo": "",
            "enterTime": iso(bill.stay.entered_at),
            "parkTime": bill.minutes,
            "calcType": 0 if bill.stay.paid_at is None else 1,
            "supposeCost": f"{bill.due:.2f}",
            "deduceCost": f"{bill.reduced:.2f}",
            "currentDeduceCost": f"{bill.reduced:.2f}",
            "paidCost": f"{bill.stay.paid:.2f}",
            "totalCost": f"{bill.total:.2f}",
            "isUsedCoupon": 1 if bill.coupon else 0,
            "couponCode": bill.coupon.code if bill.coupon else "",
            "couponUsedMsg": bill.coupon_message,
            "delayTime": self.config.delay_minutes,
        }

    # -- control -----------------------------------------------------------------------------------------------------

    def passage(self, plate: str, direction: str, park_code: str = "", at: str | None = None) -> dict[str, Any]:
        """A car enters or leaves (now, or at an ISO time). Raises `ValueError` on another direction."""
        if direction not in ("entry", "exit"):
            raise ValueError("direction is entry or exit")
        with self._lock:
            when = moment(at, "at") if at else None
            return self.books.pass_gate(plate, direction, park_code or self.config.parks[0].code, when)

    def summary(self) -> dict[str, Any]:
        """Also stays, coupons and gate actions."""
        with self._lock:
            coupons = {code: _plain(asdict(coupon)) for code, coupon in self.books.coupons.items()}
            stays = [_plain(asdict(stay)) for stay in self.books.stays.values()]
            return super().summary() | {
                "coupons": coupons,
                "stays": stays,
                "gate_actions": list(self.books.gate_actions),
                "passages": list(self.books.passages),
            }

    def reset(self) -> None:
        """Also empties the books; used nonces stay used."""
        super().reset()
        with self._lock:
            self.books.clear()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """Also `POST /control/passage {plate, direction, park?, at?}`."""

        def passage(body: dict[str, Any]) -> object:
            try:
                return self.passage(body["plate"], body["direction"], str(body.get("park") or ""), body.get("at"))
            except ArtemisRefusal as refusal:
                raise ValueError(str(refusal)) from refusal

        return super().control_actions() | {("POST", "passage"): passage}


def _required(body: Mapping[str, Any], name: str) -> Any:
    if body.get(name) in (None, ""):
        raise ArtemisRefusal(codes.REQUIRED, name)
    return body[name]


def _code_list(text: Any) -> set[str]:
    return {code for code in str(text or "").split(",") if code}


def _within(body: Mapping[str, Any], cross_time: str) -> bool:
    at = moment(cross_time, "crossTime")
    begins, ends = body.get("startTime"), body.get("endTime")
    return (not begins or moment(begins, "startTime") <= at) and (not ends or at <= moment(ends, "endTime"))


def _page(body: Mapping[str, Any], rows: list[Any]) -> dict[str, Any]:
    """One page; a number beyond the end gives the last page again, as the real platform does."""
    number, size = body.get("pageNo", 1), body.get("pageSize", 20)
    if not isinstance(number, int) or not isinstance(size, int) or number < 1 or not 1 <= size <= MAX_PAGE:
        raise ArtemisRefusal(codes.RANGE, "pageNo from 1, pageSize 1 to 1000")
    last = max(-(-len(rows) // size), 1)
    begin = (min(number, last) - 1) * size
    return {"total": len(rows), "pageNo": number, "pageSize": size, "list": rows[begin : begin + size]}


def _plain(members: dict[str, Any]) -> dict[str, Any]:
    return {name: iso(value) if hasattr(value, "tzinfo") else value for name, value in members.items()}


def build(config: dict[str, Any], options: argparse.Namespace, clock: Clock, faults: list[Fault]) -> FakeIsecure:
    """The fake that the configuration and the command line describe."""
    return FakeIsecure(config, clock, **fake_options(options, faults))


if __name__ == "__main__":
    raise SystemExit(run_fake("parking.fake.isecure", build, default_port=DEFAULT_PORT))
