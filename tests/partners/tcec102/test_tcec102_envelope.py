"""Envelopes: nothing forged, nothing lost, and what the field does to them."""

from __future__ import annotations

import base64
import contextlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partners.tcec102 import crypto, envelope, jsonio
from partners.tcec102.ciphers import CbcCipher
from partners.tcec102.errors import (
    ConfigurationError,
    GarbledReply,
    MissingMember,
    NotJson,
    Refusal,
    ReplySignatureMismatch,
    ReplyUndecryptable,
    SignatureMismatch,
    Undecryptable,
)
from partners.tcec102.keys import KeyEncoding, KeySet
from partners.tcec102.options import EnvelopeOptions, KeyStyle, Verify

KEYS = KeySet("secret", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
OTHER = KeySet("secret", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6083")
BODY = {"ConnectorID": "3301060001001", "Note": "充电站", "TotalPower": Decimal("30.50")}
STAMP = "20241027080000"


def sealed(body: envelope.Body = BODY, options: EnvelopeOptions = EnvelopeOptions(), **how: Any) -> dict[str, Any]:  # noqa: B008
    return envelope.seal_request(body, "MA5TEST02", KEYS, STAMP, "0001", options=options, **how)


def resigned(members: dict[str, Any]) -> dict[str, Any]:
    message = "".join(str(members[name]) for name in ("OperatorID", "Data", "TimeStamp", "Seq"))
    return {**members, "Sig": crypto.sign(message, KEYS)}


def test_what_was_sealed_opens_equal() -> None:
    assert envelope.open_request(orjson.dumps(sealed()), KEYS) == BODY


@pytest.mark.parametrize("member", envelope.REQUEST_MEMBERS)
def test_one_flipped_bit_in_any_member_is_refused(member: str) -> None:
    members = sealed()
    text = members[member]
    members[member] = chr(ord(text[0]) ^ 1) + text[1:]
    with pytest.raises(SignatureMismatch):
        envelope.open_request(members, KEYS)


def test_another_signature_key_is_refused() -> None:
    with pytest.raises(SignatureMismatch):
        envelope.open_request(sealed(), OTHER)


def test_lower_case_signature_is_accepted_unless_forbidden() -> None:
    members = sealed()
    members["Sig"] = members["Sig"].lower()
    assert envelope.open_request(members, KEYS) == BODY
    with pytest.raises(SignatureMismatch):
        envelope.open_request(members, KEYS, options=EnvelopeOptions(hex_case_in="upper"))


def test_signature_that_is_not_ascii_is_only_wrong() -> None:
    with pytest.raises(SignatureMismatch):
        envelope.open_request({**sealed(), "Sig": "签名" * 16}, KEYS)


@pytest.mark.parametrize("member", envelope.REQUEST_MEMBERS)
@pytest.mark.parametrize("value", ["", None, True, [1]])
def test_missing_or_empty_members_are_named(member: str, value: object) -> None:
    with pytest.raises(MissingMember) as caught:
        envelope.open_request({**sealed(), member: value}, KEYS)
    assert caught.value.ret == 4003
    assert caught.value.field == member


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b"{'OperatorID': 1}", b'{"a":', b"\xff\xfe{}", b"[" * 5000])
def test_what_is_not_a_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(NotJson):
        envelope.open_request(raw, KEYS)


def test_numbers_are_signed_by_their_literal_text() -> None:
    members = sealed()
    raw = orjson.dumps(members).replace(b'"20241027080000"', b"20241027080000")
    assert envelope.open_request(raw, KEYS) == BODY
    assert envelope.parse_request(raw.replace(b'"0001"', b"1.0")).seq == "1.0"


def test_base64_with_line_breaks_is_verified_with_and_opened_without_them() -> None:
    members = sealed()
    broken = base64.encodebytes(base64.b64decode(members["Data"])).decode().replace("\n", "\r\n")
    members = resigned({**members, "Data": broken})
    assert "\r\n" in members["Data"]
    assert envelope.open_request(orjson.dumps(members), KEYS) == BODY
    with pytest.raises(Undecryptable):
        envelope.open_request(members, KEYS, options=EnvelopeOptions(base64_line_breaks=False))


