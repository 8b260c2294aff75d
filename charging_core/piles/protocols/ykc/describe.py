"""A decoded frame in words, for people: every field with its names in both languages, unit, and what its value says.

Personal data (VIN, card numbers) is shown as it is; whoever stores or logs a description masks it first.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.codes import STOP_CODES
from charging_core.piles.protocols.ykc.fields import Bits, Field
from charging_core.piles.protocols.ykc.tables.directory import TABLES


def describe(frame: Frame) -> dict[str, Any]:
    """JSON-ready description: decimals and times as text, everything else as it was decoded."""
    table = TABLES.get(frame.type)
    described: dict[str, Any] = {
        "type": f"0x{frame.type:02X}",
        "zh": table.zh if table else "未知帧",
        "en": table.en if table else "unknown frame",
        "direction": "up" if frame.type % 2 else "down",
        "sequence": frame.sequence.hex().upper(),
        "encrypted": frame.encrypt != 0,
        "crc_order": frame.crc_order.value,
        "short": frame.short,
        "extra": frame.extra.hex().upper(),
        "fields": [],
    }
    if table is not None and frame.fields:
        described["fields"] = _all(table.fields, frame.fields)
        if table.tail is not None and table.tail.name in frame.fields:
            entries = frame.fields[table.tail.name]
            inner = [_all(table.tail.fields, entry) for entry in entries] if table.tail.fields else entries
            described["fields"].append(
                {"name": table.tail.name, "zh": table.tail.zh, "en": table.tail.en, "value": inner}
            )
    return described


def _all(fields: tuple[Field, ...], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_one(field, values[field.name]) for field in fields if field.name in values]


def _one(field: Field, value: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": field.name, "zh": field.zh, "en": field.en, "value": _plain(value)}
    if field.unit:
        shown["unit"] = field.unit
    meaning = _meaning(field, value)
    if meaning is not None:
        shown["means"] = {"zh": meaning[0], "en": meaning[1]}
    if field.bits:
        shown["bits"] = [_bits(bits, value) for bits in field.bits]
    return shown


def _meaning(field: Field, value: Any) -> tuple[str, str] | None:
    if not isinstance(value, int):
        return None
    names = STOP_CODES if field.name == "stop_code" else field.names
    return names.get(value) if names else None


def _bits(bits: Bits, value: int) -> dict[str, Any]:
    part = value >> bits.first & (1 << bits.width) - 1
    shown: dict[str, Any] = {"name": bits.name, "zh": bits.zh, "en": bits.en, "value": part}
    if bits.places:
        shown["value"] = str(Decimal(part).scaleb(-bits.places))
    meaning = bits.names.get(part) if bits.names else None
    if meaning is not None:
        shown["means"] = {"zh": meaning[0], "en": meaning[1]}
    return shown


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | str):
        return value
    return list(value) if isinstance(value, tuple) else str(value)
