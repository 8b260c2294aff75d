"""The standard's own vectors and those of the digests: every implementation must agree with them to the byte."""

from __future__ import annotations

import orjson
import pytest

from partners.tcec102 import crypto, envelope
from partners.tcec102.errors import ReplySignatureMismatch
from partners.tcec102.keys import KeySet
from partners.tcec102.options import EnvelopeOptions

ALL = "1234567890abcdef"
STANDARD = KeySet(ALL, ALL, ALL, ALL)
STANDARD_PLAIN = (
    b'{"total":1,"stationStatusInfo":{"operationID":"123456789","stationID":"111111111111111","connectorStatusInfos":'
    b'{"connectorID":1,"equipmentID":"10000000000000000000001","status":4,"currentA":0,"currentB":0,"currentC":0,'
    b'"voltageA":0,"voltageB":0,"voltageC":0,"soc":10,}}}'
)
STANDARD_DATA = (
    "il7B0BSEjFdzpyKzfOFpvg/Se1CP802RItKYFPfSLRxJ3jf0bVl9hvYOEktPAYW2nd7S8MBcyHYyacHKbISq5iTmDzG+ivnR+SZJv3USNTYVMz9r"
    "CQVSxd0cLlqsJauko79NnwQJbzDTyLooYoIwz75qBOH2/xOMirpeEqRJrF/EQjWekJmGk9RtboXePu2rka+Xm51syBPhiXJAq0GfbfaFu9tNqs/e"
    "2Vjja/ltE1M0lqvxfXQ6da6HrThsm5id4ClZFIi0acRfrsPLRixS/IQYtksxghvJwbqOsbIsITail9Ayy4tKcogeEZiOO+4Ed264NSKmk7l3wKwJ"
    "LAFjCFogBx8GE3OBz4pqcAn/ydA="
)

