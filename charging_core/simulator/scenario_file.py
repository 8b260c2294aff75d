"""Scenario files: YAML, checked as a whole, every error with its line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from charging_core.simulator.errors import ScenarioError
from charging_core.simulator.scenario import Place, Scenario

# a scenario is a page; anything larger is not one
_LARGEST = 1024 * 1024
_DEEPEST = 20


def load_scenario(path: Path) -> Scenario:
    """The scenario of a file. Raises ScenarioError with every problem and its line."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ScenarioError([(0, f"{path.name}: 文件过大 / too large")])
        return read_scenario(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([(0, f"无法读取 / cannot be read: {error}")]) from error


def read_scenario(text: str) -> Scenario:
    """The scenario of a text. Raises ScenarioError with every problem and its line."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or error
        line = mark.line + 1 if mark else 0
        raise ScenarioError([(line, f"不是有效的 YAML / not valid YAML: {why}")]) from error
    lines: dict[Place, int] = {}
    _note_lines(root, (), lines)
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        # a list whose items were refused is called too short as well: that is no news
        problems = [(tuple(one["loc"]), one["msg"]) for one in error.errors() if one["type"] != "too_short"]
        problems = problems or [(tuple(one["loc"]), one["msg"]) for one in error.errors()]
        raise ScenarioError(_with_lines(problems, lines)) from error
    contradictions = list(scenario.contradictions())
    if contradictions:
        raise ScenarioError(_with_lines(contradictions, lines))
    return scenario


def _note_lines(node: Any, place: Place, lines: dict[Place, int]) -> None:
    """Where each value stands. A file that nests deeper than any honest one is not followed further."""
    if node is None or len(place) > _DEEPEST:
        return
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if (*place, str(key.value)) in lines:
                raise ScenarioError([(line, f"{key.value}: 键重复 / this key stands twice")])
            lines[(*place, str(key.value))] = line
            _note_lines(value, (*place, str(key.value)), lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note_lines(item, (*place, number), lines)


def _with_lines(problems: Iterable[tuple[Place, str]], lines: Mapping[Place, int]) -> list[tuple[int, str]]:
    """By line; a place that is not in the file has the line of what it would belong to."""
    found = []
    for place, text in problems:
        line = next((lines[place[:size]] for size in range(len(place), -1, -1) if place[:size] in lines), 0)
        found.append((line, f"{'.'.join(str(part) for part in place)}: {text}".removeprefix(": ")))
    return sorted(found)
