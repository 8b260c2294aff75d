"""YAML with marks: plain values plus the line each of them stands on, so that every later error can name its line.

A smaller YAML than 1.1 on purpose: `22:00`, `yes` and dates stay text, numbers with a point become decimals, a key may stand once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import yaml

from hub.errors import ApplyError, Problem

Path = tuple[str | int, ...]

_INT = re.compile(r"^[-+]?(0|[1-9][0-9]*)$")
_DECIMAL = re.compile(r"^[-+]?(0|[1-9][0-9]*)\.[0-9]+$")
_DEEPEST = 20  # no honest file nests deeper; an anchor that contains itself does
_MOST_NODES = 500_000  # a large operator's file has some 100 000 values; nested anchors can pretend any number
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


class Marked:
    """A parsed file: `value`, and `line(path)` for any path inside it."""

    def __init__(self, value: Any, lines: dict[Path, int]) -> None:
        self.value = value
        self._lines = lines

    def line(self, path: Path) -> int:
        """The 1-based line of `path`, or of the nearest part of it that is in the file; 0 for an empty file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 0

    def problem(self, path: Path, text: str) -> Problem:
        """A problem at `path`."""
        return Problem(self.line(path), show_path(path), text)


def show_path(path: Path) -> str:
    """`stations[0].piles[1].code`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def parse(text: str) -> Marked:
    """Parse one YAML document. Raises `ApplyError` for bad syntax and for keys that stand twice."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ApplyError([Problem(line, "", f"不是有效的 YAML / not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ApplyError([Problem(0, "", f"不是有效的 YAML / not valid YAML: {error}")]) from error
    builder = _Builder()
    value = builder.build(root, ()) if root is not None else {}
    if builder.problems:
        raise ApplyError(builder.problems)
    return Marked(value, builder.lines)


class _Builder:
    """Turns YAML nodes into values and remembers their lines."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > _DEEPEST or len(self.lines) > _MOST_NODES:
            raise ApplyError(
                [Problem(node.start_mark.line + 1, "", "嵌套过深或过大 / nested too deeply, or too large")]
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key, Hashable) or not isinstance(key, str):
                self.problems.append(Problem(line, show_path(path), "键必须是文字 / a key is a word"))
            elif key in found:
                self.problems.append(Problem(line, show_path((*path, key)), "键重复 / this key stands twice"))
            else:
                self.lines[(*path, key)] = line
                found[key] = self.build(value_node, (*path, key))
        return found


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # quoted or block text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    return Decimal(text) if _DECIMAL.match(text) else text
