"""`${VAR}` in addresses: looked up before validation, errors with lines. (Secrets are references of their own: `partners.secrets`.)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from hub.apply.marks import Marked, Path
from hub.errors import Problem

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_ADDRESSES = ("url", "urls", "outbound_base")


@dataclass(frozen=True)
class Surroundings:
    """Where references point: environment variables, and the folder that relative paths start from."""

    environ: Mapping[str, str]
    folder: FilePath


def fill_in(marked: Marked, around: Surroundings) -> tuple[Any, list[Problem]]:
    """The file's value with variables in addresses filled in, and what could not be. Elsewhere a `${` is refused."""
    problems: list[Problem] = []

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and _VARIABLE.search(value):
            text, complaints = _address(value, path, around.environ)
            problems.extend(marked.problem(path, complaint) for complaint in complaints)
            return text
        return value

    return walk(marked.value, ()), problems


def _address(text: str, path: Path, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    last = next((part for part in reversed(path) if isinstance(part, str)), "")
    if not last.endswith(_ADDRESSES):
        return text, ["${…} 只能用于地址 / ${…} is for addresses only"]
    complaints = []
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if not environ.get(name):
            complaints.append(f"环境变量 {name} 未设置 / the environment variable {name} is not set")
    return _VARIABLE.sub(lambda match: environ.get(match[1]) or match[0], text), complaints
