"""Pure functions that region profiles may name in `convert`: what a field list cannot say by itself."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, get_args

from charging_core.money import ZERO
from municipal.geo import Datum, Point, from_gcj02
from partners.profiles.profile import Converter
from partners.profiles.scope import Scope, look_up
from partners.profiles.values import BadValue, as_decimal


def _coordinate(datum: Datum, axis: Literal["lng", "lat"]) -> Converter:
    def convert(_value: Any, scope: Scope) -> Any:
        lng, lat = look_up(scope, "station.lng"), look_up(scope, "station.lat")
        if lng is None or lat is None:
            raise BadValue("missing", "a coordinate needs its other half")
        point = from_gcj02(Point(as_decimal(lng), as_decimal(lat)), datum)
        return point.lng if axis == "lng" else point.lat

    return convert


def valley_energy(value: Any, scope: Scope) -> Decimal:
    """Energy of the valley and the deep valley together, for platforms that know four bands (尖峰平谷)."""
    deep = look_up(scope, "order.energy_by_class.deep_valley") or ZERO
    return as_decimal(value) + as_decimal(deep)


def _all() -> dict[str, Converter]:
    found: dict[str, Converter] = {"valley_energy": valley_energy}
    for datum in get_args(Datum):
        found[f"{datum}_lng"] = _coordinate(datum, "lng")
        found[f"{datum}_lat"] = _coordinate(datum, "lat")
    return found


CONVERTERS: Mapping[str, Converter] = _all()
"""By name; the coordinates are reached through a field's `geo`."""
