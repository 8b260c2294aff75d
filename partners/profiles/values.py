"""How one value is written on the wire: types, decimals, enumerations, units, lengths. Pure; every refusal has a reason code."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from charging_core.clock import to_china
from charging_core.money import quantize

UNITS: dict[str, Decimal] = {
    "kW>W": Decimal(1000),
    "W>kW": Decimal("0.001"),
    "kWh>Wh": Decimal(1000),
    "V>mV": Decimal(1000),
    "A>mA": Decimal(1000),
    "min>s": Decimal(60),
    "h>min": Decimal(60),
    "yuan>fen": Decimal(100),
}
"""Exact factors. The two that do not divide evenly stand below."""

_DIVISORS: dict[str, Decimal] = {"s>min": Decimal(60), "s>h": Decimal(3600)}

KNOWN_UNITS = frozenset(UNITS) | frozenset(_DIVISORS)


LARGEST_EXPONENT = 18
"""Beyond 10^19 a number with the wire's decimals no longer fits the 28 digits of exact arithmetic."""


class BadValue(Exception):
    """Raised when a value cannot be written as its field asks; `code` is the machine-readable reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def is_null(value: Any) -> bool:
    """Missing, null and the empty text are the same (`specs/tcec102.md` 9.1)."""
    return value is None or value == ""


def as_decimal(value: Any) -> Decimal:
    """A number as an exact decimal; a binary float is refused. Raises `BadValue("bad_type")`."""
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise BadValue("bad_type", f"{type(value).__name__} is not a number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise BadValue("bad_type", f"{value!r} is not a number") from error
    if not number.is_finite():
        raise BadValue("bad_type", f"{value!r} is not a number")
    if number.adjusted() > LARGEST_EXPONENT:
        raise BadValue("bad_type", "larger than any quantity")
    return number


def rescale(value: Any, unit: str | None, scale: str | int | None, offset: str | int | None) -> Any:
    """The value in the wire's unit; with scale and offset the raw number behind it: raw = (value - offset) / scale."""
    if unit is None and scale is None and offset is None:
        return value
    number = as_decimal(value)
    if unit is not None:
        number = number * UNITS[unit] if unit in UNITS else number / _DIVISORS[unit]
    return (number - Decimal(str(offset or 0))) / Decimal(str(scale or 1))


def write(value: Any, kind: str, places: int, *, exact: bool = False) -> Any:
    """`value` as the wire type `kind` with `places` decimals. `exact` forbids rounding (money). Raises `BadValue`."""
    if kind in ("number", "string_number"):
        number = _fixed(as_decimal(value), places, exact=exact)
        return format(number, "f") if kind == "string_number" else number
    return _WRITERS[kind](value)


def _fixed(number: Decimal, places: int, *, exact: bool) -> Decimal:
    rounded = quantize(number, places)
    if exact and rounded != number:
        raise BadValue("bad_scale", f"{number} has more than {places} decimals")
    return rounded


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise BadValue("bad_type", "a truth value is not an int")
    return int(quantize(as_decimal(value), 0))


def _string(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise BadValue("bad_type", f"{type(value).__name__} is not text")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadValue("bad_type", f"{value!r} is not an aware date-time")
    return to_china(value)


def _date(value: Any) -> str:
    if isinstance(value, str):
        return _parsed(date, value).isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return f"{_moment(value):%Y-%m-%d}"


def _clock_time(value: Any) -> time:
    if isinstance(value, str):
        return _parsed(time, value)
    if isinstance(value, time):
        return value
    return _moment(value).time()


_Moment = TypeVar("_Moment", date, time)


def _parsed(kind: type[_Moment], value: str) -> _Moment:
    try:
        return kind.fromisoformat(value)
    except ValueError as error:
        raise BadValue("bad_type", f"{value!r} is not a date or time") from error


def _bool01(value: Any) -> int:
    if value not in (True, False, 0, 1):
        raise BadValue("bad_type", f"{value!r} is not a truth value")
    return int(value)


def _any(value: Any) -> Any:
    if isinstance(value, float):
        raise BadValue("bad_type", "a binary float never goes out")
    return value


_WRITERS = {
    "any": _any,
    "int": _int,
    "string": _string,
    "datetime": lambda value: f"{_moment(value):%Y-%m-%d %H:%M:%S}",
    "date": _date,
    "hhmmss": lambda value: f"{_clock_time(value):%H%M%S}",
    "hhmm": lambda value: f"{_clock_time(value):%H:%M}",
    "bool01": _bool01,
}
