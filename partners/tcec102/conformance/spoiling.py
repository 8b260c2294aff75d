"""The ways in which the kit spoils a right request, each with the code that must answer it. Tables and small functions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import orjson

from partners.tcec102 import crypto
from partners.tcec102.conformance.drafts import Draft, Members, other_hex, with_member, without_member
from partners.tcec102.conformance.model import Level
from partners.tcec102.envelope import REQUEST_MEMBERS
from partners.tcec102.errors import RET_BUSINESS, RET_ENVELOPE, RET_SIGNATURE, RET_TOKEN

Spoil = Callable[[Draft], Draft]

UNREADABLE = (RET_ENVELOPE, RET_BUSINESS)
"""Both are in use for an unknown operator and for Data that cannot be opened."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to spoil a request. ``after`` names cases that must have been refused rightly before this one says more."""

    name: str
    title: str
    codes: tuple[int, ...]
    spoil: Spoil
    level: Level = Level.MUST
    after: tuple[str, ...] = ()


def _encoded(encode: Callable[[Members], bytes]) -> Spoil:
    return lambda draft: replace(draft, encode=encode)


def _after(change: Callable[[Members], Members]) -> Spoil:
    return lambda draft: replace(draft, after=change)


def _data(make: Callable[[Draft], str]) -> Spoil:
    return lambda draft: replace(draft, data=make(draft))


def _plain(text: bytes) -> Spoil:
    return lambda draft: replace(draft, plain=text)


def _header(make: Callable[[str], str | None]) -> Spoil:
    return lambda draft: replace(draft, authorization=make(draft.authorization or ""))


def _all(*spoils: Spoil) -> Spoil:
    def one_after_the_other(draft: Draft) -> Draft:
        for spoil in spoils:
            draft = spoil(draft)
        return draft

    return one_after_the_other


def _under_another_key(draft: Draft) -> str:
    return crypto.encrypt(draft.plain, replace(draft.keys, data_secret=other_hex(draft.keys.data_secret)))


def _changed_ciphertext(members: Members) -> Members:
    blocks = bytearray(base64.b64decode(members["Data"]))
    blocks[0] ^= 1
    return members | {"Data": base64.b64encode(bytes(blocks)).decode()}


def _torn(draft: Draft) -> str:
    return base64.b64encode(base64.b64decode(crypto.encrypt(draft.plain, draft.keys))[:-1]).decode()


def _python_repr(members: Members) -> bytes:
    return repr(members).encode()


def _half(members: Members) -> bytes:
    return orjson.dumps(members)[:-20]


def _no_seq_and_wrong_sig(members: Members) -> Members:
    return without_member("Seq")(members | {"Sig": other_hex(members["Sig"])})


_WRONG_SIG = _after(lambda members: members | {"Sig": other_hex(members["Sig"])})
_NO_TOKEN = _header(lambda _right: None)
_NOT_BASE64 = _data(lambda _draft: "***not base64***")


def _operator(draft: Draft) -> Draft:
    return replace(draft, operator_id="000000000" if draft.operator_id != "000000000" else "000000001")


def _member_cases() -> Iterator[Case]:
    for name in REQUEST_MEMBERS:
        yield Case(
            f"missing-{name}", f"缺少 {name} → 4003 / without {name}", (RET_ENVELOPE,), _after(without_member(name))
        )
        spoil = _after(with_member(name, ""))
        after = (f"missing-{name}",)
        yield Case(f"empty-{name}", f"{name} 为空 → 4003 / with an empty {name}", (RET_ENVELOPE,), spoil, after=after)


_NO_TOKEN_FIRST, _DATA_FIRST = ("no-token",), ("data-not-base64",)

