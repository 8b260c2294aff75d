"""The shipped region profile as plain data, to be spoilt by tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import resources
from typing import Any

import yaml


def raw() -> dict[str, Any]:
    text = (resources.files("municipal.profiles") / "zhejiang-province.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    loaded = copy.deepcopy(raw())
    change(loaded)
    return loaded


def fields(loaded: dict[str, Any], interface: str) -> dict[str, dict[str, Any]]:
    return {field["to"]: field for field in loaded["interfaces"][interface]["fields"]}
