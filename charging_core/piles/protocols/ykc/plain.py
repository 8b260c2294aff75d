"""From plain JSON values back to the values of a frame's table: the other direction of `describe`, for people who write frames.

Numbers may be text, times ISO 8601 (without an offset: China time); what does not fit is refused by `codec.encode`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from charging_core.clock import CHINA
from charging_core.piles.protocols.ykc.errors import BadValue, UnknownFrameType
from charging_core.piles.protocols.ykc.fields import Field, FrameTable, Kind
from charging_core.piles.protocols.ykc.tables.directory import TABLES


def frame_type(text: str) -> int:
    """`0x3B`, `3B`, or 59 as an int in text. Raises `UnknownFrameType`."""
    digits = text.strip().lower().removeprefix("0x")
    try:
        found = int(digits, 16)
    except ValueError as error:
        raise UnknownFrameType(f"{text!r} 不是帧类型 / is no frame type: two hexadecimal digits") from error
    if found not in TABLES:
        raise UnknownFrameType(f"no table for frame type 0x{found:02X}")
    return found


def from_plain(kind: int, given: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values for `encode` from plain ones: a mapping by name, or the list of fields that `describe` gives. Raises `BadValue`."""
    table = TABLES[kind]
    plain = _by_name(given)
    tail = table.tail
    values = {name: plain[name] for name in plain if tail is None or name != tail.name}
    values = _converted(table.fields, values)
    if tail is not None and tail.name in plain:
        values[tail.name] = _entries(table, plain[tail.name])
    return values


def _by_name(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise BadValue("字段应为对象或列表 / fields are an object by name, or a list of {name, value}")
    if not all(isinstance(item, Mapping) and {"name", "value"} <= item.keys() for item in given):
        raise BadValue("列表中的字段需有 name 与 value / each listed field has a name and a value")
    return {item["name"]: item["value"] for item in given}


def _entries(table: FrameTable, entries: Any) -> Any:
    if table.tail is None or not table.tail.fields or isinstance(entries, str):
        return entries
    if not isinstance(entries, Sequence):
        raise BadValue(f"{table.tail.name} takes a list")
    return tuple(_converted(table.tail.fields, _by_name(entry)) for entry in entries)


def _converted(fields: tuple[Field, ...], plain: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name: field for field in fields}
    return {name: _value(known[name], value) if name in known else value for name, value in plain.items()}


def _value(field: Field, value: Any) -> Any:
    match field.kind:
        case Kind.NUMBER:
            return _number(field, value)
        case Kind.TIME:
            return _time(field, value)
        case Kind.OCTETS:
            return _octets(field, value)
        case _:
            return value


def _number(field: Field, value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        raise BadValue(f"{field.name} takes a number, not {value!r}")
    try:
        number = int(value, 16) if isinstance(value, str) and value.lower().startswith("0x") else Decimal(str(value))
    except (InvalidOperation, ValueError) as error:
        raise BadValue(f"{field.name}: {value!r} is no number") from error
    return number


def _time(field: Field, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadValue(f"{field.name}: {value!r} is no ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=CHINA)


def _octets(field: Field, value: Any) -> Any:
    """A list, or the numbers in one text with commas or spaces between."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(int(part) for part in value.replace(",", " ").split())
    except ValueError as error:
        raise BadValue(f"{field.name}: {value!r} is no list of numbers") from error