def test_escaped_slashes_are_unescaped_before_the_signature() -> None:
    raw = orjson.dumps(sealed({"Note": "x" * 300})).replace(b"/", b"\\/")
    assert b"\\/" in raw
    assert envelope.open_request(raw, KEYS)["Note"] == "x" * 300


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 21])
def test_truncated_ciphertext_is_refused_even_when_signed(cut: int) -> None:
    members = sealed()
    with pytest.raises(Undecryptable) as caught:
        envelope.open_request(resigned({**members, "Data": members["Data"][:-cut]}), KEYS)
    assert caught.value.ret == 4003


@pytest.mark.parametrize(
    "data",
    ["*", "YQ==", "Zm9vYmFyZm9vYmFyZm9vYmFy", crypto.encrypt(b"", KEYS), crypto.encrypt(b"{'a':1}", KEYS)],
    ids=["no base64", "no block", "18 bytes", "empty plain text", "python repr"],
)
def test_undecryptable_data_is_4003(data: str) -> None:
    with pytest.raises(Undecryptable):
        envelope.open_request(resigned({**sealed(), "Data": data}), KEYS)


def test_every_wrong_padding_is_refused() -> None:
    for count in (0, 17, 255):
        block = b"{}" + b"\x0e" * 13 + bytes((count,))
        data = _encrypt_unpadded(block)
        with pytest.raises(Undecryptable):
            envelope.open_request(resigned({**sealed(), "Data": data}), KEYS)
    inconsistent = _encrypt_unpadded(b"{}" + b"\x0d" + b"\x0e" * 13)
    with pytest.raises(Undecryptable):
        envelope.open_request(resigned({**sealed(), "Data": inconsistent}), KEYS)


def _encrypt_unpadded(blocks: bytes) -> str:
    return base64.b64encode(base64.b64decode(crypto.encrypt(blocks, KEYS))[: len(blocks)]).decode()


def test_lower_camel_members_are_read_and_written() -> None:
    options = EnvelopeOptions(request_keys_out=KeyStyle.LOWER_CAMEL)
    members = sealed(options=options)
    assert set(members) == {"operatorID", "data", "timeStamp", "seq", "sig"}
    parsed = envelope.parse_request(members)
    assert parsed.style is KeyStyle.LOWER_CAMEL
    assert envelope.open_request(members, KEYS) == BODY
    mirrored = envelope.seal_reply(0, "", {"Status": 0}, KEYS, style=parsed.style)
    assert set(mirrored) == {"ret", "msg", "data", "sig"}
    assert envelope.open_reply(mirrored, KEYS).body == {"Status": 0}


def test_unknown_members_are_ignored() -> None:
    assert envelope.open_request({**sealed(), "serialVersionUID": 1}, KEYS) == BODY


def test_plain_text_data_needs_permission() -> None:
    members = sealed(encrypted=False)
    assert members["Data"].startswith("{")
    with pytest.raises(Undecryptable):
        envelope.open_request(members, KEYS)
    assert envelope.open_request(members, KEYS, allow_plain=True) == BODY


def test_plain_object_data_is_signed_by_its_literal_text() -> None:
    literal = '{ "TotalPower": 30.50 }'
    signature = crypto.sign(f"MA5TEST02{literal}{STAMP}0001", KEYS)
    raw = (
        f'{{"OperatorID":"MA5TEST02","Data":{literal},"TimeStamp":"{STAMP}","Seq":"0001","Sig":"{signature}"}}'
    ).encode()
    assert envelope.open_request(raw, KEYS, allow_plain=True) == {"TotalPower": Decimal("30.50")}
    with pytest.raises(Undecryptable):
        envelope.open_request(raw, KEYS)
    with pytest.raises(SignatureMismatch):
        envelope.open_request(raw.replace(b"30.50", b"30.51"), KEYS, allow_plain=True)


