"""What the contract's tree says about bodies: digits beyond a scale, required members, values of a wrong kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from partners.tcec102.schemas import Node

_WRONG_KIND: Mapping[str, Any] = {"string": {}, "integer": "x", "number": "x", "object": "x", "array": 7}
"""For each kind a value that nobody can take for one of it, however tolerant."""


def beyond_scale(node: Node, value: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Paths of numbers with more decimals than their scale, and the scale."""
    if node.kind == "object" and isinstance(value, dict):
        for name, member in node.members.items():
            if name in value:
                yield from beyond_scale(member, value[name], f"{path}.{name}" if path else name)
    elif node.kind == "array" and node.item is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from beyond_scale(node.item, item, f"{path}[{index}]")
    elif node.decimals is not None and isinstance(value, Decimal) and _decimals(value) > node.decimals:
        yield path, node.decimals


def lacking_bodies(node: Node, body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each member that must be there: its path and `body` without it. Also inside the first item of lists."""
    for name in sorted(node.required - node.optional):
        yield name, {other: value for other, value in body.items() if other != name}
    yield from _inside(node, body, lacking_bodies)


def wrong_kind_bodies(node: Node, body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each member that must be there: its path and `body` with a value of a wrong kind in it."""
    for name in sorted(node.required - node.optional):
        yield name, {**body, name: _WRONG_KIND[node.members[name].kind]}
    yield from _inside(node, body, wrong_kind_bodies)


def _inside(node: Node, body: Mapping[str, Any], spoilt: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, member in node.members.items():
        value = body.get(name)
        if member.kind == "object" and isinstance(value, dict):
            for path, inner in spoilt(member, value):
                yield f"{name}.{path}", {**body, name: inner}
        elif member.item is not None and member.item.kind == "object" and isinstance(value, list) and value:
            for path, inner in spoilt(member.item, value[0]):
                yield f"{name}[0].{path}", {**body, name: [inner, *value[1:]]}


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
