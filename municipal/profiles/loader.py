"""Loads region profiles: those that ship with the hub by id, others by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from municipal.profiles.converters import CONVERTERS
from municipal.profiles.schema import RegionInterfaceSpec, RegionProfileSpec
from partners.profiles.errors import InvalidProfile
from partners.profiles.loader import build_profile, load_profile, shipped_profiles
from partners.profiles.profile import Profile

PACKAGES = ("municipal.profiles",)


@dataclass(frozen=True, slots=True)
class RegionProfile:
    """A loaded profile with its own schema at hand: the engine renders by `engine`, this room decides by `spec`."""

    engine: Profile
    spec: RegionProfileSpec

    @property
    def id(self) -> str:
        """The profile's id."""
        return self.spec.id

    def interface(self, name: str) -> RegionInterfaceSpec:
        """The push of that name. Raises `InvalidProfile` when there is none."""
        try:
            return self.spec.interfaces[name]
        except KeyError as error:
            raise InvalidProfile(self.id, f"no interface {name}") from error

    @property
    def names_to_give(self) -> frozenset[str]:
        """Pushes whose wire name no public text shows: the link must give it."""
        return frozenset(name for name, part in self.spec.interfaces.items() if part.wire_name is None)


def load_region(name: str) -> RegionProfile:
    """The region profile of that id or at that path (`…/x.yaml`). Raises `UnknownProfile` or `InvalidProfile`."""
    return _region(load_profile(name, packages=PACKAGES, schema=RegionProfileSpec, converters=CONVERTERS))


def build_region(raw: Mapping[str, Any]) -> RegionProfile:
    """The region profile that `raw`, the content of a file, describes. Raises `InvalidProfile`."""
    return _region(build_profile(dict(raw), packages=PACKAGES, schema=RegionProfileSpec, converters=CONVERTERS))


def shipped_regions() -> list[str]:
    """The ids of the region profiles that ship with the hub."""
    return shipped_profiles(PACKAGES)


cached_region = lru_cache(maxsize=64)(load_region)
"""`load_region`, remembered: profiles are files of the program and change with it, not while it runs."""


def _region(engine: Profile) -> RegionProfile:
    if not isinstance(engine.spec, RegionProfileSpec):
        raise InvalidProfile(engine.id, "not a region profile")
    return RegionProfile(engine, engine.spec)
