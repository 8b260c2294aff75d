"""The shape of a region profile: `partners.profiles.schema` and what regulators want beyond it (`specs/municipal.md` 12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from municipal.geo import Box, Datum
from partners.profiles.schema import WIRE_NAME, Every, InterfaceSpec, ProfileSpec, Strict

SWEEP_S = 60
"""The engine looks at the clock once a minute, so a period is a whole number of minutes."""

EVENTS = {
    "station": "station.changed",
    "connector_status": "connector.status_changed",
    "charge_sample": "order.started",
    "order": "order.settled",
}
"""Canonical object -> the fact that tells of it. `power` is a reading of all stations and has none."""

POWER = "power"
SOURCES = frozenset({*EVENTS, POWER})


def _exact(value: Any) -> Any:
    # YAML reads 118.0 as a binary number; its shortest text is what the file says.
    return Decimal(repr(value)) if isinstance(value, float) else value


Degrees = Annotated[Decimal, BeforeValidator(_exact), Field(ge=-180, le=180)]


class BoxSpec(Strict):
    """A rectangle of longitudes and latitudes."""

    lng: tuple[Degrees, Degrees]
    lat: tuple[Degrees, Degrees]

    @property
    def box(self) -> Box:
        """As the geometry module has it."""
        return Box(self.lng[0], self.lat[0], self.lng[1], self.lat[1])


class RegionSpec(Strict):
    """Where the platform rules: GB/T 2260 prefixes of the area codes of its stations, and the box their coordinates must lie in."""

    name: dict[Literal["zh", "en"], str]
    area_prefixes: list[str] = Field(min_length=1)
    box: BoxSpec | None = None


class ScopeSpec(Strict):
    """What is told at all. `discharge: exclude` leaves out what a vehicle gives back (V2G)."""

    discharge: Literal["include", "exclude"] = "include"


class RegionInterfaceSpec(InterfaceSpec):
    """One push.

    * `wire_name`: as published. Without it every link must name it; `inferred_name` is then a hint for people and never used.
    * `batch: all_stations`: one call for everything in scope, as an array. (`delivery.batch` gathers pushes by count and age instead.)
    * `max_age`: seconds after which a sample is not worth telling.
    * `requires`: another interface that must have been accepted for the same station.
    * A field's `geo` (gcj02, bd09, wgs84) beside `from: ….lng` or `….lat` is the datum that the platform wants.
    """

    wire_name: str | None = Field(default=None, pattern=WIRE_NAME.pattern)
    inferred_name: str | None = Field(default=None, pattern=WIRE_NAME.pattern)
    batch: Literal["one", "all_stations"] = "one"
    max_age: int | None = Field(default=None, ge=1)
    requires: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _geo_is_a_conversion(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("fields"), list):
            return values | {"fields": [_with_conversion(field) for field in values["fields"]]}
        return values

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.direction != "push" or self.source not in SOURCES:
            raise ValueError(
                f"a region profile pushes {', '.join(sorted(SOURCES))}; not {self.direction} {self.source}"
            )
        if (self.batch == "all_stations") != (self.source == POWER):
            raise ValueError("all stations in one call is how power, and nothing else, is told")
        if self.batch == "all_stations" and (isinstance(self.wrapper, str) or self.wrapper.kind != "array"):
            raise ValueError("all stations in one call need an array wrapper")
        for rhythm in self.rhythms:
            if rhythm.align != "clock" or rhythm.seconds % SWEEP_S:
                raise ValueError(f"a rhythm is a multiple of {SWEEP_S} s aligned to the clock")
        return self

    @property
    def rhythms(self) -> tuple[Every, ...]:
        """The periods in which this interface speaks by itself."""
        found = (trigger.every or trigger.first_then_every for trigger in self.trigger)
        return tuple(rhythm for rhythm in found if rhythm is not None)

    @property
    def event(self) -> str | None:
        """The domain event that makes this interface speak; None when only the clock does."""
        if all(trigger.every is not None for trigger in self.trigger):
            return None
        return EVENTS.get(self.source)


class RegionProfileSpec(ProfileSpec):
    """A whole region profile."""

    region: RegionSpec
    scope: ScopeSpec = ScopeSpec()
    interfaces: Mapping[str, RegionInterfaceSpec]

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        wire = Counter(part.wire_name for part in self.interfaces.values() if part.wire_name)
        twice = [name for name, count in wire.items() if count > 1]
        if twice:
            raise ValueError(f"two interfaces have the wire name {', '.join(twice)}")
        for name, part in self.interfaces.items():
            if part.requires is not None and self._source_of(part.requires) != "station":
                raise ValueError(f"{name}.requires: {part.requires} is not a push of station information")
        return self

    def _source_of(self, name: str) -> str | None:
        part = self.interfaces.get(name)
        return part.source if part else None


def _with_conversion(field: Any) -> Any:
    if not isinstance(field, dict):
        return field
    changed = {key: value for key, value in field.items() if key != "geo"}
    if isinstance(field.get("items"), list):
        changed["items"] = [_with_conversion(item) for item in field["items"]]
    if "geo" not in field:
        return changed
    axis = str(field.get("from", "")).rpartition(".")[2]
    if field["geo"] not in get_args(Datum) or axis not in ("lng", "lat"):
        raise ValueError(f"{field.get('to')}: geo is {', '.join(get_args(Datum))} beside from: ….lng or ….lat")
    return changed | {"convert": f"{field['geo']}_{axis}"}
