"""Forgive what the standard tells receivers to forgive, before a body is validated (section 9.1; traps of section 15).

The walk follows the contract's schema, so nothing is converted by guess: a text becomes a number only where a number is due.
It returns new objects; unknown members are kept as they came.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from partners.tcec102.aliases import ALIASES
from partners.tcec102.errors import InvalidBody
from partners.tcec102.options import BodyOptions
from partners.tcec102.schemas import Node

_INTEGER = re.compile(r"-?[0-9]{1,18}(?:\.0{1,6})?")
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,19})?")
_INT64 = range(-(2**63), 2**63)
_BLANK: tuple[Any, ...] = (None, "")


def read(node: Node, value: Any, options: BodyOptions, path: str = "") -> Any:
    """``value`` in the standard's form as far as the options allow; what does not fit is left for the validator.

    Numbers of ``number`` members become ``Decimal``.

    :raises InvalidBody: (4004) two different values under two spellings of one member, or a number beyond every quantity.
    """
    return _READERS[node.kind](node, value, options, path)


def _object(node: Node, value: Any, options: BodyOptions, path: str) -> Any:
    if options.wrap_single and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return value
    if options.strip_names or options.any_name_case:
        value = _standard_names(node, value, options, path)
    result = dict(value)
    if options.aliases:
        _take_aliases(node, result, options, path)
    for name, member in node.members.items():
        if name in result:
            _read_member(node, result, name, member, options, path)
    return result


def _read_member(node: Node, result: dict[str, Any], name: str, member: Node, options: BodyOptions, path: str) -> None:
    value = result[name]
    may_miss = name not in node.required or name in node.optional
    if options.blank_is_missing and may_miss and value in _BLANK:
        del result[name]
        return
    result[name] = _READERS[member.kind](member, value, options, f"{path}.{name}" if path else name)


def _array(node: Node, value: Any, options: BodyOptions, path: str) -> Any:
    if node.item is None:
        return value
    if options.wrap_single and isinstance(value, dict | str) and value:
        value = [value]
    if not isinstance(value, list):
        return value
    item_node, reader = node.item, _READERS[node.item.kind]
    if reader is _string:
        return [item if type(item) is str else _string(item_node, item, options, path) for item in value]
    return [reader(item_node, item, options, f"{path}[{i}]") for i, item in enumerate(value)]


def _string(_node: Node, value: Any, options: BodyOptions, _path: str) -> Any:
    if options.number_ids and type(value) is int:
        return str(value)
    return value


def _integer(_node: Node, value: Any, options: BodyOptions, path: str) -> Any:
    if options.text_numbers and isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if type(value) is int and value not in _INT64:
        raise InvalidBody("number out of range", field=path)
    return value


def _number(_node: Node, value: Any, options: BodyOptions, path: str) -> Any:
    if options.text_numbers and isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    if type(value) is not int:
        return value
    if value not in _INT64:
        raise InvalidBody("number out of range", field=path)
    return Decimal(value)


def _take_aliases(node: Node, result: dict[str, Any], options: BodyOptions, path: str) -> None:
    for other, name in node.aliases:
        if other in result:
            _take_alias(result, other, name, path)
    for name, others in options.extra_aliases.items():
        for other in others:
            if other in result and name in node.members:
                _take_alias(result, other, name, path)


def _take_alias(result: dict[str, Any], other: str, name: str, path: str) -> None:
    """Move the value of an alias to the standard name; two different values are refused (engine rule 3)."""
    value = result.pop(other)
    present = result.setdefault(name, value)
    if present in _BLANK:
        result[name] = value
    elif value not in _BLANK and str(present) != str(value):
        raise InvalidBody(f"{other} says something else", field=f"{path}.{name}" if path else name)


def _standard_names(node: Node, value: dict[str, Any], options: BodyOptions, path: str) -> dict[str, Any]:
    """Names without white space around them and, if allowed, in the case of the contract (aliases included)."""
    known = {name.lower(): name for member in node.members for name in (*ALIASES.get(member, ()), member)}
    result: dict[str, Any] = {}
    for raw, item in value.items():
        name = raw.strip() if options.strip_names else raw
        if options.any_name_case:
            name = known.get(name.lower(), name)
        if name in result and result[name] != item:
            raise InvalidBody("two values", field=f"{path}.{name}" if path else name)
        result[name] = item
    return result


_READERS = {"object": _object, "array": _array, "string": _string, "integer": _integer, "number": _number}
