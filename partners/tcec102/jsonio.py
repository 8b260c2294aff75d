"""JSON in and out of the protocol: exact decimals, no binary float, no surprise types.

Envelopes go through orjson. Decrypted bodies are read with ``Decimal`` for every number that has a point or an exponent, and
written by ``dumps``, which keeps the scale of each ``Decimal`` (``1.20`` stays ``1.20``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from partners.tcec102.errors import UnwritableBody

Rendered = orjson.Fragment
"""A piece of a body that is JSON already, for parts that are serialised once and sent often."""

MAX_NUMBER_CHARS = 40
"""Longest decimal literal we read: far above any quantity of the standard, far below what would burn memory."""
MAX_EXPONENT = 20
"""Largest power of ten of a decimal, so that ``1e999999999`` never becomes a gigabyte of zeros when written."""


class MalformedBody(ValueError):
    """Raised when a decrypted text is not JSON, or holds what would do harm later: NaN, monstrous numbers, lone surrogates."""


_BOM = "\ufeff"
_RISKY_ESCAPE = re.compile(r"\\u(?:[dD][89abAB]|0000)")
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_WHITE = re.compile(r"[ \t\r\n]*")


def read_object(raw: bytes) -> dict[str, Any]:
    """The members of an envelope.

    :raises ValueError: not UTF-8, not JSON, or not an object.
    """
    members = orjson.loads(raw)
    if type(members) is not dict:
        raise ValueError("not an object")
    return members


def literal_members(text: str) -> dict[str, str]:
    """The literal text of each member's value of a JSON object that is known to be well formed.

    Signatures are computed over what was sent, so ``0.0`` and ``20240102030405`` must stay as they were written.

    :raises ValueError: the text is nested deeper than we read.
    """
    members: dict[str, str] = {}
    index = _skip(text, text.index("{") + 1)
    while text[index] != "}":
        name, index = _raw_decode(text, index)
        start = _skip(text, _skip(text, index) + 1)
        _, end = _raw_decode(text, start)
        members[name] = text[start:end]
        index = _skip(text, end)
        if text[index] == ",":
            index = _skip(text, index + 1)
    return members


def loads_body(plain: bytes, *, byte_order_mark: bool = False) -> Any:
    """A decrypted body: numbers with a point or an exponent become ``Decimal``, whole numbers ``int``.

    :param byte_order_mark: drop a leading BOM instead of refusing it.
    :raises MalformedBody: not UTF-8, not JSON, not finite, too deep, a lone surrogate or a NUL character in a text.
    """
    try:
        return _parse_body(plain.decode("utf-8"), byte_order_mark)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(type(error).__name__) from error


def _parse_body(text: str, byte_order_mark: bool) -> Any:
    body = _decoded(text.removeprefix(_BOM) if byte_order_mark else text)
    if "\\u" in text and _RISKY_ESCAPE.search(text):
        _check_texts(body)
    return body


def _decoded(text: str) -> Any:
    if text[:1] != "{" or text[-1:] != "}":
        return _BODY.decode(text)
    # White space around the body is rare; looking for it costs as much as reading a small one.
    body, end = _BODY.raw_decode(text)
    if end != len(text):
        raise ValueError("more than one value")
    return body


def dumps(body: Any) -> bytes:
    """Compact UTF-8 JSON; ``Decimal`` keeps its scale, ``Rendered`` is copied in.

    :raises UnwritableBody: a float, a decimal that is not finite, or a type that JSON does not have.
    """
    try:
        written = orjson.dumps(body, _plain, _OPTIONS)
    except orjson.JSONEncodeError as error:
        raise UnwritableBody("$", str(error.__cause__ or error)) from error
    if _may_hold_float(written) and (path := _float_path(body, "$")):
        raise UnwritableBody(path, "a binary float; use Decimal")
    return written


def _may_hold_float(written: bytes) -> bool:
    """Every float is written with a point or a signed exponent. One character is looked for many times faster than two."""
    return (
        b"." in written
        or (b"-" in written and b"e-" in written)
        or (b"+" in written and b"e+" in written)
    )  # fmt: skip


def decimal_text(number: Decimal) -> str:
    """Plain notation with the number's own scale, never an exponent.

    :raises UnwritableBody: not finite.
    """
    if not number.is_finite():
        raise UnwritableBody("$", "a decimal that is not finite")
    return format(number, "f")


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError("number too long")
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_BODY = json.JSONDecoder(parse_float=_decimal, parse_constant=_refuse_constant)
_LITERAL = json.JSONDecoder(parse_float=str, parse_int=str)


def _raw_decode(text: str, index: int) -> tuple[Any, int]:
    try:
        return _LITERAL.raw_decode(text, index)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _skip(text: str, index: int) -> int:
    match = _WHITE.match(text, index)
    return match.end() if match else index


def _check_texts(body: Any) -> None:
    for text in _texts(body):
        if "\x00" in text:
            raise ValueError("NUL character in a text")
        text.encode("utf-8")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _float_path(value: Any, path: str) -> str:
    """The path of the first float inside ``value``, or empty."""
    if isinstance(value, float):
        return path
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    found = (_float_path(item, f"{path}.{name}") for name, item in pairs)
    return next(filter(None, found), "")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Rendered(decimal_text(value))
    raise TypeError(f"{type(value).__name__} has no JSON form here")
