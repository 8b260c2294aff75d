"""Safe expressions of profiles: `Ret==0 and Data.OrderNo==OrderNo`, `concat(pile.code, pad(connector.number, 2))`.

The syntax is Python's, read by `ast` and walked by a whitelist: literals, names, members of mappings, items of lists, comparisons,
and/or/not, and the functions of `FUNCTIONS`. Nothing reaches a Python attribute, nothing loops, and texts are bounded.

A missing name or member is null. A number equals a text of the same number, because some platforms send `Ret` as text
(`specs/municipal.md` 2.2).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from worker.errors import ExpressionError

MAX_TEXT = 500
"""Longest expression: four times the longest one of the known profiles."""

MAX_NODES = 120
"""Most syntax nodes of one expression; bounds the time of one evaluation together with MAX_RESULT."""

MAX_RESULT = 2_000
"""Longest text an expression may build; the longest wire field of any profile has 1 000 characters."""

WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}

Function = Callable[..., Any]
Scope = Mapping[str, Any]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int | Decimal):
        return str(value)
    raise TypeError(f"a text or number is needed, not {type(value).__name__}")


def _count(value: Any) -> int:
    number = int(_text(value))
    if not 0 <= number <= MAX_RESULT:
        raise ValueError(f"a length is 0 to {MAX_RESULT}")
    return number


def _concat(*parts: Any) -> str:
    return "".join(map(_text, parts))


def _last(value: Any, length: Any) -> str:
    text, count = _text(value), _count(length)
    return text[max(len(text) - count, 0) :]


def _first(value: Any, length: Any) -> str:
    return _text(value)[: _count(length)]


def _pad(value: Any, length: Any, char: Any = "0", side: Any = "left") -> str:
    text, count, filler = _text(value), _count(length), _text(char)
    if len(filler) != 1 or side not in ("left", "right"):
        raise ValueError("pad(value, length, one character, 'left' or 'right')")
    return text.rjust(count, filler) if side == "left" else text.ljust(count, filler)


def _prefix(value: Any, before: Any) -> str:
    return _text(before) + _text(value)


def _first_nonempty(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)


FUNCTIONS: Mapping[str, Function] = {
    "concat": _concat,
    "last": _last,
    "first": _first,
    "pad": _pad,
    "prefix": _prefix,
    "const": lambda value: value,
    "first_nonempty": _first_nonempty,
    "text": _text,
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "length": lambda value: len(value) if isinstance(value, list | tuple) else len(_text(value)),
}
"""What every expression may call. `owner_or` looks at the scope and is handled beside them."""

OWNER = "owner_id"
"""The scope's name that `owner_or(default)` reads: the owner of a private pile (`specs/municipal.md` 12.3)."""


@dataclass(frozen=True)
class Expression:
    """A checked expression; make it with `compile_expression`."""

    text: str
    tree: ast.expr = field(repr=False, compare=False)
    names: frozenset[str] = field(compare=False)

    def evaluate(self, scope: Scope, functions: Mapping[str, Function] | None = None) -> Any:
        """The value in `scope`; `functions` implements the extra ones. Raises `ExpressionError` when a function fails."""
        return _Evaluation(self.text, scope, {**FUNCTIONS, **(functions or {})}).value(self.tree)

    def holds(self, scope: Scope) -> bool:
        """The value as yes or no. Raises `ExpressionError`."""
        return bool(self.evaluate(scope))