# ------------------------------------------------------------------------------------------------------------ replies


def test_ret_as_text_is_the_same_signature() -> None:
    reply = envelope.seal_reply(-1, "忙", None, KEYS)
    assert envelope.open_reply({**reply, "Ret": "-1"}, KEYS).ret == -1


def test_unsigned_refusals_pass_strict_verification_but_successes_do_not() -> None:
    assert envelope.open_reply(envelope.unsigned_reply(4003, "x"), KEYS).verified is False
    with pytest.raises(ReplySignatureMismatch):
        envelope.open_reply({**envelope.seal_reply(0, "", {"Status": 0}, KEYS), "Sig": ""}, KEYS)
    with pytest.raises(ReplySignatureMismatch):
        envelope.open_reply({**envelope.unsigned_reply(4003, "x"), "Sig": "0" * 32}, KEYS)


def test_body_of_an_unproven_refusal_is_not_believed() -> None:
    forged = {**envelope.seal_reply(4004, "", {"SuccStat": 0}, KEYS), "Sig": ""}
    assert envelope.open_reply(forged, KEYS).body is None


@pytest.mark.parametrize("verify", [Verify.WARN, Verify.OFF])
def test_wrong_reply_signature_can_be_forgiven(verify: Verify) -> None:
    reply = {**envelope.seal_reply(0, "", {"Status": 0}, KEYS), "Sig": "echo"}
    result = envelope.open_reply(reply, KEYS, options=EnvelopeOptions(verify_response=verify))
    assert (result.body, result.verified) == ({"Status": 0}, False)


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b"{}", b'{"Ret":true}', b'{"Ret":"zero"}', b'{"Ret":1.5}'])
def test_what_has_no_ret_is_no_envelope(raw: bytes) -> None:
    with pytest.raises(GarbledReply):
        envelope.open_reply(raw, KEYS)


def test_success_with_unreadable_data_is_an_error_and_a_refusal_with_it_is_not() -> None:
    for ret, msg in ((0, ""), (4004, "x")):
        reply = {"Ret": ret, "Msg": msg, "Data": "####", "Sig": crypto.sign(f"{ret}{msg}####", KEYS)}
        if ret == 0:
            with pytest.raises(ReplyUndecryptable):
                envelope.open_reply(reply, KEYS)
        else:
            assert envelope.open_reply(reply, KEYS).body is None


def test_reply_with_plain_object_needs_permission() -> None:
    literal = '{"ConfirmResult":0}'
    raw = f'{{"Ret":0,"Msg":"","Data":{literal},"Sig":"{crypto.sign("0" + literal, KEYS)}"}}'.encode()
    assert envelope.open_reply(raw, KEYS, allow_plain=True).body == {"ConfirmResult": 0}
    with pytest.raises(ReplyUndecryptable):
        envelope.open_reply(raw, KEYS)


@pytest.mark.parametrize(("style", "data"), [("", ""), (None, None), ("encrypt_{}", crypto.encrypt(b"{}", KEYS))])
def test_empty_data_by_option(style: str | None, data: str | None) -> None:
    reply = envelope.seal_reply(4004, "x", None, KEYS, options=EnvelopeOptions(empty_data=style))
    assert reply["Data"] == data
    assert envelope.open_reply(reply, KEYS).verified


# --------------------------------------------------------------------------------------------------------- properties

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
DECIMALS = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | DECIMALS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(TEXTS, VALUES, max_size=6)


