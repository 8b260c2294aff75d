"""Checks that legal or common variations of a right request are taken: what JSON allows, what the field sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from partners.tcec102 import crypto
from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.drafts import Draft, Members, with_member
from partners.tcec102.conformance.model import Check, Level
from partners.tcec102.errors import RET_OK
from partners.tcec102.options import TimeFormat
from partners.tcec102.timestamps import render_timestamp

Body = Callable[[Bench], dict[str, Any]]
Vary = Callable[[Draft, Bench], Draft]
_MIME_LINE = 76
_ENVELOPE_CLAUSE = "T/CEC 102.4 信封 envelope"
_JSON_CLAUSE = "RFC 8259 JSON"


@dataclass(frozen=True, slots=True)
class Variation:
    """One way to send the same call."""

    name: str
    title: str
    level: Level
    clause: str
    vary: Vary


def tolerance_checks(interface: str, body: Body) -> Iterator[Check]:
    """Every variation of one harmless call."""
    needs = (f"{TOKEN}/answer", f"{interface}/answer")
    for one in VARIATIONS:
        yield Check(
            f"tolerance/{one.name}", one.title, one.clause, _accepted(interface, body, one.vary), one.level, needs
        )
    yield Check(
        "tolerance/same-seq-again",
        "Seq 恒为 0001 / a constant Seq in one second",
        _ENVELOPE_CLAUSE,
        _same_seq(interface, body),
        Level.SHOULD,
        needs,
    )


def _accepted(interface: str, body: Body, vary: Vary) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        seen = bench.send(vary(bench.draft(interface, body(bench)), bench))
        seen.expect_ret(RET_OK)

    return run


def _same_seq(interface: str, body: Body) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        first = replace(bench.draft(interface, body(bench)), seq="0001")
        for draft in (first, replace(first, plain=_spaced(first.plain))):
            bench.send(draft).expect_ret(RET_OK)

    return run


def _spaced(plain: bytes) -> bytes:
    """The same JSON with other bytes, so that it is not a repetition."""
    return plain[:-1] + b" }"


def _after(change: Callable[[Members], Members]) -> Vary:
    return lambda draft, _bench: replace(draft, after=change)


def _encoded(encode: Callable[[Members], bytes]) -> Vary:
    return lambda draft, _bench: replace(draft, encode=encode)


def _plain(change: Callable[[bytes], bytes]) -> Vary:
    return lambda draft, _bench: replace(draft, plain=change(draft.plain))


def _header(change: Callable[[str], str]) -> Vary:
    return lambda draft, _bench: replace(draft, authorization=change(draft.authorization or ""))


def _time(form: TimeFormat) -> Vary:
    return lambda draft, bench: replace(draft, timestamp=render_timestamp(bench.clock.now(), form))


def _mime(draft: Draft, _bench: Bench) -> Draft:
    data = crypto.encrypt(draft.plain + b" " * _MIME_LINE, draft.keys)
    lines = [data[at : at + _MIME_LINE] for at in range(0, len(data), _MIME_LINE)]
    return replace(draft, data="\r\n".join(lines))


def _escaped_slashes(members: Members) -> bytes:
    return orjson.dumps(members).replace(b"/", rb"\/")


def _escaped_names(plain: bytes) -> bytes:
    """Each member name with its last letter escaped; the same JSON."""
    return re.sub(rb'([A-Za-z])":', lambda match: b'\\u%04x":' % match[1][0], plain)


def _lower_camel(members: Members) -> Members:
    return {
        {"OperatorID": "operatorID", "TimeStamp": "timeStamp"}.get(name, name.lower()): value
        for name, value in members.items()
    }


def _as_text(plain: bytes) -> bytes:
    return re.sub(rb":(-?[0-9.]+)", rb':"\1"', plain)


def _extra(plain: bytes) -> bytes:
    return plain[:-1] + ',"RemarkText":"示例充电站","Nested":{"List":[1,2.50,null]}}'.encode()


_MUST, _SHOULD, _MAY = Level.MUST, Level.SHOULD, Level.MAY

VARIATIONS: tuple[Variation, ...] = (
    Variation(
        "member-order",
        "成员顺序不限 / members in another order",
        _MUST,
        _JSON_CLAUSE,
        _after(lambda m: dict(reversed(m.items()))),
    ),
    Variation(
        "escaped-slashes", "转义斜杠 \\/ / escaped slashes in Data", _MUST, _JSON_CLAUSE, _encoded(_escaped_slashes)
    ),
    Variation(
        "white-space",
        "报文含空白换行 / indented JSON",
        _MUST,
        _JSON_CLAUSE,
        _encoded(lambda m: orjson.dumps(m, option=orjson.OPT_INDENT_2)),
    ),
    Variation(
        "body-white-space",
        "业务明文含空白 / white space around the body",
        _MUST,
        _JSON_CLAUSE,
        _plain(lambda p: b" \r\n" + p + b"\n\t"),
    ),
    Variation(
        "escaped-names", "业务明文含 \\u 转义 / \\u escapes in the body", _MUST, _JSON_CLAUSE, _plain(_escaped_names)
    ),
    Variation(
        "unknown-members", "忽略未知业务参数 / unknown business members", _SHOULD, "T/CEC 102.2, 102.3", _plain(_extra)
    ),
    Variation(
        "unknown-envelope-member",
        "忽略未知信封成员 / an unknown envelope member",
        _SHOULD,
        _ENVELOPE_CLAUSE,
        _after(with_member("serialVersionUID", 1)),
    ),
    Variation(
        "lower-case-signature",
        "小写签名 / a lower-case Sig",
        _SHOULD,
        "T/CEC 102.4 Annex C",
        _after(lambda m: m | {"Sig": m["Sig"].lower()}),
    ),
    Variation("line-breaks", "base64 含换行 / MIME line breaks in Data", _SHOULD, "T/CEC 102.4 Annex B", _mime),
    Variation("text-numbers", "数字写成文本 / numbers as text", _MAY, "T/CEC 102.2, 102.3", _plain(_as_text)),
    Variation(
        "lower-camel-envelope", "信封小写开头 / lower-camel envelope", _MAY, _ENVELOPE_CLAUSE, _after(_lower_camel)
    ),
    Variation(
        "byte-order-mark",
        "明文带 BOM / a BOM before the body",
        _MAY,
        _JSON_CLAUSE,
        _plain(lambda p: b"\xef\xbb\xbf" + p),
    ),
    Variation(
        "epoch-seconds",
        "TimeStamp 为秒 / TimeStamp in epoch seconds",
        _MAY,
        _ENVELOPE_CLAUSE,
        _time(TimeFormat.EPOCH_S),
    ),
    Variation(
        "epoch-milliseconds",
        "TimeStamp 为毫秒 / TimeStamp in epoch milliseconds",
        _MAY,
        _ENVELOPE_CLAUSE,
        _time(TimeFormat.EPOCH_MS),
    ),
    Variation(
        "short-seq", "Seq 三位 / Seq of three digits", _MAY, _ENVELOPE_CLAUSE, lambda d, _b: replace(d, seq="007")
    ),
    Variation(
        "bearer-without-space",
        "Bearer 后无空格 / Bearer without a space",
        _MAY,
        "RFC 6750",
        _header(lambda text: text.replace("Bearer ", "Bearer")),
    ),
    Variation(
        "bare-token",
        "无 Bearer 前缀 / the token alone",
        _MAY,
        "RFC 6750",
        _header(lambda text: text.removeprefix("Bearer ")),
    ),
)