def compile_expression(text: str, extra_functions: frozenset[str] = frozenset()) -> Expression:
    """Read and check `text`; `extra_functions` names what the caller will supply. Raises `ExpressionError` with the position."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"an expression has at most {MAX_TEXT} characters", text[:40] + "…", MAX_TEXT)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        offset = getattr(error, "offset", None) or 1
        raise ExpressionError("not an expression", text, offset - 1) from error
    check = _Check(text.strip(), frozenset(FUNCTIONS) | {"owner_or"} | extra_functions)
    check.visit(tree)
    return Expression(text.strip(), tree, frozenset(check.names))


class _Check:
    """Refuses every node that is not on the list, before anything is evaluated."""

    def __init__(self, text: str, functions: frozenset[str]) -> None:
        self._text = text
        self._functions = functions
        self._nodes = 0
        self.names: set[str] = set()

    def visit(self, node: ast.expr) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ExpressionError("the expression is too large", self._text, node.col_offset)
        for child in self._children(node):
            self.visit(child)

    def _children(self, node: ast.expr) -> Sequence[ast.expr]:
        match node:
            case ast.Constant(value=value) if isinstance(value, str | int | float | None):
                return ()
            case ast.Name(id=name):
                self.names.add(name)
                return ()
            case ast.Attribute(value=inner, attr=name) if not name.startswith("_"):
                return (inner,)
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)) if isinstance(key, int | str):
                return (inner,)
            case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
                return values
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                return (operand,)
            case ast.Compare(left=left, comparators=others, ops=ops) if all(type(op) in _COMPARISONS for op in ops):
                return [left, *others]
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, node)
        raise ExpressionError(f"{type(node).__name__} is not allowed here", self._text, node.col_offset)

    def _call(self, name: str, arguments: Sequence[ast.expr], node: ast.expr) -> Sequence[ast.expr]:
        if name not in self._functions:
            raise ExpressionError(f"there is no function {name}", self._text, node.col_offset)
        return arguments


class _Evaluation:
    """One evaluation of a checked tree."""

    def __init__(self, text: str, scope: Scope, functions: Mapping[str, Function]) -> None:
        self._text = text
        self._scope = scope
        self._functions = functions

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return Decimal(str(value)) if isinstance(value, float) else value
            case ast.Name(id=name):
                return self._scope[name] if name in self._scope else WORDS.get(name)
            case ast.Attribute(value=inner, attr=name):
                return _member(self.value(inner), name)
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)) if isinstance(key, int | str):
                return _member(self.value(inner), key)
            case ast.List(elts=values) | ast.Tuple(elts=values):
                return [self.value(one) for one in values]
            case _:
                return self._operation(node)

    def _operation(self, node: ast.expr) -> Any:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self.value(one) for one in values)
            case ast.BoolOp(values=values):
                return any(self.value(one) for one in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.UnaryOp(operand=operand):
                return self._negative(operand)
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments, node)
        raise ExpressionError("not allowed here", self._text, node.col_offset)

    def _negative(self, operand: ast.expr) -> Decimal | int:
        number = self.value(operand)
        if isinstance(number, int | Decimal):
            return -number
        raise ExpressionError("a minus needs a number", self._text, operand.col_offset)

    def _comparison(self, node: ast.Compare) -> bool:
        values = [self.value(one) for one in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(_COMPARISONS[type(op)](left, right) for op, left, right in pairs)

    def _call(self, name: str, arguments: Sequence[ast.expr], node: ast.expr) -> Any:
        values = [self.value(one) for one in arguments]
        if name == "owner_or" and name not in self._functions:
            return _first_nonempty(self._scope.get(OWNER), *values)
        try:
            result = self._functions[name](*values)
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            raise ExpressionError(f"{name}: {error}", self._text, node.col_offset) from error
        if isinstance(result, str) and len(result) > MAX_RESULT:
            raise ExpressionError(
                f"{name} makes a text of more than {MAX_RESULT} characters", self._text, node.col_offset
            )
        return result


def _member(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    return None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    numbers = _number(left), _number(right)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return bool(left == right)


def _ordered(left: Any, right: Any, sign: int) -> bool:
    numbers = _number(left), _number(right)
    if numbers[0] is None or numbers[1] is None:
        return False
    return numbers[0] < numbers[1] if sign < 0 else numbers[0] > numbers[1]


def _within(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    return isinstance(right, list | tuple) and any(_same(left, one) for one in right)


_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: _same,
    ast.NotEq: lambda left, right: not _same(left, right),
    ast.Lt: lambda left, right: _ordered(left, right, -1),
    ast.Gt: lambda left, right: _ordered(left, right, 1),
    ast.LtE: lambda left, right: _ordered(left, right, -1) or _same(left, right),
    ast.GtE: lambda left, right: _ordered(left, right, 1) or _same(left, right),
    ast.In: _within,
    ast.NotIn: lambda left, right: not _within(left, right),
}