@settings(max_examples=50, deadline=None)
@given(BODIES)
def test_any_body_survives_the_round_trip(body: dict[str, Any]) -> None:
    raw = orjson.dumps(sealed(body))
    assert envelope.open_request(raw, KEYS) == body
    reply = orjson.dumps(envelope.seal_reply(0, "成功", body, KEYS))
    assert envelope.open_reply(reply, KEYS).body == body


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_mutated_envelope_is_refused_or_means_the_same(data: st.DataObject) -> None:
    raw = bytearray(orjson.dumps(sealed()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["flip", "set", "delete", "insert"])):
            case "flip":
                raw[at] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                raw[at] = data.draw(st.integers(0, 255))
            case "delete":
                del raw[at]
            case _:
                raw.insert(at, data.draw(st.integers(0, 255)))
    try:
        parsed = envelope.parse_request(bytes(raw))
        envelope.matching_keys(parsed, (KEYS,))
        body = envelope.open_data(parsed, KEYS)
    except Refusal:
        return
    assert body == BODY
    assert parsed.operator_id + parsed.data + parsed.timestamp + parsed.seq == "".join(list(sealed().values())[:4])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_declared_errors(raw: bytes) -> None:
    with pytest.raises(Refusal):
        envelope.open_request(raw, KEYS)
    with pytest.raises((GarbledReply, ReplySignatureMismatch)):
        envelope.open_reply(raw, KEYS)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_plain_text_raises_only_its_declared_error(plain: bytes) -> None:
    with contextlib.suppress(jsonio.MalformedBody):
        jsonio.loads_body(plain)


# --------------------------------------------------------------------------------------------------------------- keys


def test_keys_are_masked() -> None:
    assert "9f3c" not in repr(KEYS)
    assert "7c1e" not in repr(KEYS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"data_secret": "short"},
        {"data_secret": "0123456789abcdef0123456789abcdef"},
        {"data_iv": "0123"},
        {"sig_secret": "tiny"},
        {"operator_secret": ""},
        {"data_secret": "zz" * 16, "encoding": "hex"},
        {"data_secret": "0123456789abcdef", "encoding": "hex"},
    ],
)
def test_keys_that_cannot_work_are_refused_without_showing_them(wrong: dict[str, Any]) -> None:
    good = {"operator_secret": "s", "data_secret": "k" * 16, "data_iv": "i" * 16, "sig_secret": "s" * 16}
    with pytest.raises(ConfigurationError) as caught:
        KeySet(**{**good, **wrong})
    assert not any(value and value in str(caught.value) for value in wrong.values() if len(value) > 3)


def test_a_hex_key_is_aes_128_and_the_same_text_raw_is_aes_256_by_permission() -> None:
    text = "0123456789abcdef0123456789abcdef"
    hexed = KeySet("s", text, "00" * 16, "s" * 16, KeyEncoding.HEX)
    long = KeySet("s", text, "i" * 16, "s" * 16, allow_long_key=True)
    assert (len(hexed.data_key_bytes), len(hexed.data_iv_bytes), len(long.data_key_bytes)) == (16, 16, 32)
    assert crypto.decrypt(crypto.encrypt(b"{}", long), long) == b"{}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"hex_case_out": "title"},
        {"hex_case_in": "lower"},
        {"null_msg_as": "nil"},
        {"empty_data": "{}"},
        {"request_signing": "{OperatorID}"},
        {"request_signing": "{Data.__class__}"},
        {"request_signing": "{Data"},
        {"response_signing": "{Data}{Seq}"},
        {"time_formats_in": ()},
        {"seq_widths": (5, 4)},
    ],
)
def test_impossible_options_fail_when_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        EnvelopeOptions(**wrong)


# ------------------------------------------------------------------------------------------------------------- cipher


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.lists(st.binary(max_size=80)))
def test_a_used_cipher_gives_what_a_fresh_one_gives(key: bytes, iv: bytes, messages: list[bytes]) -> None:
    from Crypto.Cipher import AES

    cipher = CbcCipher(key, iv)
    for message in messages:
        padded = message + bytes(16 - len(message) % 16)
        expected = AES.new(key, AES.MODE_CBC, iv).encrypt(padded)
        assert cipher.encrypt(padded) == expected
        assert cipher.decrypt(expected) == padded


def test_threads_share_a_cipher() -> None:
    def seal_and_open(number: int) -> bool:
        plain = b"%d" % number * (number % 97 + 1)
        return crypto.decrypt(crypto.encrypt(plain, KEYS), KEYS) == plain

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(seal_and_open, range(2000)))
