"""The words in which a frame's table is written: fields of eight kinds, with scale, offset, unit, names and enumerations.

A table is data; `layout.py` compiles it. Offsets are never written down: a field begins where the one before it ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Names = Mapping[int, tuple[str, str]]
"""Meaning of the values of an enumeration: raw value -> (Chinese, English)."""


class Kind(StrEnum):
    """How the bytes of a field are read (specs/ykc.md 2)."""

    NUMBER = "BIN"
    """Unsigned, little-endian; int, or Decimal when the field has decimal places."""
    BCD = "BCD"
    """Hexadecimal digits in reading order, as text: real identifiers carry the nibbles A–F too."""
    RAW = "RAW"
    """Bytes whose inner order is not settled (card numbers, reserved bytes), as hexadecimal text."""
    TEXT = "ASCII"
    """Text without its zero padding; read as Latin-1, so that no byte is refused or lost."""
    REVERSED_TEXT = "ASCII reversed"
    """Text sent last character first (VIN in 0x31 and 0xA1 only)."""
    TIME = "CP56Time2a"
    """Aware China time; None when the sender's bytes are not a valid time."""
    OCTETS = "BIN list"
    """One small number per byte, as a tuple."""


@dataclass(frozen=True, slots=True)
class Bits:
    """A group of bits inside a number: first bit (0 = lowest), how many, and what they say."""

    name: str
    first: int
    width: int
    zh: str
    en: str
    places: int = 0
    names: Names | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a frame: wire form and meaning. Value = raw × 10^-places + offset, in `unit`."""

    name: str
    kind: Kind
    length: int
    zh: str
    en: str
    unit: str = ""
    places: int = 0
    offset: int = 0
    names: Names | None = None
    bits: tuple[Bits, ...] = ()
    default: str | None = None


def number(
    name: str,
    length: int,
    zh: str,
    en: str,
    unit: str = "",
    places: int = 0,
    offset: int = 0,
    names: Names | None = None,
) -> Field:
    """An unsigned little-endian number."""
    return Field(name, Kind.NUMBER, length, zh, en, unit, places, offset, names)


def flags(name: str, length: int, zh: str, en: str, bits: tuple[Bits, ...]) -> Field:
    """A number whose bits have meanings of their own; decoded as the raw integer."""
    return Field(name, Kind.NUMBER, length, zh, en, bits=bits)


def bcd(name: str, length: int, zh: str, en: str, names: Names | None = None) -> Field:
    """Hexadecimal digits in reading order."""
    return Field(name, Kind.BCD, length, zh, en, names=names)


def raw(name: str, length: int, zh: str, en: str) -> Field:
    """Bytes kept as hexadecimal text."""
    return Field(name, Kind.RAW, length, zh, en)


def reserved(length: int) -> Field:
    """Bytes without meaning; zero when we send."""
    return Field("reserved", Kind.RAW, length, "保留", "reserved", default="00" * length)


def text(name: str, length: int, zh: str, en: str) -> Field:
    """Zero-padded text."""
    return Field(name, Kind.TEXT, length, zh, en)


def reversed_text(name: str, length: int, zh: str, en: str) -> Field:
    """Text sent last character first."""
    return Field(name, Kind.REVERSED_TEXT, length, zh, en)


def moment(name: str, zh: str, en: str) -> Field:
    """A CP56Time2a time."""
    return Field(name, Kind.TIME, 7, zh, en)


def octets(name: str, length: int, zh: str, en: str, names: Names | None = None) -> Field:
    """One small number per byte."""
    return Field(name, Kind.OCTETS, length, zh, en, names=names)


def pairs(*meanings: tuple[str, str, str], names: Names) -> tuple[Bits, ...]:
    """Two-bit groups from the lowest bits up, as GB/T 27930 packs them; an empty name skips its two bits."""
    return tuple(Bits(name, 2 * place, 2, zh, en, names=names) for place, (name, zh, en) in enumerate(meanings) if name)


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows the fixed fields a varying number of times: entries of `fields`, or plain text when there are none.

    `count_field` names the fixed field that counts them (entries or characters); without it they run to the end of the body.
    """

    name: str
    zh: str
    en: str
    fields: tuple[Field, ...] = ()
    count_field: str | None = None


@dataclass(frozen=True, slots=True)
class FrameTable:
    """One frame type: odd types are sent by the pile, even ones by the platform (specs/ykc.md 1).

    `answer` is the type that answers it, None when nothing may (P13).
    """

    type: int
    zh: str
    en: str
    fields: tuple[Field, ...]
    tail: Tail | None = None
    answer: int | None = None

    @property
    def from_pile(self) -> bool:
        """Whether the pile sends it."""
        return self.type % 2 == 1
