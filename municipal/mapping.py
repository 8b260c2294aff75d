"""From a canonical document to the body of a push, with everything that is wrong with it (`specs/municipal.md` 13.10)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from municipal.documents import scopes_of
from municipal.geo import Point
from municipal.profiles.schema import POWER
from municipal.regulators import Regulator
from partners.profiles.engine import Problem, Rendered, render, render_many
from partners.profiles.values import as_decimal


def body_of(regulator: Regulator, interface: str, snapshot: Mapping[str, Any], now: datetime) -> Rendered:
    """The body and its problems; `now` fills the members marked push_time. Raises `InvalidProfile` for an unknown interface."""
    source = regulator.profile.interface(interface).source
    scopes = scopes_of(regulator, interface, snapshot)
    if source == POWER:
        return render_many(regulator.profile.engine, interface, scopes, now)
    rendered = render(regulator.profile.engine, interface, scopes[0], now)
    if source != "station":
        return rendered
    return Rendered(rendered.body, (*rendered.problems, *_place_problems(regulator, snapshot)))


def _place_problems(regulator: Regulator, station: Mapping[str, Any]) -> tuple[Problem, ...]:
    """A station outside the platform's region: longitude and latitude swapped, most often (13.1)."""
    spec = regulator.profile.spec.region.box
    if spec is None or station.get("lng") is None or station.get("lat") is None:
        return ()
    point = Point(as_decimal(station["lng"]), as_decimal(station["lat"]))
    if spec.box.holds(point):
        return ()
    region = regulator.profile.spec.region.name.get("zh", "")
    return (Problem("out_of_region", "StationLng", f"({point.lng}, {point.lat}) 不在{region}范围内 lies outside"),)