CASES: tuple[Case, ...] = (
    Case("half-a-body", "报文不完整 → 4003 / JSON cut off", (RET_ENVELOPE,), _encoded(_half)),
    Case(
        "python-repr",
        "单引号报文 → 4003 / single quotes",
        (RET_ENVELOPE,),
        _encoded(_python_repr),
        after=("half-a-body",),
    ),
    Case(
        "not-an-object",
        "报文为数组 → 4003 / a JSON list",
        (RET_ENVELOPE,),
        _encoded(lambda _m: b"[]"),
        after=("half-a-body",),
    ),
    *_member_cases(),
    Case("unknown-operator", "未知 OperatorID → 4003 / an unknown caller", UNREADABLE, _operator),
    Case("wrong-signature", "签名错误 → 4001 / a wrong Sig", (RET_SIGNATURE,), _WRONG_SIG),
    Case("no-token", "无令牌 → 4002 / without Authorization", (RET_TOKEN,), _NO_TOKEN),
    Case(
        "unknown-token",
        "未知令牌 → 4002 / an unknown token",
        (RET_TOKEN,),
        _header(lambda _right: "Bearer 0123456789abcdef"),
        after=_NO_TOKEN_FIRST,
    ),
    Case(
        "other-scheme",
        "非 Bearer → 4002 / another scheme",
        (RET_TOKEN,),
        _header(lambda right: right.replace("Bearer", "Basic")),
        Level.SHOULD,
        _NO_TOKEN_FIRST,
    ),
    Case(
        "bad-timestamp",
        "TimeStamp 不是时间 → 4003 / TimeStamp is no time",
        (RET_ENVELOPE,),
        lambda d: replace(d, timestamp="2024-13-99 abc"),
        Level.SHOULD,
    ),
    Case("data-not-base64", "Data 不是 base64 → 4003 / Data is not base64", UNREADABLE, _NOT_BASE64),
    Case("data-torn", "密文残缺 → 4003 / torn cipher blocks", UNREADABLE, _data(_torn), after=_DATA_FIRST),
    Case(
        "data-of-another-key",
        "密钥不符 → 4003 / another DataSecret",
        UNREADABLE,
        _data(_under_another_key),
        after=_DATA_FIRST,
    ),
    Case("data-not-json", "明文不是 JSON → 4003 / no JSON inside", UNREADABLE, _plain(b"not json"), after=_DATA_FIRST),
    Case("data-empty", "明文为空 → 4003 / nothing inside", UNREADABLE, _plain(b""), after=("data-not-json",)),
    Case(
        "data-not-an-object",
        "明文不是对象 → 4003 / JSON inside is no object",
        UNREADABLE,
        _plain(b"[]"),
        after=("data-not-json",),
    ),
    Case(
        "member-before-signature",
        "先查必填再验签 / a missing member before the signature",
        (RET_ENVELOPE,),
        _after(_no_seq_and_wrong_sig),
        Level.SHOULD,
        ("missing-Seq", "wrong-signature"),
    ),
    Case(
        "signature-before-token",
        "先验签再查令牌 / the signature before the token",
        (RET_SIGNATURE,),
        _all(_WRONG_SIG, _NO_TOKEN),
        Level.SHOULD,
        ("wrong-signature", "no-token"),
    ),
    Case(
        "signature-before-decryption",
        "先验签再解密 / the signature before decryption",
        (RET_SIGNATURE,),
        _all(_WRONG_SIG, _NOT_BASE64),
        after=("wrong-signature", "data-not-base64"),
    ),
    Case(
        "changed-data",
        "篡改 Data → 4001 / Data changed after signing",
        (RET_SIGNATURE,),
        _after(_changed_ciphertext),
        after=("signature-before-decryption",),
    ),
    Case(
        "token-before-decryption",
        "先查令牌再解密 / the token before decryption",
        (RET_TOKEN,),
        _all(_NO_TOKEN, _NOT_BASE64),
        Level.SHOULD,
        ("no-token", "data-not-base64", "signature-before-decryption"),
    ),
    Case(
        "token-before-body",
        "先查令牌再查业务参数 / the token before business members",
        (RET_TOKEN,),
        _all(_NO_TOKEN, _plain(b'{"Unasked":1}')),
        Level.SHOULD,
        _NO_TOKEN_FIRST,
    ),
)
"""In the order in which the examined side should check."""
