"""Patches of a profile on its parent: rename, drop, set and add fields, by wire name.

`patches` maps an interface (or `*` for all) to its changes. A name means that field at any depth (`SevicePrice`), a dotted name only
the one below that list or object (`ChargeDetails.SevicePrice`). A patch that finds nothing is an error: the parent has changed, or
the name is misspelt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from partners.profiles.errors import InvalidProfile

OPERATIONS = ("rename", "drop", "set", "add")

Raw = dict[str, Any]


def apply_patches(profile_id: str, interfaces: Raw, patches: Any) -> None:
    """Change `interfaces` in place. Raises `InvalidProfile` for an unknown interface, operation or field."""
    if not isinstance(patches, dict):
        raise InvalidProfile(profile_id, "patches is a mapping from interface to changes")
    for wanted, changes in patches.items():
        targets: list[Raw] = [part for name, part in interfaces.items() if wanted in ("*", name)]
        if not targets or not isinstance(changes, dict):
            raise InvalidProfile(profile_id, f"patches.{wanted}: no such interface")
        for operation, argument in changes.items():
            if operation not in OPERATIONS:
                raise InvalidProfile(profile_id, f"patches.{wanted}.{operation}: one of {', '.join(OPERATIONS)}")
            _apply(profile_id, [target["fields"] for target in targets], operation, argument)


def _apply(profile_id: str, bodies: list[list[Raw]], operation: str, argument: Any) -> None:
    if operation == "rename":
        for old, new in argument.items():
            _rename(_found(profile_id, bodies, old), bodies, old.rpartition(".")[2], new)
    elif operation == "drop":
        for name in argument:
            for siblings, field in _found(profile_id, bodies, name):
                siblings.remove(field)
    elif operation == "set":
        for name, options in argument.items():
            for siblings, field in _found(profile_id, bodies, name):
                siblings[siblings.index(field)] = {k: v for k, v in (field | options).items() if v is not None}
    else:
        _add(profile_id, bodies, argument)


def _rename(hits: list[tuple[list[Raw], Raw]], bodies: list[list[Raw]], old: str, new: str) -> None:
    for _, field in hits:
        field["to"] = new
    for body in bodies:
        for _, field in _walk(body):
            if "sum_of" in field:
                field["sum_of"] = [_renamed_path(path, old, new) for path in field["sum_of"]]


def _renamed_path(path: str, old: str, new: str) -> str:
    return ".".join(new if part == old else part for part in path.split("."))


def _add(profile_id: str, bodies: list[list[Raw]], fields: Any) -> None:
    for field in fields:
        below = field.get("in")
        added = {key: value for key, value in field.items() if key != "in"}
        if below is None:
            for body in bodies:
                body.append(dict(added))
            continue
        for _, parent in _found(profile_id, bodies, below):
            parent["items"].append(dict(added))


def _found(profile_id: str, bodies: list[list[Raw]], name: str) -> list[tuple[list[Raw], Raw]]:
    hits = [hit for body in bodies for hit in _matching(body, name.split("."))]
    if not hits:
        raise InvalidProfile(profile_id, f"a patch names {name!r}, which is nowhere")
    return hits


def _matching(body: list[Raw], path: list[str]) -> Iterator[tuple[list[Raw], Raw]]:
    hits = [hit for hit in _walk(body) if hit[1].get("to") == path[0]]
    for siblings, field in hits:
        if len(path) == 1:
            yield siblings, field
        else:
            yield from _matching(field.get("items", []), path[1:])


def _walk(body: list[Raw]) -> Iterator[tuple[list[Raw], Raw]]:
    for field in list(body):
        yield body, field
        yield from _walk(field.get("items", []))
