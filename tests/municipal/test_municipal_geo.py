"""Coordinates: the check values of the digest, and back again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from municipal.geo import (
    Box,
    Point,
    bd09_to_gcj02,
    from_gcj02,
    gcj02_to_bd09,
    gcj02_to_wgs84,
    wgs84_to_bd09,
    wgs84_to_gcj02,
)

CM = Decimal("0.000001")


def point(text: str) -> Point:
    lng, lat = text.split(", ")
    return Point(Decimal(lng), Decimal(lat))


@pytest.mark.parametrize(
    ("wgs84", "gcj02", "bd09"),
    [
        ("116.404, 39.915", "116.410244, 39.916404", None),
        ("120.153576, 30.287459", "120.158276, 30.285134", "120.164828, 30.290986"),
        ("114.057868, 22.543099", "114.062982, 22.540382", "114.069532, 22.546040"),
        ("116.397428, 39.909230", "116.403672, 39.910634", "116.410044, 39.916973"),
    ],
)
def test_the_digests_check_values(wgs84: str, gcj02: str, bd09: str | None) -> None:
    assert wgs84_to_gcj02(point(wgs84)) == point(gcj02)
    if bd09 is not None:
        assert wgs84_to_bd09(point(wgs84)) == point(bd09)


def test_baidus_own_check_value() -> None:
    assert gcj02_to_bd09(point("116.404, 39.915")) == point("116.410369, 39.921337")


china = st.builds(
    Point,
    st.decimals("73.6", "135", places=6),
    st.decimals("18.2", "53.5", places=6),
)


@given(china)
@settings(max_examples=60)
def test_there_and_back_again(place: Point) -> None:
    back = gcj02_to_wgs84(wgs84_to_gcj02(place))
    assert abs(back.lng - place.lng) <= 2 * CM
    assert abs(back.lat - place.lat) <= 2 * CM
    baidu = bd09_to_gcj02(gcj02_to_bd09(place))
    assert abs(baidu.lng - place.lng) <= 10 * CM
    assert abs(baidu.lat - place.lat) <= 10 * CM


def test_a_place_is_told_in_the_datum_that_is_wanted() -> None:
    stored = point("120.158276, 30.285134")
    assert from_gcj02(stored, "gcj02") == stored
    assert from_gcj02(stored, "bd09") == point("120.164828, 30.290986")
    assert from_gcj02(stored, "wgs84") == point("120.153576, 30.287459")


def test_a_box_finds_swapped_coordinates() -> None:
    zhejiang = Box(Decimal(118), Decimal(27), Decimal("123.6"), Decimal("31.3"))
    assert zhejiang.holds(point("120.158276, 30.285134"))
    assert not zhejiang.holds(point("30.285134, 120.158276"))
