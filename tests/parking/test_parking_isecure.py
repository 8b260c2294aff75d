"""The iSecure adapter on the wire: what it sends, and what it makes of every kind of answer (`specs/parking.md` 4.3, 4.6, 4.7)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ManualClock
from parking.adapters.hikvision_isecure import codes
from parking.adapters.hikvision_isecure.adapter import IsecureAdapter, build_isecure
from parking.adapters.hikvision_isecure.settings import IsecureSettings
from parking.adapters.hikvision_isecure.signing import sign, string_to_sign
from parking.plates import Plate, normalise
from parking.port import Benefit, BenefitKind, Grant, GrantState, Outcome
from tests.parking.scripted_http import DATA, Reply, ScriptedServer, Seen, free_port

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
SECRET = "Hb7Tq2Zk9Wm4Xc1V"
PIN = "62:BF:FA:CC:AA:2E:36:27:0F:69:B3:3B:1B:EC:36:95:D3:D1:3C:9E:03:43:71:89:C9:A5:07:D1:AC:C3:B2:4E"


def plate(text: str = "浙AD12345") -> Plate:
    found = normalise(text)
    assert found is not None
    return found


GRANT = Grant(
    "CH01ORDER", plate(), Benefit(BenefitKind.MINUTES, Decimal(120)), NOW, NOW + timedelta(hours=12, microseconds=5)
)


def answer(members: dict[str, Any], status: int = 200) -> Callable[[Seen], Reply]:
    return lambda _seen: Reply(status, json.dumps(members, ensure_ascii=False).encode())


def success(data: Any = None) -> Callable[[Seen], Reply]:
    return answer({"code": "0", "msg": "success", "data": data})


@contextmanager
def adapter_at(url: str, **changes: Any) -> Iterator[IsecureAdapter]:
    settings = IsecureSettings.model_validate(
        {"base_url": url, "app_key": "27310001", "app_secret": SECRET, "park_syscode": "park-1", **changes}
    )
    adapter = build_isecure("conn-1", settings, ManualClock(NOW))
    try:
        yield adapter
    finally:
        adapter.close()


@contextmanager
def serving(script: Callable[[Seen], Reply], **changes: Any) -> Iterator[tuple[IsecureAdapter, ScriptedServer]]:
    with ScriptedServer(script) as server, adapter_at(server.url, **changes) as adapter:
        yield adapter, server


def test_the_coupon_on_the_wire() -> None:
    with serving(success()) as (adapter, server):
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome, result.vendor_ref) == (GrantState.GRANTED, Outcome.OK, "CH01ORDER")
    [seen] = server.seen
    assert (seen.method, seen.target) == ("POST", "/artemis/api/pms/v2/coupon/addition")
    assert json.loads(seen.body) == {
        "coupons": [
            {
                "couponCode": "CH01ORDER",
                "plateNo": "浙AD12345",
                "deductRuleType": 4,
                "deductContent": 120,
                "parkSyscode": "park-1",
                "startTime": "2026-03-02T09:00:00+08:00",
                "endTime": "2026-03-02T21:00:00+08:00",
            }
        ]
    }


@pytest.mark.parametrize("with_md5", [False, True])
def test_exactly_what_is_sent_is_signed(with_md5: bool) -> None:
    with serving(success(), content_md5=with_md5) as (adapter, server):
        adapter.grant(GRANT)
    [seen] = server.seen
    names = seen.headers["x-ca-signature-headers"].split(",")
    text = string_to_sign(seen.method, seen.headers, seen.target, names)
    assert ("content-md5" in seen.headers) is with_md5
    assert names == ["x-ca-key", "x-ca-nonce", "x-ca-timestamp"]
    assert seen.headers["x-ca-timestamp"] == str(int(NOW.timestamp() * 1000))
    assert seen.headers["x-ca-signature"] == sign(text, SECRET)


def test_every_call_has_its_own_nonce() -> None:
    with serving(success()) as (adapter, server):
        adapter.grant(GRANT)
        adapter.grant(GRANT)
    assert len({seen.headers["x-ca-nonce"] for seen in server.seen}) == 2


@pytest.mark.parametrize(
    ("benefit", "changes", "expected"),
    [
        (Benefit(BenefitKind.AMOUNT, Decimal("12.34")), {}, (0, 1234)),
        (Benefit(BenefitKind.PERCENT, Decimal(20)), {"percent_means": "off"}, (1, 20)),
        (Benefit(BenefitKind.PERCENT, Decimal(20)), {"percent_means": "pay"}, (1, 80)),
        (Benefit(BenefitKind.ALL_FREE), {}, (2, 0)),
        (Benefit(BenefitKind.ALL_FREE), {"all_free_content": -1}, (2, -1)),
    ],
)
def test_units_of_the_wire(benefit: Benefit, changes: dict[str, Any], expected: tuple[int, int]) -> None:
    with serving(success(), **changes) as (adapter, server):
        adapter.grant(replace(GRANT, benefit=benefit))
    [coupon] = json.loads(server.seen[0].body)["coupons"]
    assert (coupon["deductRuleType"], coupon["deductContent"]) == expected


@pytest.mark.parametrize(
    "grant",
    [
        replace(GRANT, benefit=Benefit(BenefitKind.PERCENT, Decimal(20))),
        replace(GRANT, benefit=Benefit(BenefitKind.PARK_DECIDES)),
        replace(GRANT, idempotency_key="K" * 65),
        replace(GRANT, valid_until=GRANT.valid_from),
    ],
)
def test_what_this_park_cannot_take_is_never_sent(grant: Grant) -> None:
    with serving(success()) as (adapter, server):
        result = adapter.grant(grant)
    assert (result.state, result.outcome) == (GrantState.REJECTED, Outcome.PERMANENT)
    assert server.seen == []


@pytest.mark.parametrize(
    ("members", "state", "outcome"),
    [
        ({"code": 0, "message": "SUCCESS!"}, GrantState.GRANTED, Outcome.OK),
        ({"code": "0x02e33400", "msg": "plate"}, GrantState.REJECTED, Outcome.BUSINESS_REFUSED),
        ({"code": "0x02E13201", "msg": "park"}, GrantState.REJECTED, Outcome.CONFIGURATION),
        ({"code": "0x02401003", "msg": "sign"}, GrantState.REJECTED, Outcome.CONFIGURATION),
        ({"code": "0x00072001", "msg": "need"}, GrantState.REJECTED, Outcome.PERMANENT),
        ({"code": "0x02401036", "msg": "limit"}, GrantState.REJECTED, Outcome.RETRYABLE),
        ({"code": "0x02401033", "msg": "read"}, GrantState.UNKNOWN, Outcome.UNKNOWN),
        ({"code": "0x0240ffff", "msg": "new"}, GrantState.REJECTED, Outcome.RETRYABLE),
        ({"code": "0x02e99999", "msg": "new"}, GrantState.REJECTED, Outcome.BUSINESS_REFUSED),
        ({"code": "", "msg": ""}, GrantState.REJECTED, Outcome.BUSINESS_REFUSED),
        ({"unexpected": 1}, GrantState.UNKNOWN, Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_what_an_answer_means(members: dict[str, Any], state: GrantState, outcome: Outcome, status: int) -> None:
    with serving(answer(members, status)) as (adapter, _server):
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome) == (state, outcome)
    assert result.trace.http_status == status


def test_no_answer_of_the_gateway() -> None:
    with serving(lambda _seen: Reply(502, b"<html>bad gateway</html>")) as (adapter, _server):
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome, result.code) == (GrantState.UNKNOWN, Outcome.UNKNOWN, "HTTP_502")
    with serving(lambda _seen: Reply(404, b"nothing here")) as (adapter, _server):
        assert adapter.grant(GRANT).outcome is Outcome.CONFIGURATION


def test_no_answer_in_time_is_unknown_and_not_a_refusal() -> None:
    with serving(lambda _seen: Reply(after_s=5.0), read_timeout_s=0.1) as (adapter, _server):
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome) == (GrantState.UNKNOWN, Outcome.TIMEOUT)


def test_a_broken_answer_is_unknown() -> None:
    with serving(lambda _seen: Reply(drop=True)) as (adapter, _server):
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome) == (GrantState.UNKNOWN, Outcome.UNKNOWN)


def test_an_endless_answer_is_cut_off() -> None:
    with serving(lambda _seen: Reply(200, b" " * (2 << 20))) as (adapter, _server):
        assert adapter.grant(GRANT).outcome is Outcome.UNKNOWN


def test_nobody_there_is_certainly_not_granted_and_worth_a_retry() -> None:
    with adapter_at(f"http://127.0.0.1:{free_port()}") as adapter:
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome) == (GrantState.REJECTED, Outcome.RETRYABLE)


def test_secrets_and_plates_stay_out_of_the_record() -> None:
    leak = {"code": codes.SIGNATURE_WRONG, "msg": f"Invalid Signature! StringToSign: x-ca-key:27310001 secret {SECRET}"}
    with serving(answer(leak)) as (adapter, _server):
        result = adapter.grant(GRANT)
    kept = result.trace.request_text + result.trace.answer_text + result.message
    assert "StringToSign" in kept
    assert "浙A****45" in kept
    for forbidden in (SECRET, "27310001", "AD12345"):
        assert forbidden not in kept


def test_find_stay_takes_only_the_exact_plate() -> None:
    inside = [
        {"inRecordSyscode": "r1", "plateNo": "浙AD123456", "inTime": "2026-03-02T08:00:00+08:00"},
        {"inRecordSyscode": "r2", "plateNo": "浙-AD12345", "inTime": "2026-03-02T08:30:00:123+08:00"},
        {"plateNo": None},
    ]
    with serving(success({"total": 3, "list": inside})) as (adapter, server):
        result = adapter.find_stay(plate())
    assert result.stay is not None
    assert (result.stay.stay_ref, result.stay.entered_at) == ("r2", NOW.replace(hour=0, minute=30, microsecond=123000))
    assert json.loads(server.seen[0].body)["parkSyscode"] == "park-1"


@pytest.mark.parametrize("data", [None, "", {"total": 0, "list": []}, {"list": None}, []])
def test_nobody_inside(data: Any) -> None:
    with serving(success(data)) as (adapter, _server):
        result = adapter.find_stay(plate())
    assert (result.outcome, result.stay) == (Outcome.OK, None)


BILL = {
    "billSyscode": "b1",
    "inRecordSyscode": "r2",
    "supposeCost": "12.50",
    "deduceCost": "2.5",
    "paidCost": "0",
    "totalCost": "10.00",
    "isUsedCoupon": 1,
    "enterTime": "2026-03-02 08:30:00",
}


def test_a_bill_in_yuan() -> None:
    with serving(success(BILL)) as (adapter, _server):
        quote = adapter.quote(plate()).quote
    assert quote is not None
    assert (quote.due, quote.reduced, quote.paid, quote.total) == tuple(map(Decimal, ("12.50", "2.5", "0", "10")))
    assert (quote.bill_ref, quote.stay_ref, quote.coupon_used) == ("b1", "r2", True)
    assert quote.entered_at == datetime(2026, 3, 2, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("data", [None, "", {}])
def test_a_car_without_a_fee_is_an_answer(data: Any) -> None:
    with serving(success(data)) as (adapter, _server):
        result = adapter.quote(plate())
    assert (result.outcome, result.quote) == (Outcome.OK, None)


@pytest.mark.parametrize("data", [{**BILL, "totalCost": "ten"}, {**BILL, "totalCost": "NaN"}, ["bill"]])
def test_a_bill_that_makes_no_sense_is_unknown(data: Any) -> None:
    with serving(success(data)) as (adapter, _server):
        result = adapter.quote(plate())
    assert (result.outcome, result.quote) == (Outcome.UNKNOWN, None)


def test_a_stale_bill_is_fetched_again_once() -> None:
    scripts = iter([answer({"code": codes.STALE_BILL, "msg": "stale"}), success(BILL)])

    def one_after_the_other(seen: Seen) -> Reply:
        script = next(scripts)
        return script(seen)

    with serving(one_after_the_other) as (adapter, server):
        assert adapter.quote(plate()).quote is not None
    assert len(server.seen) == 2


def test_health_knows_whether_the_park_exists() -> None:
    with serving(success([{"parkIndexCode": "park-1", "parkName": "东区"}])) as (adapter, _server):
        good = adapter.health()
    with serving(success([{"parkIndexCode": "park-9", "parkName": "西区"}])) as (adapter, _server):
        wrong = adapter.health()
    assert (good.outcome, good.details) == (Outcome.OK, {"park_name": "东区"})
    assert wrong.outcome is Outcome.CONFIGURATION
    assert "park-9" in wrong.message


@pytest.mark.parametrize(
    "tls",
    [{"ca_pem": (DATA / "device_cert.pem").read_text()}, {"pin_sha256": PIN}, {"pin_sha256": PIN.replace(":", "")}],
)
def test_self_signed_equipment_is_trusted_by_ca_or_pin(tls: dict[str, str]) -> None:
    with ScriptedServer(success(), tls=True) as server, adapter_at(server.url, tls=tls) as adapter:
        assert adapter.grant(GRANT).state is GrantState.GRANTED


@pytest.mark.parametrize("tls", [{}, {"pin_sha256": "00" * 32}])
def test_an_unknown_certificate_is_refused_before_anything_is_sent(tls: dict[str, str]) -> None:
    with ScriptedServer(success(), tls=True) as server, adapter_at(server.url, tls=tls) as adapter:
        result = adapter.grant(GRANT)
    assert (result.state, result.outcome) == (GrantState.REJECTED, Outcome.CONFIGURATION)
    assert server.seen == []


def test_every_listed_code_has_a_meaning_in_words() -> None:
    for code, known in codes.CODES.items():
        assert codes.meaning_of(code.upper().replace("0X", "0x")) == known
        assert known.outcome is not Outcome.OK
        assert known.meaning
