"""Secrets and personal data never reach the record."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from partners.tcec102.exchanges import Direction, FinishedExchange
from partners.tcec102.masking import HIDDEN, mask, mask_raw, mask_text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("OperatorSecret", "1234567890abcdef", "***"),
        ("AccessToken", "token", "***"),
        ("sigSecret", "secret", "***"),
        ("PlateNum", "浙A12345", "浙A***5"),
        ("plateNo", "浙AD12345", "浙A***5"),
        ("LicensePlate", "浙A", "***"),
        ("PhoneNum", "13812345678", "138***5678"),
        ("UserTel", 13812345678, "***"),
        ("Vin", "LSVAU2180N2184821", "***4821"),
        ("UserName", "张三丰", "张***"),
        ("CardNo", "6222000011112222", "***2222"),
        ("ConnectorID", "3301060001001", "3301060001001"),
        ("PlateNum", None, None),
        ("PlateNum", "", ""),
    ],
)
def test_members_by_name(name: str, value: object, shown: object) -> None:
    assert mask({"Rows": [{name: value}]}) == {"Rows": [{name: shown}]}


def test_nested_json_texts_are_masked_inside() -> None:
    assert mask({"ChargeDetails": '[{"PlateNo":"浙A12345"}]'}) == {"ChargeDetails": '[{"PlateNo":"浙A***5"}]'}
    assert "12345" not in mask({"x": "{'PlateNo': '浙A12345'"})["x"]


def test_the_original_is_untouched() -> None:
    body = {"PlateNum": "浙A12345"}
    mask(body)
    assert body == {"PlateNum": "浙A12345"}


def test_a_proper_envelope_stays_as_it_is_and_plain_content_does_not() -> None:
    envelope = b'{"OperatorID": "MA5TEST02", "Data": "y6Cs", "Sig": "AB"}'
    assert mask_raw(envelope) == envelope
    plain = orjson.loads(mask_raw(b'{"OperatorID":"M","Data":{"PlateNum":"ABC12345","OperatorSecret":"s3cret"}}'))
    assert plain["Data"] == {"PlateNum": "AB***5", "OperatorSecret": HIDDEN}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"OperatorSecret":"s3cret"',
        b"{'OperatorSecret': 's3cret'}",
        b"OperatorSecret=s3cret&x=1",
        b'"AccessToken" : "s3cret',
    ],
)
def test_what_is_not_json_is_masked_by_pattern(raw: bytes) -> None:
    assert b"s3cret" not in mask_raw(raw)


def test_short_texts_vanish() -> None:
    assert mask_text("12345", 3, 4) == HIDDEN


def test_an_exchange_shows_only_masked_bodies() -> None:
    exchange = FinishedExchange(
        direction=Direction.OUT,
        interface="query_token",
        path="/",
        at=datetime(2024, 1, 1, tzinfo=UTC),
        duration_ms=1,
        ret=0,
        request_raw=b'{"Data":{"OperatorSecret":"s3cret"}}',
        request_body={"OperatorSecret": "s3cret"},
        reply_body={"AccessToken": "s3cret"},
    )
    shown = f"{exchange.request_raw!r}{exchange.request_body}{exchange.reply_body}{exchange!r}"
    assert "s3cret" not in shown
