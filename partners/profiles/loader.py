"""Reads profile files and resolves what they say about each other: `extends`, shared `objects`, `$enum` names and patches.

Everything here works on plain data; the result goes through the schema once, at the end. Order: the parent (already resolved), then
the child's own keys over it, then the shared objects are put in, then the patches.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from partners.profiles.errors import InvalidProfile, UnknownProfile
from partners.profiles.patches import apply_patches
from partners.profiles.profile import Converter, Profile
from partners.profiles.schema import ProfileSpec

DATA = "partners.profiles.data"
NOT_INHERITED = frozenset({"id", "version", "display_name", "status", "evidence", "valid_from", "valid_to", "extends"})
MERGED = frozenset(
    {
        "transport",
        "envelope",
        "token",
        "keys",
        "numbers",
        "start",
        "timing",
        "served",
        "reconcile",
        "enums",
        "ids",
        "objects",
    }
)
"""Sections of which a child replaces single keys; `interfaces` merge one level deeper."""

_MAX_DEPTH = 5
_FILES = (".yaml", ".yml")

Raw = dict[str, Any]

_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where it is built in: eight times as fast."""


def load_profile(
    name: str,
    *,
    packages: tuple[str, ...] = (DATA,),
    schema: type[ProfileSpec] = ProfileSpec,
    converters: Mapping[str, Converter] | None = None,
) -> Profile:
    """The profile of that id (a file `<id>.yaml` in one of `packages`) or at that path (`…/x.yaml`).

    Raises `UnknownProfile` or `InvalidProfile`. `schema` and `converters` are what a room above adds to the engine.
    """
    if name.endswith(_FILES):
        return build_profile(_read(name, packages), packages=packages, schema=schema, converters=converters)
    return Profile(_shipped(name, packages, schema), converters or {})


@lru_cache(maxsize=64)
def _shipped(name: str, packages: tuple[str, ...], schema: type[ProfileSpec]) -> ProfileSpec:
    """What is shipped does not change while we run; a file of the operator's may."""
    return _spec(_read(name, packages), packages, schema)


def build_profile(
    raw: Raw,
    *,
    packages: tuple[str, ...] = (DATA,),
    schema: type[ProfileSpec] = ProfileSpec,
    converters: Mapping[str, Converter] | None = None,
) -> Profile:
    """The profile described by `raw`, the content of a file. Raises `InvalidProfile`."""
    return Profile(_spec(raw, packages, schema), converters or {})


def _spec(raw: Raw, packages: tuple[str, ...], schema: type[ProfileSpec]) -> ProfileSpec:
    name = str(raw.get("id", "?"))
    merged, patches = _inherit(raw, packages, depth=0)
    _put_in_objects(name, merged)
    for patch in patches:
        apply_patches(name, merged.get("interfaces", {}), patch)
    try:
        return schema.model_validate(merged)
    except ValidationError as error:
        raise InvalidProfile(name, _in_words(error)) from error


def shipped_profiles(packages: tuple[str, ...] = (DATA,)) -> list[str]:
    """The ids of all profiles in `packages`, sorted."""
    files = (entry.name for package in packages for entry in resources.files(package).iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _read(name: str, packages: tuple[str, ...]) -> Raw:
    for text in _candidates(name, packages):
        try:
            raw = _parsed(text)
        except yaml.YAMLError as error:
            raise InvalidProfile(name, f"not YAML: {error}") from error
        if not isinstance(raw, dict):
            raise InvalidProfile(name, "a profile is a mapping")
        return raw
    raise UnknownProfile(name, "no such profile")


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """The file's content; shared, so whoever changes it copies first. Parsing the textbook takes longer than the rest."""
    return yaml.load(text, _LOADER)  # noqa: S506 - both are safe loaders


def _candidates(name: str, packages: tuple[str, ...]) -> Iterator[str]:
    if name.endswith(_FILES):
        path = Path(name)
        if path.is_file():
            yield path.read_text("utf-8")
        return
    for package in packages:
        entry = resources.files(package) / f"{name}.yaml"
        if entry.is_file():
            yield entry.read_text("utf-8")


def _inherit(raw: Raw, packages: tuple[str, ...], depth: int) -> tuple[Raw, list[Raw]]:
    """The child's keys over its ancestors', and all patches from the oldest to the youngest."""
    if depth > _MAX_DEPTH:
        raise InvalidProfile(str(raw.get("id", "?")), "extends too deep, or itself")
    child = copy.deepcopy(raw)
    own = [child.pop("patches")] if "patches" in child else []
    if child.get("extends") is None:
        return child, own
    parent, patches = _inherit(_read(str(child["extends"]), packages), packages, depth + 1)
    kept = {key: value for key, value in parent.items() if key not in NOT_INHERITED}
    return _merge(kept, child), patches + own


def _merge(parent: Raw, child: Raw) -> Raw:
    merged = dict(parent)
    for key, value in child.items():
        if key in MERGED and isinstance(value, dict) and isinstance(parent.get(key), dict):
            merged[key] = _merge_section(parent[key], value, deeper=key == "enums")
        elif key == "interfaces" and isinstance(value, dict):
            merged[key] = _merge_section(parent.get(key, {}), value, deeper=True)
        else:
            merged[key] = value
    return merged


def _merge_section(parent: Raw, child: Raw, *, deeper: bool) -> Raw:
    merged = dict(parent)
    for key, value in child.items():
        both = isinstance(value, dict) and isinstance(parent.get(key), dict)
        merged[key] = parent[key] | value if deeper and both else value
    return merged


def _put_in_objects(name: str, raw: Raw) -> None:
    """Replace every `$list` among the fields by its fields; `objects` is no key of the finished profile."""
    objects = raw.pop("objects", {})

    def fields_of(value: Any, seen: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [_with_items(field, seen) for field in value]
        if not isinstance(value, str):
            return value
        key = value.removeprefix("$")
        if key not in objects or key in seen:
            raise InvalidProfile(name, f"no object list {value}, or it contains itself")
        return fields_of(copy.deepcopy(objects[key]), (*seen, key))

    def _with_items(field: Any, seen: tuple[str, ...]) -> Any:
        nested = isinstance(field, dict) and "items" in field
        return field | {"items": fields_of(field["items"], seen)} if nested else field

    for interface in raw.get("interfaces", {}).values():
        if isinstance(interface, dict) and "fields" in interface:
            interface["fields"] = fields_of(interface["fields"], ())


def _in_words(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
