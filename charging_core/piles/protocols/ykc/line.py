"""A frame in one line, for a page that people read: what it is, and the few values that matter. Never a VIN or a card number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from charging_core.piles.protocols.ykc.codec import decode
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.errors import DecodeError

_ENDED = ("started_at", "ended_at", "total_energy", "total_amount", "meter_start", "meter_end", "stop_code")
_SHOWN: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        0x01: ("protocol_version", "firmware", "connector_count"),
        0x02: ("result",),
        0x13: ("status", "plugged", "soc", "voltage", "current", "energy", "amount", "faults"),
        0x31: ("mode", "needs_password"),
        0x32: ("balance", "result", "reason"),
        0x33: ("result", "reason"),
        0x34: ("balance",),
        0x35: ("result", "reason"),
        0x36: (),
        0x3B: _ENDED,
        0x3D: _ENDED,
        0x40: ("result",),
        0x41: ("result",),
        0x42: ("balance",),
        0xA1: ("mode", "needs_password", "role", "parallel_number"),
        0xA2: ("balance", "result", "reason", "parallel_number"),
        0xA3: ("result", "reason", "role", "parallel_number"),
        0xA4: ("balance", "parallel_number"),
    }
)
_NEVER = frozenset(
    {
        "pile_code",
        "connector_no",
        "trade_number",
        "vin",
        "physical_card",
        "logical_card",
        "account",
        "password",
        "cards",
    }
)
_FEW = 6
"""Values shown of a frame that has no list of its own."""


@dataclass(frozen=True, slots=True)
class FrameLine:
    """`direction` is `up` (from the pile) or `down`; `text` holds `name=value` pairs."""

    type: str
    direction: str
    zh: str
    en: str
    text: str


def frame_line(raw: bytes) -> FrameLine:
    """The line of a whole frame; one that cannot be decoded says so."""
    try:
        frame = decode(raw)
    except DecodeError as error:
        return FrameLine("?", "up", "无法解码", "not decodable", str(error))
    told = describe(frame)
    fields = {one["name"]: one for one in told["fields"]}
    wanted = (
        _SHOWN.get(frame.type) or () if frame.type in _SHOWN else [name for name in fields if name not in _NEVER][:_FEW]
    )
    text = " ".join(f"{name}={_value(fields[name])}" for name in wanted if name in fields)
    return FrameLine(told["type"], told["direction"], told["zh"], told["en"], text)


def _value(field: Mapping[str, Any]) -> str:
    if "means" in field:
        return f"{field['means']['zh']}/{field['means']['en']}"
    if "bits" in field:
        return ",".join(f"{bit['zh']}/{bit['en']}" for bit in field["bits"] if bit["value"] not in (0, "0")) or "0"
    value = field["value"]
    return f"{Decimal(value):f}{field['unit']}" if "unit" in field and _is_number(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.replace(".", "", 1).lstrip("-").isdecimal())
