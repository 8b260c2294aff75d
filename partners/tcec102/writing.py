"""Write our bodies with the contract's fixed number of decimals (section 9.3): ``1.20``, never ``1.2`` or ``1.2000000001``.

Nothing is rounded here. A value that does not fit its scale is refused, because rounding money is a decision of billing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from partners.tcec102.aliases import ALIASES
from partners.tcec102.errors import UnwritableBody
from partners.tcec102.jsonio import Rendered, decimal_text
from partners.tcec102.options import NumberStyle, WriteOptions
from partners.tcec102.schemas import Node


class Writer:
    """Applies the scales of one schema to bodies; compiled once, used by any thread."""

    def __init__(self, node: Node) -> None:
        self._plan = _plan(node) if node.has_decimals else None

    def scaled(self, body: Mapping[str, Any], options: WriteOptions) -> Mapping[str, Any]:
        """``body`` with every decimal of the contract as a piece of JSON in its scale; other members untouched.

        :raises UnwritableBody: a float, a boolean or a text where a decimal is due, or digits beyond the scale.
        """
        if self._plan is None:
            return body
        return _scale_object(self._plan, body, options, "")


class _Plan:
    """Members that hold decimals, by every spelling: scalars with their style, objects, lists."""

    __slots__ = ("below", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[str, tuple[str, NumberStyle]] = {}
        self.below: dict[str, _Plan] = {}


def _plan(node: Node) -> _Plan:
    plan = _Plan()
    for name, member in node.members.items():
        inner = member.item if member.kind == "array" and member.item else member
        if not inner.has_decimals:
            continue
        for spelling in (name, *ALIASES.get(name, ())):
            if inner.decimals is None:
                plan.below[spelling] = _plan(inner)
            else:
                plan.numbers[spelling] = (inner.quantity, NumberStyle(inner.decimals))
    return plan


def _scale_object(plan: _Plan, body: Mapping[str, Any], options: WriteOptions, path: str) -> dict[str, Any]:
    result = dict(body)
    for name, value in body.items():
        number = plan.numbers.get(name)
        if number is not None and value is not None:
            style = options.quantities.get(number[0], number[1])
            result[name] = _render(value, style, path + name)
        elif name in plan.below:
            result[name] = _scale_below(plan.below[name], value, options, f"{path}{name}")
    return result


def _scale_below(plan: _Plan, value: Any, options: WriteOptions, path: str) -> Any:
    if isinstance(value, list | tuple) and not isinstance(value, Rendered):
        return [_scale_below(plan, item, options, f"{path}[{i}]") for i, item in enumerate(value)]
    return _scale_object(plan, value, options, f"{path}.") if isinstance(value, Mapping) else value


def _render(value: Any, style: NumberStyle, path: str) -> Rendered:
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise UnwritableBody(path, f"{type(value).__name__} where a decimal is due")
    text = decimal_text(_exactly(value, style.decimals, path))
    return Rendered(f'"{text}"' if style.as_text else text)


def _exactly(value: Decimal, decimals: int, path: str) -> Decimal:
    if not value.is_finite():
        raise UnwritableBody(path, "a decimal that is not finite")
    scaled = value.quantize(Decimal(1).scaleb(-decimals))
    if scaled != value:
        raise UnwritableBody(path, f"{value} has more than {decimals} decimals")
    return scaled
