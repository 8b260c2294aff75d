"""What a save changed: the words in which `hub apply` shows its diff. Every room's `save_…` function returns these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What happened to an object."""

    CREATE = "create"
    UPDATE = "update"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One member, before and after. A secret is shown as the word `changed` on both sides by whoever makes this."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One object that was created, updated or disabled; `kind` and `key` name it for people."""

    kind: str
    key: str
    action: Action
    fields: tuple[FieldChange, ...] = ()


def set_members(row: object, wanted: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Set the attributes of `row` that differ from `wanted` and return them; touches nothing when all are equal."""
    changed = []
    for name, value in wanted.items():
        present = getattr(row, name)
        if present != value:
            changed.append(FieldChange(name, _shown(present), _shown(value)))
            setattr(row, name, value)
    return tuple(changed)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
