"""Ten thousand spoilt envelopes and every deviation at once: none is accepted unless it means the same, none is answered with 500."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import ManualClock
from partners.tcec102 import envelope, jsonio
from partners.tcec102.contract import Contract
from partners.tcec102.errors import ReplySignatureMismatch
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, NoLimit
from partners.tcec102.options import BodyOptions, EnvelopeOptions, KeyStyle, TimeFormat
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import Door, receive
from partners.tcec102.timestamps import render_timestamp
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall

BASE, PARTNER = "/demo/evcs/v1/", "MA5TEST02"
KEYS = KeySet("op-secret-1", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
NOW = datetime(2024, 10, 27, tzinfo=UTC)
STAMP = "20241027080000"
MUTATIONS = 10_000
SEED = 102
SIGNED = ("OperatorID", "Data", "TimeStamp", "Seq")
ODD = '"\\/{}[],:0 aZ+=\n\r\t\x00\ufeff中'


class Counting:
    """A door with two operators that counts which bodies reach the handler."""

    def __init__(self, options: EnvelopeOptions | None = None) -> None:
        tokens = MemoryTokenStore()
        self.token = tokens.issue("link-1", 7200).token
        self.handled: list[dict[str, Any]] = []
        link = InboundLink("link-1", (PARTNER,), "MA5TEST01", (KEYS,), envelope=options or EnvelopeOptions())
        self.link = replace(link, bodies=BodyOptions.lenient())
        other = InboundLink("link-2", ("MA5TEST03",), "MA5TEST01", (replace(KEYS, sig_secret="another-sig-secret"),))
        self.door = Door(
            contract=CONTRACT,
            links=MemoryLinkDirectory([(BASE, self.link), (BASE, other)]),
            tokens=tokens,
            limiter=NoLimit(),
            handlers={"query_stop_charge": self._stop},
            clock=ManualClock(NOW),
        )

    def _stop(self, _link: InboundLink, body: dict[str, Any]) -> dict[str, Any]:
        self.handled.append(body)
        return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}

    def ask(self, raw: bytes) -> int:
        return receive(InboundCall(BASE, "query_stop_charge", raw, f"Bearer {self.token}", "192.0.2.7"), self.door).ret


CONTRACT = Contract.standard()
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
"""Texts of a body: no NUL, which PostgreSQL cannot store and the reader refuses."""


def message(number: int) -> dict[str, str]:
    body = {"StartChargeSeq": f"MA5TEST0224102708{number:011d}", "ConnectorID": f"33010600{number:05d}"}
    sealed: dict[str, str] = envelope.seal_request(body, PARTNER, KEYS, STAMP, f"{number % 10_000:04d}")
    return sealed


def meaning(raw: bytes) -> tuple[str, ...] | None:
    """The signed texts and the signature without regard to case; none when there are not five texts."""
    try:
        members = json.loads(raw)
        texts = [members[name] for name in (*SIGNED, "Sig")]
    except (ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(text, str) for text in texts):
        return None
    return (*texts[:4], texts[4].upper())


def flip_a_bit(members: dict[str, Any], dice: random.Random) -> bytes:
    name = dice.choice((*SIGNED, "Sig"))
    at = dice.randrange(len(members[name]))
    changed = chr(ord(members[name][at]) ^ (1 << dice.randrange(7)))
    return orjson.dumps(members | {name: members[name][:at] + changed + members[name][at + 1 :]})


def put_in(members: dict[str, Any], dice: random.Random) -> bytes:
    name = dice.choice((*SIGNED, "Sig"))
    at = dice.randrange(len(members[name]) + 1)
    return orjson.dumps(members | {name: members[name][:at] + dice.choice(ODD) + members[name][at:]})


def cut_out(members: dict[str, Any], dice: random.Random) -> bytes:
    name = dice.choice((*SIGNED, "Sig"))
    at = dice.randrange(len(members[name]))
    return orjson.dumps(members | {name: members[name][:at] + members[name][at + dice.randint(1, 20) :]})


def move_a_border(members: dict[str, Any], dice: random.Random) -> bytes:
    """The signed text has no separators, so the same text can be cut elsewhere."""
    pair = dice.choice((("Data", "TimeStamp"), ("TimeStamp", "Seq"), ("OperatorID", "Data")))
    joined = members[pair[0]] + members[pair[1]]
    at = len(members[pair[0]]) + dice.choice((-16, -4, -2, -1, 1, 2))
    return orjson.dumps(members | {pair[0]: joined[:at], pair[1]: joined[at:]})


def take_from_another(members: dict[str, Any], dice: random.Random) -> bytes:
    other = message(dice.randrange(9000, 9999))
    names = dice.sample((*SIGNED, "Sig"), dice.randint(1, 2))
    return orjson.dumps(members | {name: other[name] for name in names if name != "OperatorID"})


def other_value(members: dict[str, Any], dice: random.Random) -> bytes:
    name = dice.choice((*SIGNED, "Sig"))
    value = dice.choice(("", None, 0, True, [members[name]], {"a": members[name]}, 1e300, "0" * 5000, "MA5TEST03"))
    return orjson.dumps(members | {name: value})


def twice(members: dict[str, Any], dice: random.Random) -> bytes:
    name = dice.choice((*SIGNED, "Sig"))
    value = orjson.dumps(dice.choice((members[name][::-1], "x", members[name])))
    raw = orjson.dumps(members)
    extra = orjson.dumps(name) + b":" + value
    return raw[:-1] + b"," + extra + b"}" if dice.random() < 0.5 else b"{" + extra + b"," + raw[1:]


def any_byte(members: dict[str, Any], dice: random.Random) -> bytes:
    raw = bytearray(orjson.dumps(members))
    for _ in range(dice.randint(1, 3)):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw)


def same_meaning(members: dict[str, Any], dice: random.Random) -> bytes:
    """The control: another spelling of the very same message."""
    names = list(members)
    dice.shuffle(names)
    text = {name: members[name] for name in names}
    if dice.random() < 0.5:
        text["Sig"] = text["Sig"].lower()
    raw = orjson.dumps(text, option=dice.choice((0, orjson.OPT_INDENT_2)))
    return raw.replace(b"/", rb"\/") if dice.random() < 0.5 else raw


Mutation = Callable[[dict[str, Any], random.Random], bytes]
KINDS: tuple[Mutation, ...] = (
    flip_a_bit, put_in, cut_out, move_a_border, take_from_another, other_value, twice, any_byte, same_meaning,
)  # fmt: skip


def test_ten_thousand_mutated_envelopes_and_no_forgery() -> None:
    dice, counting, rets = random.Random(SEED), Counting(), Counter[int]()
    accepted: Counter[str] = Counter()
    for number in range(MUTATIONS):
        right = message(number)
        kind = KINDS[number % len(KINDS)]
        raw = kind(dict(right), dice)
        before = len(counting.handled)
        ret = counting.ask(raw)
        rets[ret] += 1
        equal = meaning(raw) == (*(right[name] for name in SIGNED), right["Sig"])
        assert (ret == 0) == (len(counting.handled) > before)
        assert not (ret == 0 and not equal), (kind.__name__, raw)
        assert ret in (0, 4001, 4003), (kind.__name__, ret, raw)
        accepted[kind.__name__] += ret == 0
    assert accepted["same_meaning"] == len(range(8, MUTATIONS, len(KINDS)))
    assert rets[4001] > MUTATIONS / 3
    assert rets[4003] > MUTATIONS / 10


styles = st.sampled_from(list(KeyStyle))
formats = st.sampled_from(list(TimeFormat))


@settings(max_examples=100, deadline=None)
@given(
    style=styles,
    form=formats,
    seq=st.integers(0, 99_999_999),
    lower=st.booleans(),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60),
    spelling=st.sampled_from(["StartChargeSeq", "startChargeSeq", "STARTCHARGESEQ", " StartChargeSeq "]),
    mark=st.booleans(),
    slashes=st.booleans(),
)
def test_any_combination_of_agreed_deviations_goes_round(
    style: KeyStyle,
    form: TimeFormat,
    seq: int,
    lower: bool,
    text: str,
    spelling: str,
    mark: bool,
    slashes: bool,
) -> None:
    agreed = EnvelopeOptions(
        request_keys_in=None,
        request_keys_out=style,
        hex_case_out="lower" if lower else "upper",
        time_formats_in=tuple(TimeFormat),
        seq_widths=(1, 8),
    )
    counting = Counting(agreed)
    plain = jsonio.dumps({spelling: "MA5TEST02000000001", "ConnectorID": "1", "说明": text})
    plain = b"\xef\xbb\xbf" + plain if mark else plain
    stamp = render_timestamp(NOW, form)
    raw = orjson.dumps(envelope.seal_request(plain, PARTNER, KEYS, stamp, str(seq), options=agreed))
    raw = raw.replace(b"/", rb"\/") if slashes else raw
    assert counting.ask(raw) == 0
    assert counting.handled[0]["StartChargeSeq"] == "MA5TEST02000000001"
    assert counting.handled[0]["说明"] == text


@settings(max_examples=50, deadline=None)
@given(raw=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused_in_words_of_the_standard(raw: bytes) -> None:
    counting = Counting()
    assert counting.ask(raw) == 4003
    assert counting.handled == []


@settings(max_examples=50, deadline=None)
@given(
    ret=st.integers(-1, 9999),
    msg=ANY_TEXT,
    body=st.none() | st.dictionaries(STORABLE, st.integers(-(2**63), 2**63 - 1)),
)
def test_answers_go_round_and_one_changed_character_is_noticed(ret: int, msg: str, body: dict[str, int] | None) -> None:
    raw = orjson.dumps(envelope.seal_reply(ret, msg, body, KEYS))
    opened = envelope.open_reply(raw, KEYS)
    assert (opened.ret, opened.msg, opened.verified) == (ret, msg, True)
    changed = json.loads(raw)
    changed["Msg"] = changed["Msg"] + "x"
    with pytest.raises(ReplySignatureMismatch):
        envelope.open_reply(changed, KEYS)
