"""The fakes' own envelope code against the vectors of the digests, and against spoiled messages."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.fake.wire import (
    Keys,
    WireError,
    decrypt,
    encrypt,
    parse_json,
    seal_reply,
    seal_request,
    sign,
    signature_matches,
    to_json,
)

STANDARD = Keys(
    operator_secret="1234567890abcdef",
    data_secret="1234567890abcdef",
    data_iv="1234567890abcdef",
    sig_secret="1234567890abcdef",
)
STANDARD_PLAIN = (
    b'{"total":1,"stationStatusInfo":{"operationID":"123456789","stationID":"111111111111111",'
    b'"connectorStatusInfos":{"connectorID":1,"equipmentID":"10000000000000000000001","status":4,"currentA":0,'
    b'"currentB":0,"currentC":0,"voltageA":0,"voltageB":0,"voltageC":0,"soc":10,}}}'
)
STANDARD_DATA = (
    "il7B0BSEjFdzpyKzfOFpvg/Se1CP802RItKYFPfSLRxJ3jf0bVl9hvYOEktPAYW2nd7S8MBcyHYyacHKbISq5iTmDzG+ivnR+SZJv3USNTYVMz9r"
    "CQVSxd0cLlqsJauko79NnwQJbzDTyLooYoIwz75qBOH2/xOMirpeEqRJrF/EQjWekJmGk9RtboXePu2rka+Xm51syBPhiXJAq0GfbfaFu9tNqs/e"
    "2Vjja/ltE1M0lqvxfXQ6da6HrThsm5id4ClZFIi0acRfrsPLRixS/IQYtksxghvJwbqOsbIsITail9Ayy4tKcogeEZiOO+4Ed264NSKmk7l3wKwJ"
    "LAFjCFogBx8GE3OBz4pqcAn/ydA="
)
MUNICIPAL: dict[str, Any] = {
    "operator_secret": "x",
    "data_secret": "muniDataKey00001",
    "data_iv": "muniInitVec00001",
    "sig_secret": "muniSignKey00001",
}
STATUS = {"ConnectorStatusInfo": {"ConnectorID": "3301060000000000000012301", "Status": 3}}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.decimals(-(10**12), 10**12, places=4)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_the_standards_cipher_and_signature() -> None:
    assert encrypt(STANDARD_PLAIN, STANDARD) == STANDARD_DATA
    assert decrypt(STANDARD_DATA, STANDARD) == STANDARD_PLAIN
    assert sign(STANDARD, "123456789", STANDARD_DATA, "20160729142400", "0001") == "745166E8C43C84D37FFEC0F529C4136F"


@pytest.mark.parametrize(
    ("ret", "msg", "data", "sig"),
    [
        ("0", "", STANDARD_DATA, "155C6CFF63CEF658B526E1958C4846BD"),
        ("0", "请求成功", STANDARD_DATA, "531F3A0AC3E676A72F3915CFCBCE8762"),
        ("4001", "签名错误", "", "4A3EE825A34B784861BA28875ACBCEE2"),
    ],
)
def test_reply_signatures(ret: str, msg: str, data: str, sig: str) -> None:
    assert sign(STANDARD, ret, msg, data) == sig


def test_an_error_reply_is_signed_over_empty_data() -> None:
    assert seal_reply(4001, "签名错误", None, STANDARD) == {
        "Ret": 4001,
        "Msg": "签名错误",
        "Data": "",
        "Sig": "4A3EE825A34B784861BA28875ACBCEE2",
    }


@pytest.mark.parametrize(
    ("plain", "data"),
    [
        ("0123456789abcdef", "2MDGRr7LgLO+4xY4tLjJolwKUPQ/yUFKdSob2r4No6k="),
        ("{}", "T7dr2a+MzfM1eBctV3+sRQ=="),
        ('{"StationName":"示例充电站"}', "FKIbl35bwQu0F/N14lkbz4PXV28BbFAYw6dkTd9eM15EBVKZD76UFvtogdRDB673"),
    ],
)
def test_cipher_edges(plain: str, data: str) -> None:
    assert encrypt(plain.encode(), STANDARD) == data
    assert decrypt(data, STANDARD).decode() == plain


@pytest.mark.parametrize(
    ("iv", "seq", "body", "data", "sig"),
    [
        (
            "muniInitVec00001",
            "0001",
            STATUS,
            "GxVcw0puZ2hkG9IvCAAB/lZBbqVgVhIOqDozcNWvYKJuRjKT3Xfn61Q9UAPI3yFENqPDhr7Cq0qj9I4J1wvK4K6zAKtojXVsRQMxhyTVRL0=",
            "3A5AD143FC645636322BA28D19A62511",
        ),
        (
            "muniDataKey00001",
            "0001",
            STATUS,
            "9XEXvoBNAae5cnP881H2TXdiAAD+Y2SHA6wnm465msQFiRitc6BPIWiC1bHaFJMrU7L8OpVe9oKgOxhuxpwgIssBE5nTnMjEJApq+IhLp00=",
            "89D465D691928E86BB8DE1A86959C86A",
        ),
        (
            "muniInitVec00001",
            "0002",
            {"Note": "充电站"},
            "hAv0VQpOMs/fRgU3zsvO7dyuyevvSfj1cLEGKUVBazo=",
            "D1B06B1662754695D802A45DBDA8B0B9",
        ),
    ],
)
def test_municipal_requests(iv: str, seq: str, body: object, data: str, sig: str) -> None:
    keys = Keys(**(MUNICIPAL | {"data_iv": iv}))
    sealed = seal_request("MA00TEST1", body, keys, "20250102030405", seq)
    assert (sealed["Data"], sealed["Sig"]) == (data, sig)


@pytest.mark.parametrize(
    ("msg", "sig"), [("", "DC518976C11A527E66FE9511F7E333FA"), ("success", "57BB40D837D0E4060BCECBBDEEECD06B")]
)
def test_municipal_replies(msg: str, sig: str) -> None:
    sealed = seal_reply(0, msg, {"Status": 0}, Keys(**MUNICIPAL))
    assert (sealed["Data"], sealed["Sig"]) == ("2BtkNxEIlCwG17sSxNKCKQ==", sig)


def test_lower_case_signatures_and_wrapped_base64_are_understood() -> None:
    sig = sign(STANDARD, "0", "", STANDARD_DATA)
    assert signature_matches(sig.lower(), STANDARD, "0", "", STANDARD_DATA)
    wrapped = "\r\n".join(STANDARD_DATA[at : at + 76] for at in range(0, len(STANDARD_DATA), 76))
    assert decrypt(wrapped, STANDARD) == STANDARD_PLAIN


@given(position=st.integers(0, len(STANDARD_DATA) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_breaks_the_signature(position: int, bit: int) -> None:
    spoiled = bytearray(STANDARD_DATA.encode())
    spoiled[position] ^= 1 << bit
    sig = sign(STANDARD, "123456789", STANDARD_DATA, "20160729142400", "0001")
    text = spoiled.decode("latin-1")
    assert not signature_matches(sig, STANDARD, "123456789", text, "20160729142400", "0001")


@given(bit=st.integers(0, 7), back=st.integers(17, 32))
def test_a_spoiled_padding_is_refused(bit: int, back: int) -> None:
    sealed = bytearray(base64.b64decode(encrypt(b"0123456789abcdef", STANDARD)))
    sealed[-back] ^= 1 << bit
    with pytest.raises(WireError):
        decrypt(base64.b64encode(sealed).decode(), STANDARD)


@pytest.mark.parametrize("data", ["", "####", "AAAA", STANDARD_DATA[:-8], "充电"])
def test_data_that_is_no_cipher_text_is_refused(data: str) -> None:
    with pytest.raises(WireError):
        decrypt(data, STANDARD)


@given(json_values)
def test_json_survives_with_its_decimals(value: object) -> None:
    assert parse_json(to_json(value)) == value


def test_decimals_keep_their_scale_and_never_become_floats() -> None:
    assert to_json({"a": Decimal("1.20"), "b": [Decimal("1E+3")]}) == '{"a":1.20,"b":[1000]}'
    assert parse_json('{"a":0.1000}') == {"a": Decimal("0.1000")}
    assert str(parse_json("0.1000")) == "0.1000"


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', "NaN", "[1,]", "{'a':1}", "", "1e99999999", "1e-99", "[" * 40 + "]" * 40, "[" * 100000]
)
def test_loose_json_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse_json(text)


def test_keys_of_the_wrong_length_are_refused_and_never_shown() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Keys(operator_secret="x", data_secret="short", data_iv="muniInitVec00001", sig_secret="x")
    assert "muniDataKey" not in repr(Keys(**MUNICIPAL))