PARTNER = KeySet("any-secret", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
PARTNER_PLAIN = (
    b'{"StartChargeSeq":"MA5TEST01241027080000000001","ConnectorID":"3301060001001",'
    b'"QRCode":"hlht://3301060001001.MA5TEST01/"}'
)
PARTNER_DATA = (
    "y6CsZCb2DuprNGAa6x5PCIwlRh0FLSjrIvFeeukst4MOq43f7dZw1hlhMpqfJJqKMboP/V36dodgCLWKg3TEiRvds9RHiZg/bZ4i7/2Q69LCjjfI"
    "TM7+DqGlBiQwU8NJ61+47AWHzn9aNBIur3ZIyqokdh9qo7JDsfn5ySNbRzY="
)
PARTNER_REPLY_PLAIN = (
    b'{"StartChargeSeq":"MA5TEST01241027080000000001","SuccStat":0,"FailReason":0,"StartChargeSeqStat":1,'
    b'"ConnectorID":"3301060001001"}'
)
PARTNER_REPLY_DATA = (
    "y6CsZCb2DuprNGAa6x5PCIwlRh0FLSjrIvFeeukst4MOq43f7dZw1hlhMpqfJJqKX1Gu6EKDmOJdDrLjdJ9rAh7XaCmPkPxtNpfEUrXNcQdbIzO2"
    "5k92Ru3s2gNHSWsq4qaEZ8zK1wMWCJhr6rl3ArdYuCw0DSzrMoC8H7qIxzELz9+MSdZrP2Z+fm5ErMQ+"
)

MUNICIPAL = KeySet("any-secret", "muniDataKey00001", "muniInitVec00001", "muniSignKey00001")
SHENZHEN = KeySet("any-secret", "muniDataKey00001", "muniDataKey00001", "muniSignKey00001")
MUNICIPAL_PLAIN = b'{"ConnectorStatusInfo":{"ConnectorID":"3301060000000000000012301","Status":3}}'


def test_cipher_of_the_standard_both_ways() -> None:
    assert crypto.encrypt(STANDARD_PLAIN, STANDARD) == STANDARD_DATA
    assert crypto.decrypt(STANDARD_DATA, STANDARD) == STANDARD_PLAIN


def test_signature_of_the_standard() -> None:
    sealed = envelope.seal_request(STANDARD_PLAIN, "123456789", STANDARD, "20160729142400", "0001")
    assert sealed == {
        "OperatorID": "123456789",
        "Data": STANDARD_DATA,
        "TimeStamp": "20160729142400",
        "Seq": "0001",
        "Sig": "745166E8C43C84D37FFEC0F529C4136F",
    }


@pytest.mark.parametrize(
    ("ret", "msg", "body", "sig"),
    [
        (0, "", STANDARD_PLAIN, "155C6CFF63CEF658B526E1958C4846BD"),
        (0, "请求成功", STANDARD_PLAIN, "531F3A0AC3E676A72F3915CFCBCE8762"),
        (4001, "签名错误", None, "4A3EE825A34B784861BA28875ACBCEE2"),
    ],
)
def test_reply_signatures(ret: int, msg: str, body: bytes | None, sig: str) -> None:
    sealed = envelope.seal_reply(ret, msg, body, STANDARD)
    assert sealed["Sig"] == sig
    assert sealed["Data"] == ("" if body is None else STANDARD_DATA)


@pytest.mark.parametrize(
    ("plain", "data"),
    [
        ("0123456789abcdef", "2MDGRr7LgLO+4xY4tLjJolwKUPQ/yUFKdSob2r4No6k="),
        ("{}", "T7dr2a+MzfM1eBctV3+sRQ=="),
        ('{"StationName":"示例充电站"}', "FKIbl35bwQu0F/N14lkbz4PXV28BbFAYw6dkTd9eM15EBVKZD76UFvtogdRDB673"),
    ],
)
def test_padding_edges(plain: str, data: str) -> None:
    assert crypto.encrypt(plain.encode(), STANDARD) == data
    assert crypto.decrypt(data, STANDARD).decode() == plain


def test_partner_request_vector_opens() -> None:
    raw = {
        "OperatorID": "MA5TEST02",
        "Data": PARTNER_DATA,
        "TimeStamp": "20241027080000",
        "Seq": "0001",
        "Sig": "FEAD95C795213F698349AC702C080E6F",
    }
    assert envelope.seal_request(PARTNER_PLAIN, "MA5TEST02", PARTNER, "20241027080000", "0001") == raw
    assert envelope.open_request(orjson.dumps(raw), PARTNER)["ConnectorID"] == "3301060001001"


@pytest.mark.parametrize(
    ("msg", "sig"), [("", "F7E0A0AFDCE994F8C2BB826E497CD9E8"), ("成功", "56F7976783900AF767D8FAE8B24CF009")]
)
def test_partner_reply_vectors(msg: str, sig: str) -> None:
    sealed = envelope.seal_reply(0, msg, PARTNER_REPLY_PLAIN, PARTNER)
    assert sealed == {"Ret": 0, "Msg": msg, "Data": PARTNER_REPLY_DATA, "Sig": sig}
    assert envelope.open_reply(sealed, PARTNER).body["StartChargeSeqStat"] == 1


def test_null_msg_signed_as_four_letters_needs_its_option() -> None:
    reply = {"Ret": 0, "Msg": None, "Data": PARTNER_REPLY_DATA, "Sig": "70D995A478582AD3DFA22391270BD430"}
    with pytest.raises(ReplySignatureMismatch):
        envelope.open_reply(reply, PARTNER)
    tolerant = EnvelopeOptions(null_msg_as="null")
    assert envelope.open_reply(reply, PARTNER, options=tolerant).verified


def test_null_msg_signed_as_nothing_is_the_default() -> None:
    reply = {"Ret": 0, "Msg": None, "Data": PARTNER_REPLY_DATA, "Sig": "F7E0A0AFDCE994F8C2BB826E497CD9E8"}
    assert envelope.open_reply(reply, PARTNER).verified


def test_draft_signature_by_template() -> None:
    draft = EnvelopeOptions(
        request_signing="OperatorId={OperatorID}&Data={Data}&TimeStamp={TimeStamp}", hex_case_out="lower"
    )
    sealed = envelope.seal_request(PARTNER_PLAIN, "MA5TEST02", PARTNER, "20241027080000", "0001", options=draft)
    assert sealed["Sig"] == "1219352a930f0f3c00f7f300af769315"
    assert envelope.open_request(sealed, PARTNER, options=draft)["QRCode"].startswith("hlht://")


@pytest.mark.parametrize(
    ("keys", "plain", "seq", "data", "sig"),
    [
        (
            MUNICIPAL,
            MUNICIPAL_PLAIN,
            "0001",
            "GxVcw0puZ2hkG9IvCAAB/lZBbqVgVhIOqDozcNWvYKJuRjKT3Xfn61Q9UAPI3yFENqPDhr7Cq0qj9I4J1wvK4K6zAKtojXVsRQMxhyTVRL0=",
            "3A5AD143FC645636322BA28D19A62511",
        ),
        (
            SHENZHEN,
            MUNICIPAL_PLAIN,
            "0001",
            "9XEXvoBNAae5cnP881H2TXdiAAD+Y2SHA6wnm465msQFiRitc6BPIWiC1bHaFJMrU7L8OpVe9oKgOxhuxpwgIssBE5nTnMjEJApq+IhLp00=",
            "89D465D691928E86BB8DE1A86959C86A",
        ),
        (
            MUNICIPAL,
            '{"Note":"充电站"}'.encode(),
            "0002",
            "hAv0VQpOMs/fRgU3zsvO7dyuyevvSfj1cLEGKUVBazo=",
            "D1B06B1662754695D802A45DBDA8B0B9",
        ),
    ],
)
def test_municipal_requests(keys: KeySet, plain: bytes, seq: str, data: str, sig: str) -> None:
    sealed = envelope.seal_request(plain, "MA00TEST1", keys, "20250102030405", seq)
    assert (sealed["Data"], sealed["Sig"]) == (data, sig)
    assert envelope.open_request(sealed, keys)


@pytest.mark.parametrize(
    ("msg", "sig"), [("", "DC518976C11A527E66FE9511F7E333FA"), ("success", "57BB40D837D0E4060BCECBBDEEECD06B")]
)
def test_municipal_replies(msg: str, sig: str) -> None:
    sealed = envelope.seal_reply(0, msg, {"Status": 0}, MUNICIPAL)
    assert sealed == {"Ret": 0, "Msg": msg, "Data": "2BtkNxEIlCwG17sSxNKCKQ==", "Sig": sig}
