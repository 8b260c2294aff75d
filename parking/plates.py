"""Number plates: one normal form, comparison, masking. Pure (`specs/parking.md` 7.2).

The raw text is always kept beside the normal form. New-energy plates have eight characters; nothing here ever cuts to seven.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_NO_PLATE = frozenset({"", "UNKNOWN", "无车牌"})
_FUEL_LENGTH = 7
_NEW_ENERGY_LENGTH = 8
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# Separators that people and systems put between province, letter and number, in all widths seen on keyboards.
_DROPPED = dict.fromkeys(map(ord, " \t\r\n\u3000\u00a0-\u2010\u2011\u2012\u2013\u2014\u2212·\u2022\u2027\u30fb\uff65."))


class Likeness(StrEnum):
    """How alike two plates are. Only `EXACT` may ever grant by itself; the others are suggestions for a person."""

    EXACT = "exact"
    EXCEPT_PROVINCE = "except_province"
    NEAR = "near"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate in normal form. `raw` is what was read or typed."""

    text: str
    raw: str

    @property
    def usable(self) -> bool:
        """Whether it has the length of a plate: 7 (fuel) or 8 characters (new energy)."""
        return len(self.text) in (_FUEL_LENGTH, _NEW_ENERGY_LENGTH)

    @property
    def new_energy(self) -> bool:
        """Whether it is an eight-character plate of a new-energy car."""
        return len(self.text) == _NEW_ENERGY_LENGTH

    def __repr__(self) -> str:
        return f"Plate({mask_plate(self.text)})"


def normalise(raw: str | None) -> Plate | None:
    """The plate behind `raw`, or None for the markers of "no plate" (empty, `unknown`, `无车牌`).

    Trims, half-width, upper case, without blanks, hyphens and dots. A text of an odd length is kept (`usable` is False), so that
    a person can see what the camera read.
    """
    if raw is None:
        return None
    text = raw.translate(_FULL_WIDTH).translate(_DROPPED).upper()
    return None if text in _NO_PLATE else Plate(text=text, raw=raw)


def compare(one: Plate, other: Plate) -> Likeness:
    """How alike two normal forms are; symmetric."""
    if one.text == other.text:
        return Likeness.EXACT
    if len(one.text) > 1 and one.text[1:] == other.text[1:]:
        return Likeness.EXCEPT_PROVINCE
    return Likeness.NEAR if _one_edit_apart(one.text, other.text) else Likeness.DIFFERENT


def mask_plate(text: str | None) -> str:
    """The plate for logs and exports: first two and last two characters (`浙A****45`)."""
    if not text:
        return ""
    if len(text) <= 4:
        return "*" * len(text)
    return text[:2] + "*" * (len(text) - 4) + text[-2:]


def _one_edit_apart(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    split = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) == len(long):
        return short[split + 1 :] == long[split + 1 :]
    return short[split:] == long[split + 1 :]
