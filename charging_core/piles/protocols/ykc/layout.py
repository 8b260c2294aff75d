"""Compiles a table of fields into one precompiled struct and one reading function without a loop.

Pure: bytes in, values out, and back. Errors carry no position here; the codec knows where a body begins.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Context, Decimal
from functools import partial
from typing import Any

from charging_core.piles.protocols.ykc import cp56
from charging_core.piles.protocols.ykc.errors import BadValue, MissingField, UnknownField
from charging_core.piles.protocols.ykc.fields import Field, Kind

_NATIVE = {1: "B", 2: "H", 4: "I", 8: "Q"}
_EXACT = Context(prec=40)
"""Wide enough for 8 bytes at any scale: nothing is ever rounded here, whatever the caller's own decimal context."""

Converter = Callable[[Any], Any]
Reader = Callable[[bytes, int], dict[str, Any]]


class Layout:
    """The compiled form of a run of fields."""

    __slots__ = ("_encoders", "_struct", "fields", "names", "read", "size", "times")

    read: Reader
    """`read(buffer, start)`: values by name; `buffer` must hold `size` bytes from `start`."""
    times: tuple[str, ...]
    """Names of the time fields."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.names = tuple(field.name for field in fields)
        self._struct = struct.Struct("<" + "".join(map(_code, fields)))
        self.size = self._struct.size
        self.read = _compile_reader(fields, self._struct)
        self._encoders = tuple((field, _writer(field)) for field in fields)
        self.times = tuple(field.name for field in fields if field.kind is Kind.TIME)

    def read_raw(self, buffer: bytes, start: int) -> tuple[Any, ...]:
        """Integers and byte strings as they stand on the wire; `buffer` must hold `size` bytes from `start`."""
        return self._struct.unpack_from(buffer, start)

    def read_whole_fields(self, body: bytes) -> dict[str, Any]:
        """Values of those leading fields that a too short body holds whole."""
        values: dict[str, Any] = {}
        end = 0
        for field in self.fields:
            start, end = end, end + field.length
            if end > len(body):
                break
            (value,) = struct.unpack_from("<" + _code(field), body, start)
            convert = _reader(field)
            values[field.name] = value if convert is None else convert(value)
        return values

    def invalid_times(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the time fields whose bytes were no valid time."""
        return tuple(name for name in self.times if name in values and values[name] is None)

    def write(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of `values`. Raises `MissingField` or `BadValue`; names it does not know are the caller's to refuse."""
        return self._struct.pack(*(encode(_given(field, values)) for field, encode in self._encoders))

    def refuse_unknown(self, values: Mapping[str, Any], *others: str) -> None:
        """Raises `UnknownField` when `values` has a name that is neither a field nor one of `others`."""
        unknown = values.keys() - set(self.names) - set(others)
        if unknown:
            raise UnknownField(f"no such field: {', '.join(sorted(unknown))}")


def _given(field: Field, values: Mapping[str, Any]) -> Any:
    if field.name in values:
        return values[field.name]
    if field.default is None:
        raise MissingField(f"{field.name} is missing")
    return field.default


def _compile_reader(fields: tuple[Field, ...], packed: struct.Struct) -> Reader:
    """A function with one expression per field, written from the table as `dataclasses` writes an `__init__`.

    A loop over converters takes twice as long, and a busy server reads thousands of bodies a second.
    """
    if not fields:
        return lambda _buffer, _start: {}
    scope: dict[str, Any] = {"unpack": packed.unpack_from}
    names = [f"v{place}" for place in range(len(fields))]
    members = []
    for name, field in zip(names, fields, strict=True):
        convert = _reader(field)
        scope[f"read_{name}"] = convert
        members.append(f"{field.name!r}: {_expression(field, name, convert)}")
    source = (
        f"def read(buffer, start):\n  {', '.join(names)}, = unpack(buffer, start)\n  return {{{', '.join(members)}}}"
    )
    exec(source, scope)  # noqa: S102 — the text holds the names of our own tables and nothing from outside
    reader: Reader = scope["read"]
    return reader


def _expression(field: Field, name: str, convert: Converter | None) -> str:
    """What reads the raw value `name`; the two shortest conversions are spelled out, which saves their calls."""
    if convert is None:
        return name
    if field.kind in (Kind.BCD, Kind.RAW):
        return f"{name}.hex().upper()"
    if field.kind is Kind.NUMBER and field.places == 0 and field.length in _NATIVE:
        return f"{name} + {field.offset}"
    return f"read_{name}({name})"


def _code(field: Field) -> str:
    if field.kind is Kind.NUMBER and field.length in _NATIVE:
        return _NATIVE[field.length]
    return f"{field.length}s"


def _reader(field: Field) -> Converter | None:
    match field.kind:
        case Kind.NUMBER:
            return _number_reader(field)
        case Kind.BCD | Kind.RAW:
            return _hex
        case Kind.TEXT:
            return _text
        case Kind.REVERSED_TEXT:
            return _reversed_text
        case Kind.TIME:
            return cp56.read
        case Kind.OCTETS:
            return tuple


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("latin-1")


def _reversed_text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("latin-1")[::-1]


def _number_reader(field: Field) -> Converter | None:
    wide = field.length not in _NATIVE
    if field.places == 0:
        return _whole_reader(wide, field.offset)
    # A partial of a C method: the cheapest way to an exact Decimal, and most fields of 0x13 and 0x3B are such.
    scaled = partial(_EXACT.multiply, Decimal(1).scaleb(-field.places))
    if wide:
        return lambda value: scaled(int.from_bytes(value, "little"))
    if field.offset:
        return lambda value: _EXACT.add(scaled(value), field.offset)
    return scaled


def _whole_reader(wide: bool, offset: int) -> Converter | None:
    if wide:
        return lambda value: int.from_bytes(value, "little") + offset
    return (lambda value: value + offset) if offset else None


def _writer(field: Field) -> Converter:
    match field.kind:
        case Kind.NUMBER:
            return lambda value: _pack_number(field, value)
        case Kind.BCD | Kind.RAW:
            return lambda value: _pack_hex(field, value)
        case Kind.TEXT:
            return lambda value: _pack_text(field, value)
        case Kind.REVERSED_TEXT:
            return lambda value: _pack_text(field, value[::-1] if isinstance(value, str) else value)
        case Kind.TIME:
            return lambda value: _pack_time(field, value)
        case Kind.OCTETS:
            return lambda value: _pack_octets(field, value)


def _pack_number(field: Field, value: Any) -> int | bytes:
    if type(value) is int and field.places == 0:  # the common case: results, states, counts
        return _packed(field, value, value - field.offset)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadValue(f"{field.name} takes an int or a Decimal, not {type(value).__name__}")
    number = Decimal(value)
    if not number.is_finite():
        raise BadValue(f"{field.name}: {value} is no number")
    scaled = _EXACT.scaleb(_EXACT.subtract(number, field.offset), field.places)
    if int(scaled) != scaled:
        raise BadValue(f"{field.name}: {value} is finer than {field.places} places")
    return _packed(field, value, int(scaled))


def _packed(field: Field, value: Any, whole: int) -> int | bytes:
    if not 0 <= whole < 1 << 8 * field.length:
        raise BadValue(f"{field.name}: {value} does not fit {field.length} bytes at {field.places} places")
    return whole if field.length in _NATIVE else whole.to_bytes(field.length, "little")


def _pack_hex(field: Field, value: Any) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * field.length:
        raise BadValue(f"{field.name} takes {2 * field.length} digits as text, not {value!r}")
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise BadValue(f"{field.name}: {value!r} is not hexadecimal") from error


def _pack_text(field: Field, value: Any) -> bytes:
    if not isinstance(value, str):
        raise BadValue(f"{field.name} takes text, not {type(value).__name__}")
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadValue(f"{field.name}: {value!r} has characters the wire cannot carry") from error
    if len(encoded) > field.length:
        raise BadValue(f"{field.name}: {value!r} is longer than {field.length} characters")
    return encoded.ljust(field.length, b"\0")


def _pack_time(field: Field, value: Any) -> bytes:
    if value is None:
        return bytes(cp56.LENGTH)
    if not isinstance(value, datetime):
        raise BadValue(f"{field.name} takes a datetime, not {type(value).__name__}")
    try:
        return cp56.write(value)
    except ValueError as error:
        raise BadValue(f"{field.name}: {error}") from error


def _pack_octets(field: Field, value: Any) -> bytes:
    try:
        packed = bytes(tuple(value))  # not of the value itself: of a number it would make as many zeros
    except (TypeError, ValueError) as error:
        raise BadValue(f"{field.name} takes {field.length} numbers of 0…255") from error
    if len(packed) != field.length:
        raise BadValue(f"{field.name} takes {field.length} numbers, not {len(packed)}")
    return packed
