"""How one field of a YKC body is coded (ykc.md section 2). Pure; each coder knows its size and both directions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from charging_core.clock import CHINA
from charging_core.simulator.errors import FrameError

_HEX = re.compile(r"[0-9A-Fa-f]*")


class Coder(Protocol):
    """One field: a fixed number of bytes and the value they stand for."""

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        ...

    def encode(self, value: Any) -> bytes:
        """Bytes of `value`; FrameError if it does not fit."""
        ...

    def decode(self, raw: bytes) -> Any:
        """Value of exactly `size` bytes."""
        ...


Layout = Mapping[str, Coder]


@dataclass(frozen=True, slots=True)
class Digits:
    """BCD and raw identifiers: a string of 2 x size hex digits in reading order (nibbles A-F do occur)."""

    size: int

    def encode(self, value: str) -> bytes:
        """Bytes of exactly 2 x size hex digits."""
        if len(value) != 2 * self.size or not _HEX.fullmatch(value):
            raise FrameError(f"not {2 * self.size} hex digits: {value!r}")
        return bytes.fromhex(value)

    def decode(self, raw: bytes) -> str:
        """Upper-case hex digits."""
        return raw.hex().upper()


@dataclass(frozen=True, slots=True)
class Uint:
    """Unsigned little-endian integer."""

    size: int

    def encode(self, value: int) -> bytes:
        """Little-endian bytes of an integer that fits."""
        if not 0 <= value < 1 << 8 * self.size:
            raise FrameError(f"{value} does not fit {self.size} bytes")
        return value.to_bytes(self.size, "little")

    def decode(self, raw: bytes) -> int:
        """The integer."""
        return int.from_bytes(raw, "little")


@dataclass(frozen=True, slots=True)
class Fixed:
    """Decimal that travels as a little-endian integer with `places` implied decimals."""

    size: int
    places: int

    def encode(self, value: Decimal) -> bytes:
        """Bytes of an exact value; a value with more decimals than the field is refused, never rounded here."""
        scaled = value.scaleb(self.places)
        if scaled != scaled.to_integral_value():
            raise FrameError(f"{value} has more than {self.places} decimals")
        return Uint(self.size).encode(int(scaled))

    def decode(self, raw: bytes) -> Decimal:
        """Decimal with exactly `places` decimals."""
        return Decimal(int.from_bytes(raw, "little")).scaleb(-self.places)


@dataclass(frozen=True, slots=True)
class Ascii:
    """Text, padded with 0x00 on the right."""

    size: int

    def encode(self, value: str) -> bytes:
        """Padded bytes; FrameError if too long or not ASCII."""
        if len(value) > self.size or not value.isascii():
            raise FrameError(f"not {self.size} ASCII characters: {value!r}")
        return value.encode("ascii").ljust(self.size, b"\0")

    def decode(self, raw: bytes) -> str:
        """Text without its padding."""
        return raw.rstrip(b"\0").decode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class ConnectorNumber:
    """枪号: one BCD byte, connector 10 is 0x10."""

    size: int = 1

    def encode(self, value: int) -> bytes:
        """One byte for 0...99."""
        if not 0 <= value <= 99:
            raise FrameError(f"no connector number: {value}")
        return bytes((value // 10 << 4 | value % 10,))

    def decode(self, raw: bytes) -> int:
        """The number; hex nibbles give a number no pile has, not an error."""
        return (raw[0] >> 4) * 10 + (raw[0] & 0x0F)


@dataclass(frozen=True, slots=True)
class Cp56Time:
    """CP56Time2a in China time; millisecond resolution."""

    size: int = 7

    def encode(self, value: datetime) -> bytes:
        """Seven bytes of an aware time, cut to the millisecond; years 2000...2099."""
        local = value.astimezone(CHINA)
        if not 2000 <= local.year <= 2099:
            raise FrameError(f"year outside 2000...2099: {value.isoformat()}")
        millis = local.second * 1000 + local.microsecond // 1000
        return millis.to_bytes(2, "little") + bytes(
            (local.minute, local.hour, local.day, local.month, local.year - 2000)
        )

    def decode(self, raw: bytes) -> datetime | None:
        """Aware China time, or None if the bytes are no valid time (flag and weekday bits are masked)."""
        millis = int.from_bytes(raw[:2], "little")
        minute, hour, day, month, year = raw[2] & 0x3F, raw[3] & 0x1F, raw[4] & 0x1F, raw[5] & 0x0F, raw[6] & 0x7F
        try:
            whole = datetime(2000 + year, month, day, hour, minute, tzinfo=CHINA)
        except ValueError:
            return None
        return whole + timedelta(milliseconds=millis) if millis < 60_000 and not raw[2] & 0x80 else None


@dataclass(frozen=True, slots=True)
class Rest:
    """Everything that is left of the body, as raw bytes: lists of entries, a text with its own length. Only as the last field."""

    size: int = 0

    def encode(self, value: bytes) -> bytes:
        """The bytes themselves."""
        return value

    def decode(self, raw: bytes) -> bytes:
        """The bytes themselves."""
        return raw


def encode_body(layout: Layout, values: Mapping[str, Any]) -> bytes:
    """Body bytes; `values` must name every field of the layout and nothing else."""
    if values.keys() != layout.keys():
        raise FrameError(f"fields differ from the layout: {sorted(values.keys() ^ layout.keys())}")
    return b"".join(coder.encode(values[name]) for name, coder in layout.items())


def decode_body(layout: Layout, body: bytes) -> dict[str, Any]:
    """Values of the published prefix; bytes appended by a vendor are ignored, a short body is a FrameError."""
    if len(body) < sum(coder.size for coder in layout.values()):
        raise FrameError(f"body of {len(body)} bytes is too short")
    values, at = {}, 0
    for name, coder in layout.items():
        values[name] = coder.decode(body[at:] if isinstance(coder, Rest) else body[at : at + coder.size])
        at += coder.size
    return values
