"""The fake iSecure platform: signature rule and its vectors, coupons, bills, stays, gate control, faults."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging_core.clock import ManualClock
from parking.fake.artemis_signature import content_md5, signature, string_to_sign
from parking.fake.isecure import FakeIsecure
from tests.fakes.calling import control, manual_clock, post

KEY, SECRET = "27310001", "Hb7Tq2Zk9Wm4Xc1V"
NONCE, STAMP = "6f6a1c1e-0c7b-4b57-9a2d-6c5f0a4f9b11", "1730000000000"
JSON = "application/json;charset=UTF-8"
PLATE = "浙AD12345"
COUPON_API = "/api/pms/v2/coupon/addition"
BILL_API = "/api/pms/v1/pay/quickPreBill"
GATE_API = "/api/pms/v1/deviceControl"


def lines(*texts: str) -> str:
    return "\n".join(texts)


VECTORS = [
    (
        "A",
        (
            "POST",
            {"accept": "*/*", "content-type": JSON},
            ["x-ca-key", "x-ca-nonce", "x-ca-timestamp"],
            GATE_API,
            {},
            b"",
        ),
        "+goZqqAVuU8+WLl9vZFxVWyYVGdgA9QleYVfJymbnV8=",
    ),
    (
        "B",
        (
            "POST",
            {"accept": "application/json", "content-type": JSON, "content-md5": "ignored by the server"},
            ["x-ca-timestamp", "x-ca-nonce", "x-ca-key"],
            GATE_API,
            {},
            b'{"roadwaySyscode":"3f2283401d0a4214ae7032c9117ba30c","command":1}',
        ),
        "E71Y/NcpMd2atsV750xhiorz7AnyXTQCo3sy/fuclP0=",
    ),
    (
        "C",
        ("POST", {"accept": "*/*", "content-type": "application/json"}, ["x-ca-key"], "/api/pms/v1/image", {}, b""),
        "MlA1mWNvsaps2ETjl7rXE0XNMzaFU9ddKFpa3CEES4Y=",
    ),
    (
        "D",
        (
            "GET",
            {"accept": "*/*"},
            ["x-ca-key", "x-ca-timestamp", "accept"],
            "/api/example",
            {"empty": "", "b": "2", "a": "1"},
            b"",
        ),
        "558IWHNSpbRHCeOW+X/uFmDdqGKks3RhvDibPK24HS8=",
    ),
]
CA_HEADERS = {"x-ca-key": KEY, "x-ca-nonce": NONCE, "x-ca-timestamp": STAMP}


@pytest.mark.parametrize(("name", "parts", "expected"), VECTORS)
def test_the_digests_vectors(name: str, parts: tuple[Any, ...], expected: str) -> None:
    method, headers, signed, api, params, body = parts
    text = string_to_sign(method, headers | CA_HEADERS, signed, "/artemis" + api, params, body)
    assert signature(text, SECRET) == expected, (name, text)


def test_the_md5_of_vector_b() -> None:
    assert content_md5(VECTORS[1][1][5]) == "viCLiJ/nhb154OAYIK/L4Q=="


def test_a_header_present_but_empty_is_an_empty_line() -> None:
    text = string_to_sign("POST", {"accept": "", "x-ca-key": KEY}, ["x-ca-key"], "/artemis/x", {})
    assert text == lines("POST", "", f"x-ca-key:{KEY}", "/artemis/x")


def config(**more: Any) -> dict[str, Any]:
    roadways = [
        {"code": "lane-in", "name": "入口", "direction": "entry"},
        {"code": "lane-out", "name": "出口", "direction": "exit"},
    ]
    park = {
        "code": "park-1",
        "name": "示例车场",
        "entrances": [{"code": "gate-1", "name": "南门", "roadways": roadways}],
    }
    return {"app_key": KEY, "app_secret": SECRET, "parks": [park, {"code": "park-2", "name": "二号"}]} | more


@pytest.fixture
def clock() -> ManualClock:
    return manual_clock()


@pytest.fixture
def platform(clock: ManualClock) -> Iterator[FakeIsecure]:
    with FakeIsecure(config(), clock) as fake:
        yield fake


def signed_headers(api: str, body: bytes, **changes: str) -> dict[str, str]:
    """What a right client sends; `changes` replace headers before signing."""
    headers = {
        "Accept": "*/*",
        "Content-Type": JSON,
        "X-Ca-Key": KEY,
        "X-Ca-Nonce": str(uuid.uuid4()),
        "X-Ca-Timestamp": str(int(time.time() * 1000)),
    } | changes
    names = ["x-ca-key", "x-ca-nonce", "x-ca-timestamp"]
    lower = {name.lower(): value for name, value in headers.items()}
    text = string_to_sign("POST", lower, names, "/artemis" + api, {}, body)
    return headers | {"X-Ca-Signature": signature(text, SECRET), "X-Ca-Signature-Headers": ",".join(names)}


def call(platform: FakeIsecure, api: str, body: Any) -> dict[str, Any]:
    raw = json.dumps(body).encode()
    answer = post(f"{platform.url}/artemis{api}", raw, signed_headers(api, raw))
    assert answer.status_code == 200
    opened = answer.json()
    assert isinstance(opened, dict)
    return opened


def coupon(**more: Any) -> dict[str, Any]:
    item = {
        "couponCode": "CH20260302120000001",
        "plateNo": PLATE,
        "deductRuleType": 4,
        "deductContent": 120,
        "parkSyscode": "park-1",
        "startTime": "2026-03-02T11:00:00+08:00",
        "endTime": "2026-03-02T23:00:00+08:00",
    }
    return {"coupons": [item | more]}


def bill(platform: FakeIsecure) -> dict[str, Any]:
    answer = call(platform, BILL_API, {"parkSyscode": "park-1", "plateNo": PLATE})
    assert answer["code"] == "0", answer
    data = answer["data"]
    assert isinstance(data, dict)
    return data


# -- signature -----------------------------------------------------------------------------------------------------------


def test_a_signed_call_is_answered_and_its_checks_are_logged(platform: FakeIsecure) -> None:
    answer = call(platform, "/api/resource/v1/park/parkList", {"parkIndexCodes": ""})
    assert (answer["code"], [park["parkIndexCode"] for park in answer["data"]]) == ("0", ["park-1", "park-2"])
    [entry] = platform.received()
    assert entry["accepted"]
    assert set(entry["checks"].values()) == {"ok"}


def test_empty_lines_for_absent_headers_are_refused_and_the_string_echoed(platform: FakeIsecure) -> None:
    """The negative check: code taken from the similar gateway keeps empty lines."""
    api, headers = GATE_API, signed_headers(GATE_API, b"{}")
    named = [f"{name}:{headers[name.title()]}" for name in ("x-ca-key", "x-ca-nonce", "x-ca-timestamp")]
    kept = lines("POST", "*/*", "", JSON, "", *named, "/artemis" + api)
    answer = post(f"{platform.url}/artemis{api}", b"{}", headers | {"X-Ca-Signature": signature(kept, SECRET)}).json()
    assert answer["code"] == "0x02401003"
    assert lines("POST", "*/*", JSON, *named, "/artemis" + api) in answer["msg"]
    assert platform.received()[0]["checks"]["signature"] == "0x02401003"
    vector_a = lines("POST", "*/*", "", JSON, "", *(f"{k}:{v}" for k, v in CA_HEADERS.items()), "/artemis" + api)
    assert signature(vector_a, SECRET) == "/jjmj2vEE4C7eDKLnYrVP4LCKbTrOW3tu1nFH+MM0LI="


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"X-Ca-Key": ""}, "0x02401000"),
        ({"X-Ca-Key": "99999999"}, "0x02401001"),
        ({"X-Ca-Signature": ""}, "0x02401002"),
        ({"X-Ca-Signature": "AAAA"}, "0x02401003"),
        ({"Content-Type": "application/json"}, "0x02401003"),
        ({"Accept": "application/json"}, "0x02401003"),
        ({"X-Ca-Nonce": "another"}, "0x02401003"),
        ({"X-Ca-Signature-Headers": "x-ca-nonce,x-ca-timestamp"}, "0x02401003"),
    ],
)
def test_spoiled_headers_get_their_code(platform: FakeIsecure, changes: dict[str, str], code: str) -> None:
    headers = signed_headers(GATE_API, b"{}") | changes
    assert post(f"{platform.url}/artemis{GATE_API}", b"{}", headers).json()["code"] == code
    assert platform.books.gate_actions == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 64), bit=st.integers(0, 6))
def test_a_flipped_bit_under_content_md5_is_refused(platform: FakeIsecure, position: int, bit: int) -> None:
    body = VECTORS[1][1][5]
    headers = signed_headers(GATE_API, body, **{"Content-MD5": "x"})
    spoiled = bytearray(body)
    spoiled[position] ^= 1 << bit
    assert post(f"{platform.url}/artemis{GATE_API}", bytes(spoiled), headers).json()["code"] == "0x02401003"


def test_a_nonce_serves_once(platform: FakeIsecure) -> None:
    headers = signed_headers(GATE_API, b"{}")
    codes = [post(f"{platform.url}/artemis{GATE_API}", b"{}", headers).json()["code"] for _ in range(2)]
    assert codes == ["0x00072001", "0x02401003"]


def test_an_old_time_stamp_is_refused_the_shared_clock_counts_too(platform: FakeIsecure, clock: ManualClock) -> None:
    old = str(int((time.time() - 3600) * 1000))
    headers = signed_headers(GATE_API, b"{}", **{"X-Ca-Timestamp": old})
    assert post(f"{platform.url}/artemis{GATE_API}", b"{}", headers).json()["code"] == "0x02401003"
    business = str(int(clock.now().timestamp() * 1000))
    headers = signed_headers(GATE_API, b"{}", **{"X-Ca-Timestamp": business})
    assert post(f"{platform.url}/artemis{GATE_API}", b"{}", headers).json()["code"] == "0x00072001"


def test_unknown_and_ungranted_apis_are_refused() -> None:
    with FakeIsecure(config(granted=[BILL_API]), manual_clock()) as platform:
        assert call(platform, "/api/pms/v1/pay/quickPre", {})["code"] == "0x02401008"
        assert call(platform, GATE_API, {"roadwaySyscode": "lane-out", "command": 1})["code"] == "0x02401008"
        assert platform.books.gate_actions == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_refused(platform: FakeIsecure, body: bytes) -> None:
    answer = post(f"{platform.url}/artemis{GATE_API}", body, signed_headers(GATE_API, body)).json()
    assert answer["code"] == "0x02401021"


# -- coupons and bills ---------------------------------------------------------------------------------------------------


def test_a_coupon_reduces_the_bill_of_its_plate(platform: FakeIsecure, clock: ManualClock) -> None:
    platform.passage(PLATE, "entry")
    clock.advance(timedelta(minutes=150))
    assert (bill(platform)["supposeCost"], bill(platform)["isUsedCoupon"]) == ("15.00", 0)
    assert call(platform, COUPON_API, coupon())["code"] == "0"
    shown = bill(platform)
    assert (shown["totalCost"], shown["deduceCost"], shown["supposeCost"]) == ("15.00", "10.00", "5.00")
    assert (shown["isUsedCoupon"], shown["couponCode"], shown["parkTime"]) == (1, "CH20260302120000001", 150)


def test_the_same_code_again_is_success_without_change(platform: FakeIsecure) -> None:
    assert call(platform, COUPON_API, coupon())["code"] == "0"
    assert call(platform, COUPON_API, coupon(deductContent=999, plateNo="浙A00001"))["code"] == "0"
    [kept] = control(platform, "summary")["coupons"].values()
    assert (kept["content"], kept["plate"], kept["repeats"]) == (120, PLATE, 1)


@pytest.mark.parametrize(
    ("kind", "content", "due"),
    [(0, 350, "11.50"), (1, 20, "12.00"), (2, 0, "0.00"), (4, 60, "10.00"), (0, 99999, "0.00")],
)
def test_the_kinds_of_reduction(platform: FakeIsecure, clock: ManualClock, kind: int, content: int, due: str) -> None:
    platform.passage(PLATE, "entry")
    clock.advance(timedelta(minutes=150))
    call(platform, COUPON_API, coupon(deductRuleType=kind, deductContent=content))
    assert bill(platform)["supposeCost"] == due


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"couponCode": ""}, "0x00072001"),
        ({"couponCode": "x" * 65}, "0x00072006"),
        ({"plateNo": "浙AD1234567"}, "0x02e33400"),
        ({"parkSyscode": "park-9"}, "0x02e13201"),
        ({"deductRuleType": 3}, "0x00072002"),
        ({"deductContent": 12.5}, "0x00072003"),
        ({"deductContent": -1}, "0x00072003"),
        ({"startTime": "2026-03-02 11:00:00"}, "0x00072003"),
        ({"endTime": "2026-03-02T11:00:00+08:00"}, "0x00072002"),
        ({"discount": 1}, "0x00072005"),
    ],
)
def test_a_wrong_coupon_is_refused_and_not_kept(platform: FakeIsecure, changes: dict[str, Any], code: str) -> None:
    assert call(platform, COUPON_API, coupon(**changes))["code"] == code
    assert platform.books.coupons == {}


def test_a_coupon_outside_its_time_or_for_another_park_reduces_nothing(
    platform: FakeIsecure, clock: ManualClock
) -> None:
    platform.passage(PLATE, "entry")
    call(platform, COUPON_API, coupon(couponCode="elsewhere", parkSyscode="park-2"))
    call(platform, COUPON_API, coupon(couponCode="early", endTime="2026-03-02T12:30:00+08:00"))
    clock.advance(timedelta(hours=1))
    assert bill(platform)["isUsedCoupon"] == 0
    for code, message in (("elsewhere", "3"), ("early", "1"), ("unknown", "2")):
        data = call(platform, "/api/pms/v1/pay/preBill", {"plateNo": PLATE, "couponCode": code})["data"]
        assert (data["isUsedCoupon"], data["couponUsedMsg"]) == (0, message)


def test_after_payment_an_overtime_bill_refuses_coupons(platform: FakeIsecure, clock: ManualClock) -> None:
    platform.passage(PLATE, "entry")
    call(platform, COUPON_API, coupon())
    clock.advance(timedelta(minutes=150))
    first = bill(platform)
    stale = bill(platform)
    assert call(platform, "/api/pms/v2/pay/receipt", {"billSyscode": first["billSyscode"]})["code"] == "0x02e13661"
    assert call(platform, "/api/pms/v2/pay/receipt", {"billSyscode": stale["billSyscode"]})["code"] == "0"
    clock.advance(timedelta(minutes=60))
    call(platform, COUPON_API, coupon(couponCode="second", deductRuleType=2))
    over = bill(platform)
    assert (over["calcType"], over["paidCost"], over["supposeCost"]) == (1, "5.00", "5.00")
    body = {"inRecordSyscode": over["inRecordSyscode"], "couponCode": "second"}
    assert call(platform, "/api/pms/v1/pay/preBill", body)["data"]["couponUsedMsg"] == "4"


def test_free_minutes_cost_nothing_and_a_car_that_is_not_inside_has_no_bill(
    platform: FakeIsecure, clock: ManualClock
) -> None:
    assert call(platform, BILL_API, {"plateNo": PLATE})["code"] == "0x00072202"
    assert call(platform, BILL_API, {"plateNo": "浙A"})["code"] == "0x00072002"
    platform.passage(PLATE, "entry")
    clock.advance(timedelta(minutes=15))
    assert bill(platform)["supposeCost"] == "0.00"
    platform.passage(PLATE, "exit")
    assert call(platform, BILL_API, {"plateNo": PLATE})["code"] == "0x00072202"


# -- stays, lanes, gates -------------------------------------------------------------------------------------------------


def test_cars_inside_and_passages_are_listed(platform: FakeIsecure, clock: ManualClock) -> None:
    control(platform, "passage", {"plate": PLATE, "direction": "entry"})
    clock.advance(timedelta(minutes=95))
    control(platform, "passage", {"plate": "浙A00001", "direction": "entry", "park": "park-2"})
    inside = call(platform, "/api/pms/v1/tempCarInRecords/page", {"plateNo": "D12", "pageNo": 1, "pageSize": 10})[
        "data"
    ]
    assert [(car["plateNo"], car["parkTime"]) for car in inside["list"]] == [(PLATE, "1小时35分")]
    control(platform, "passage", {"plate": PLATE, "direction": "exit", "at": "2026-03-02T14:00:00+08:00"})
    asked = {"parkSyscode": "park-1", "vehicleOut": 1, "startTime": "2026-03-02T13:59:00+08:00"}
    crossed = call(platform, "/api/pms/v1/crossRecords/page", asked)["data"]["list"]
    assert [(row["crossTime"], row["roadwaySyscode"]) for row in crossed] == [("2026-03-02T14:00:00+08:00", "lane-out")]


def test_a_page_beyond_the_end_is_the_last_page_again(platform: FakeIsecure) -> None:
    for number in range(5):
        platform.passage(f"浙A0000{number}", "entry")
    pages = [
        call(platform, "/api/pms/v1/tempCarInRecords/page", {"pageNo": page, "pageSize": 2})["data"] for page in (3, 9)
    ]
    assert pages[0]["list"] == pages[1]["list"] != []
    assert pages[1]["total"] == 5
    assert call(platform, "/api/pms/v1/tempCarInRecords/page", {"pageNo": 0})["code"] == "0x00072002"


def test_the_resource_tree(platform: FakeIsecure) -> None:
    [entrance] = call(platform, "/api/resource/v1/entrance/entranceList", {"parkIndexCodes": "park-1"})["data"]
    assert (entrance["entranceIndexCode"], entrance["roadNum"]) == ("gate-1", 2)
    lanes = call(platform, "/api/resource/v1/roadway/roadwayList", {"entranceIndexCodes": "gate-1"})["data"]
    assert [(lane["roadwayIndexCode"], lane["roadwayType"]) for lane in lanes] == [("lane-in", 0), ("lane-out", 1)]
    assert call(platform, "/api/resource/v1/roadway/roadwayList", {})["code"] == "0x00072001"


def test_gate_commands_are_remembered(platform: FakeIsecure) -> None:
    assert call(platform, GATE_API, {"roadwaySyscode": "lane-out", "command": 1})["code"] == "0"
    assert call(platform, GATE_API, {"roadwaySyscode": "lane-out", "command": 2})["code"] == "0x00072002"
    assert call(platform, GATE_API, {"roadwaySyscode": "lane-9", "command": 1})["code"] == "0x00072202"
    [action] = control(platform, "summary")["gate_actions"]
    assert (action["roadwaySyscode"], action["command"]) == ("lane-out", 1)


# -- faults --------------------------------------------------------------------------------------------------------------


def test_fault_code_refuses_without_executing(platform: FakeIsecure) -> None:
    control(platform, "faults", {"faults": [{"kind": "code", "value": "0x02401036"}]})
    assert call(platform, COUPON_API, coupon())["code"] == "0x02401036"
    assert platform.books.coupons == {}


def test_fault_code_after_executes_and_leaves_the_outcome_unknown(platform: FakeIsecure) -> None:
    control(platform, "faults", {"faults": [{"kind": "code_after", "interface": "addition"}]})
    assert call(platform, COUPON_API, coupon())["code"] == "0x02401033"
    assert call(platform, COUPON_API, coupon())["code"] == "0", "the same code again resolves it"
    assert next(iter(platform.books.coupons.values())).repeats == 1


def test_fault_shapes_of_the_answer(platform: FakeIsecure) -> None:
    control(platform, "faults", {"faults": [{"kind": "int_code"}, {"kind": "message_key"}]})
    assert call(platform, COUPON_API, coupon())["code"] == 0
    assert call(platform, COUPON_API, coupon())["message"] == "success"


def test_reset_empties_the_books(platform: FakeIsecure) -> None:
    platform.passage(PLATE, "entry")
    call(platform, COUPON_API, coupon())
    control(platform, "reset", {})
    summary = control(platform, "summary")
    assert (summary["coupons"], summary["stays"], summary["passages"]) == ({}, [], [])
    assert "error" in control(platform, "passage", {"plate": PLATE, "direction": "sideways"})
    assert "error" in control(platform, "passage", {"plate": PLATE, "direction": "entry", "park": "park-9"})
