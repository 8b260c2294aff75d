"""Coordinates between the three datums of Chinese maps (`specs/municipal.md` 13.1).

WGS-84 is what a receiver measures, GCJ-02 what maps in China must show (and what the core stores), BD-09 what Baidu makes of it.
Degrees are decimals with six places (0.1 m). The published transformations are polynomials with sines; they are computed in binary
floating point and rounded, which is exact far below the sixth place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from charging_core.money import quantize

Datum = Literal["gcj02", "bd09", "wgs84"]
PLACES = 6

_AXIS_M = 6_378_245.0
"""Semi-major axis of the Krasovsky ellipsoid, on which GCJ-02 is defined."""
_ECCENTRICITY_SQUARED = 0.006_693_421_622_965_943_23
_BD_TURN = math.pi * 3000.0 / 180.0
_TRIES = 12
"""The inverse of GCJ-02 is found by iteration; each step gains about three digits, so four would do."""
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """A place in degrees: longitude (east) and latitude (north)."""

    lng: Decimal
    lat: Decimal


@dataclass(frozen=True, slots=True)
class Box:
    """The smallest rectangle around a region, in degrees; finds swapped or foreign coordinates."""

    west: Decimal
    south: Decimal
    east: Decimal
    north: Decimal

    def holds(self, point: Point) -> bool:
        """Whether `point` lies inside or on the border."""
        return self.west <= point.lng <= self.east and self.south <= point.lat <= self.north


def wgs84_to_gcj02(point: Point) -> Point:
    """A measured place as maps show it."""
    return _rounded(_shifted, point)


def gcj02_to_wgs84(point: Point) -> Point:
    """The inverse, within a centimetre."""
    return _rounded(_unshifted, point)


def gcj02_to_bd09(point: Point) -> Point:
    """A map place in Baidu's datum."""
    return _rounded(_to_baidu, point)


def bd09_to_gcj02(point: Point) -> Point:
    """The inverse, within a few decimetres, as Baidu's own formula has it."""
    return _rounded(_from_baidu, point)


def wgs84_to_bd09(point: Point) -> Point:
    """A measured place in Baidu's datum, rounded once."""
    return _rounded(lambda lng, lat: _to_baidu(*_shifted(lng, lat)), point)


def from_gcj02(point: Point, datum: Datum) -> Point:
    """A stored place in the datum that a platform wants."""
    if datum == "bd09":
        return gcj02_to_bd09(point)
    if datum == "wgs84":
        return gcj02_to_wgs84(point)
    return point


def _rounded(convert: Callable[[float, float], tuple[float, float]], point: Point) -> Point:
    lng, lat = convert(float(point.lng), float(point.lat))
    return Point(_degrees(lng), _degrees(lat))


def _degrees(value: float) -> Decimal:
    return quantize(Decimal(repr(value)), PLACES)


def _shifted(lng: float, lat: float) -> tuple[float, float]:
    east, north = _offset(lng, lat)
    return lng + east, lat + north


def _unshifted(lng: float, lat: float) -> tuple[float, float]:
    guess_lng, guess_lat = lng, lat
    for _ in range(_TRIES):
        there_lng, there_lat = _shifted(guess_lng, guess_lat)
        miss_lng, miss_lat = lng - there_lng, lat - there_lat
        guess_lng, guess_lat = guess_lng + miss_lng, guess_lat + miss_lat
        if abs(miss_lng) < _NEAR and abs(miss_lat) < _NEAR:
            break
    return guess_lng, guess_lat


def _offset(lng: float, lat: float) -> tuple[float, float]:
    """How far GCJ-02 lies from WGS-84 at a place, in degrees; the polynomials are centred on 105 E, 35 N."""
    x, y = lng - 105.0, lat - 35.0
    root = math.sqrt(abs(x))
    east_m = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + _waves(x, x, 150.0, 300.0)
    north_m = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + _waves(x, y, 160.0, 320.0)
    radians = math.radians(lat)
    curve = 1 - _ECCENTRICITY_SQUARED * math.sin(radians) ** 2
    meridian_m = _AXIS_M * (1 - _ECCENTRICITY_SQUARED) / (curve * math.sqrt(curve))
    parallel_m = _AXIS_M / math.sqrt(curve) * math.cos(radians)
    return math.degrees(east_m / parallel_m), math.degrees(north_m / meridian_m)


def _waves(x: float, along: float, swell_m: float, tide_m: float) -> float:
    """The sines: a ripple by longitude for both axes, then ever longer waves along the axis itself."""
    ripple = 20.0 * math.sin(6.0 * x * math.pi) + 20.0 * math.sin(2.0 * x * math.pi)
    wave = 20.0 * math.sin(along * math.pi) + 40.0 * math.sin(along / 3.0 * math.pi)
    swell = swell_m * math.sin(along / 12.0 * math.pi) + tide_m * math.sin(along / 30.0 * math.pi)
    return (ripple + wave + swell) * 2.0 / 3.0


def _to_baidu(lng: float, lat: float) -> tuple[float, float]:
    length = math.hypot(lng, lat) + 0.000_02 * math.sin(lat * _BD_TURN)
    angle = math.atan2(lat, lng) + 0.000_003 * math.cos(lng * _BD_TURN)
    return length * math.cos(angle) + 0.0065, length * math.sin(angle) + 0.006


def _from_baidu(lng: float, lat: float) -> tuple[float, float]:
    x, y = lng - 0.0065, lat - 0.006
    length = math.hypot(x, y) - 0.000_02 * math.sin(y * _BD_TURN)
    angle = math.atan2(y, x) - 0.000_003 * math.cos(x * _BD_TURN)
    return length * math.cos(angle), length * math.sin(angle)
