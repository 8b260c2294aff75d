"""Rounding and splitting keep every digit that they promise to keep."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_core.money import fen, from_scaled, quantize, spread_largest_remainder, to_scaled

amounts = st.decimals(min_value=0, max_value=10_000, places=4, allow_nan=False, allow_infinity=False)


def test_half_a_fen_rounds_up() -> None:
    assert fen(Decimal("1.005")) == Decimal("1.01")
    assert fen(Decimal("1.0049")) == Decimal("1.00")


def test_a_float_is_refused() -> None:
    with pytest.raises(TypeError):
        fen(1.5)  # type: ignore[arg-type]


def test_a_digit_too_many_is_refused_not_dropped() -> None:
    with pytest.raises(ValueError, match="4 decimals"):
        to_scaled(Decimal("1.00001"), 4)


@given(amounts)
def test_scaled_integers_give_the_value_back(value: Decimal) -> None:
    assert from_scaled(to_scaled(value, 4), 4) == value


@given(st.lists(amounts, max_size=20), st.integers(min_value=0, max_value=3))
def test_spread_parts_sum_to_the_rounded_total(parts: list[Decimal], places: int) -> None:
    spread = spread_largest_remainder(parts, places)
    assert sum(spread) == quantize(sum(parts, Decimal(0)), places)
    assert all(abs(a - b) < Decimal(1).scaleb(-places) for a, b in zip(spread, parts, strict=True))
