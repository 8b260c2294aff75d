"""The body schemas of the contract as small trees, and as JSON Schema in a strict and a tolerant form.

``Node`` is what ``reading`` (forgive) and ``writing`` (fixed scale) walk; the validators get plain JSON Schema.
Only the keywords that ``openapi/tcec102.yaml`` uses are understood; anything else in a schema is a configuration error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from partners.tcec102.aliases import ALIASES
from partners.tcec102.errors import ConfigurationError

_REF = "#/components/schemas/"
_VALIDATED = frozenset(
    {"type", "properties", "required", "items", "enum", "minLength", "maxLength", "minimum", "maximum", "minItems"}
    | {"maxItems", "pattern"}
)
_ANNOTATIONS = frozenset({"description", "examples", "default", "$ref"})
_EXTENSIONS = frozenset({"x-decimals", "x-quantity", "x-tcec-codes", "x-tcec-tolerant"})


@dataclass(slots=True)
class Node:
    """One schema with its references resolved.

    ``decimals`` and ``quantity`` belong to numbers; ``members`` to objects; ``item`` to arrays. ``optional`` names the
    required members that may be missing when we read; ``aliases`` pairs other spellings with the members of this object.
    """

    kind: str
    decimals: int | None = None
    quantity: str = ""
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    members: dict[str, Node] = field(default_factory=dict)
    item: Node | None = None
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def has_decimals(self) -> bool:
        """Is there a number of fixed scale in here or below?"""
        below = [*self.members.values(), *([self.item] if self.item else [])]
        return self.decimals is not None or any(node.has_decimals for node in below)


def build_node(schemas: Mapping[str, Any], name: str) -> Node:
    """The tree of the component schema ``name``.

    :raises ConfigurationError: an unknown reference, keyword or type, or a schema that contains itself.
    """
    return _node(schemas, {"$ref": _REF + name}, ())


def json_schema(schemas: Mapping[str, Any], name: str, *, tolerant: bool) -> dict[str, Any]:
    """Plain JSON Schema (2020-12) of one component, references inlined.

    :param tolerant: replace keywords by ``x-tcec-tolerant`` and drop the enumerations: unknown codes of a partner are kept
        raw, never refused (section 9.5).
    """
    return _plain(schemas, {"$ref": _REF + name}, tolerant)


def resolve(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its reference replaced; keywords beside ``$ref`` win.

    :raises ConfigurationError: the reference names nothing.
    """
    reference = schema.get("$ref")
    if reference is None:
        return dict(schema)
    target = schemas.get(str(reference).removeprefix(_REF))
    if target is None:
        raise ConfigurationError(f"the contract has no schema {reference!r}")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolve(schemas, target), **beside}


def _node(schemas: Mapping[str, Any], schema: Mapping[str, Any], above: tuple[str, ...]) -> Node:
    reference = str(schema.get("$ref", ""))
    if reference and reference in above:
        raise ConfigurationError(f"schema {reference!r} contains itself")
    above = (*above, reference) if reference else above
    merged = resolve(schemas, schema)
    _check_keywords(merged)
    members = merged.get("properties", {})
    required = frozenset(merged.get("required", ()))
    return Node(
        kind=merged["type"],
        decimals=merged.get("x-decimals"),
        quantity=merged.get("x-quantity", ""),
        required=required,
        optional=_optional(schemas, members) & required,
        members={name: _node(schemas, member, above) for name, member in members.items()},
        item=_node(schemas, merged["items"], above) if "items" in merged else None,
        aliases=tuple((other, name) for name in members for other in ALIASES.get(name, ())),
    )


def _optional(schemas: Mapping[str, Any], members: Mapping[str, Any]) -> frozenset[str]:
    resolved = {name: resolve(schemas, member) for name, member in members.items()}
    return frozenset(name for name, member in resolved.items() if member.get("x-tcec-tolerant", {}).get("optional"))


def _plain(schemas: Mapping[str, Any], schema: Mapping[str, Any], tolerant: bool) -> dict[str, Any]:
    merged = resolve(schemas, schema)
    plain = {key: value for key, value in merged.items() if key in _VALIDATED}
    if tolerant:
        _relax(schemas, plain, merged)
    members = plain.get("properties", {})
    if members:
        plain["properties"] = {name: _plain(schemas, member, tolerant) for name, member in members.items()}
    if "items" in plain:
        plain["items"] = _plain(schemas, plain["items"], tolerant)
    return plain


def _relax(schemas: Mapping[str, Any], plain: dict[str, Any], merged: Mapping[str, Any]) -> None:
    plain.pop("enum", None)
    for key, value in merged.get("x-tcec-tolerant", {}).items():
        if value is None:
            plain.pop(key, None)
        elif key in _VALIDATED:
            plain[key] = value
    if "required" in plain:
        forgiven = _optional(schemas, merged.get("properties", {}))
        plain["required"] = [name for name in plain["required"] if name not in forgiven]


def _check_keywords(schema: Mapping[str, Any]) -> None:
    unknown = set(schema) - _VALIDATED - _ANNOTATIONS - _EXTENSIONS
    if unknown:
        raise ConfigurationError(f"unknown schema keywords {sorted(unknown)}")
    if schema.get("type") not in {"object", "array", "string", "integer", "number"}:
        raise ConfigurationError(f"unknown schema type {schema.get('type')!r}")
