"""Commands run in this process. The tree of all commands is built once: it takes longer than most commands."""

from __future__ import annotations

import functools

import typer.main
import typer.testing
from typer.testing import CliRunner, Result

from hub.cli import main

__all__ = ["CliRunner", "Result", "build"]

build = functools.cache(main.build)
vars(typer.testing)["_get_command"] = functools.cache(typer.main.get_command)
