"""Field tables and the strict check of an opened body against them.

A table is text, one member a line: name, `R` (required) or `-`, type. Types: `str:20` (at most), `str=27` (exactly), `int`,
`int:0,1,255` (these values), `dec:2` (number with at most so many decimals), `time` (`yyyy-MM-dd HH:mm:ss`), `date`, `hms`
(`HHmmss`, up to 240000), `strs` (list of texts), `ints`, `any` (type not published), `obj:NAME` and `list:NAME` (nested tables).
Numbers must be JSON numbers and texts JSON texts: the standard's own examples are looser than its tables, an examiner is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

TIME_FORMATS: Mapping[str, tuple[int, str]] = {
    "time": (19, "%Y-%m-%d %H:%M:%S"),
    "date": (10, "%Y-%m-%d"),
    "hms": (6, "%H%M%S"),
}
"""Length and pattern; the length matters because `strptime` also takes single digits."""


MIDNIGHT = "240000"
"""The end of a day as `HHmmss`; no clock pattern reads it."""


class Problem(NamedTuple):
    """One thing wrong with a body: a machine code (missing, type, length, enum, scale, format, unknown), where, and words."""

    code: str
    path: str
    text: str


@dataclass(frozen=True)
class Member:
    """One line of a table."""

    name: str
    required: bool
    kind: str
    limit: str


Table = tuple[Member, ...]


def table(text: str) -> Table:
    """The members written in `text`."""
    return tuple(_member(*line.split()) for line in text.splitlines() if line.strip())


def respelled(members: Table, wrong: str, right: str) -> Table:
    """The same table for a platform that spells a part of its names differently (Sevice, Service)."""
    return tuple(Member(m.name.replace(wrong, right), m.required, m.kind, m.limit) for m in members)


class Checker:
    """Checks bodies against named tables; `obj:` and `list:` refer to tables of the same checker."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = dict(tables)

    def check(self, name: str, body: object) -> list[Problem]:
        """Everything wrong with `body` by table `name`, unknown members included, in table order."""
        return list(self._object(name, body, ""))

    def _object(self, name: str, value: object, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem("type", path.rstrip("."), "必须是对象 must be an object")
            return
        members = self._tables[name]
        for member in members:
            yield from self._member(member, value.get(member.name), path + member.name)
        for extra in sorted(value.keys() - {member.name for member in members}):
            yield Problem("unknown", path + extra, "未知字段 not in the table")

    def _member(self, member: Member, value: object, path: str) -> Iterator[Problem]:
        if value is None or value == "":
            if member.required:
                yield Problem("missing", path, "缺少必填项 required member missing")
        elif member.kind == "obj":
            yield from self._object(member.limit, value, path + ".")
        elif member.kind == "list":
            yield from self._list(member, value, path)
        else:
            yield from _CHECKS[member.kind](value, member.limit, path)

    def _list(self, member: Member, value: object, path: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield Problem("type", path, "必须是数组 must be a list")
            return
        for index, item in enumerate(value):
            yield from self._object(member.limit, item, f"{path}[{index}].")


def _member(name: str, required: str, kind: str) -> Member:
    for mark in (":", "="):
        base, found, limit = kind.partition(mark)
        if found:
            return Member(name, required == "R", base + ("=" if mark == "=" else ""), limit)
    return Member(name, required == "R", kind, "")


def _text(value: object, limit: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem("type", path, "必须是字符串 must be a text")
    elif limit and len(value) > int(limit):
        yield Problem("length", path, f"超过{limit}个字符 longer than {limit}")


def _exact_text(value: object, limit: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem("type", path, "必须是字符串 must be a text")
    elif len(value) != int(limit):
        yield Problem("length", path, f"必须为{limit}个字符 must have {limit} characters")


def _whole(value: object, limit: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield Problem("type", path, "必须是整数 must be a whole number")
    elif limit and str(value) not in limit.split(","):
        yield Problem("enum", path, f"取值不在{limit}中 not one of {limit}")


def _decimal(value: object, limit: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        yield Problem("type", path, "必须是数值 must be a number")
    elif isinstance(value, Decimal) and -int(value.as_tuple().exponent) > int(limit):
        yield Problem("scale", path, f"小数超过{limit}位 more than {limit} decimals")


def _moment(kind: str) -> Callable[[object, str, str], Iterator[Problem]]:
    length, pattern = TIME_FORMATS[kind]

    def check(value: object, _: str, path: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield Problem("type", path, "必须是字符串 must be a text")
        elif len(value) != length or _unreadable(value, pattern):
            yield Problem("format", path, f"时间格式应为{pattern} must be a time written {pattern}")

    return check


def _unreadable(text: str, pattern: str) -> bool:
    if text == MIDNIGHT:
        return False
    try:
        datetime.strptime(text, pattern)  # noqa: DTZ007 - only the form is asked
    except ValueError:
        return True
    return False


def _items(of: type, words: str) -> Callable[[object, str, str], Iterator[Problem]]:
    def check(value: Any, _: str, path: str) -> Iterator[Problem]:
        if not isinstance(value, list) or any(not isinstance(item, of) for item in value):
            yield Problem("type", path, words)

    return check


_CHECKS: Mapping[str, Callable[[Any, str, str], Iterator[Problem]]] = {
    "any": lambda *_: iter(()),
    "str": _text,
    "str=": _exact_text,
    "int": _whole,
    "dec": _decimal,
    "time": _moment("time"),
    "date": _moment("date"),
    "hms": _moment("hms"),
    "strs": _items(str, "必须是字符串数组 must be a list of texts"),
    "ints": _items(int, "必须是整数数组 must be a list of whole numbers"),
}
