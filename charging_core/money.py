"""Decimals for money and energy: one rounding rule, scaled integers for storage, exact splitting.

Prices carry 5 decimals of a yuan, stored amounts and energy 4, and what anybody is asked to pay 2 (the fen). No binary float
enters: every function refuses one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

AMOUNT_PLACES = 4
ENERGY_PLACES = 4
PRICE_PLACES = 5
FEN = Decimal("0.01")
ZERO = Decimal(0)


def quantize(value: Decimal, places: int) -> Decimal:
    """`value` rounded half-up to `places` decimals."""
    _refuse_float(value)
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def fen(value: Decimal) -> Decimal:
    """Yuan rounded half-up to 0.01 (DECISIONS 12: per detail, once)."""
    # As a function of the type it refuses a float by itself, and a bill of 48 slots rounds 96 times.
    return Decimal.quantize(value, FEN, ROUND_HALF_UP)


def to_scaled(value: Decimal, places: int) -> int:
    """The integer that stores `value` at `places` decimals. Raises `ValueError` if that would lose a digit."""
    _refuse_float(value)
    scaled = value.scaleb(places)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{value} has more than {places} decimals")
    return int(scaled)


def from_scaled(raw: int, places: int) -> Decimal:
    """The decimal behind a stored integer."""
    return Decimal(raw).scaleb(-places)


def spread_largest_remainder(parts: Sequence[Decimal], places: int) -> list[Decimal]:
    """Round each part to `places` so that their sum is the rounded sum of the parts.

    Used where a destination shows fewer decimals than we keep (DECISIONS 12). Floors first, then the units left over go to the
    largest remainders, earlier parts first among equals; no part moves by a whole unit or more.
    """
    unit = Decimal(1).scaleb(-places)
    floors = [(part / unit).to_integral_value(rounding="ROUND_FLOOR") for part in parts]
    total = quantize(sum(parts, ZERO), places) / unit
    missing = int(total - sum(floors, ZERO))
    by_remainder = sorted(range(len(parts)), key=lambda i: (floors[i] - parts[i] / unit, i))
    for index in by_remainder[:missing]:
        floors[index] += 1
    return [quantize(floor * unit, places) for floor in floors]


def _refuse_float(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("money and energy are Decimal, never float")
