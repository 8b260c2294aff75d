"""Commands run in this process. The tree of all commands is built once: it takes longer than most commands."""

from __future__ import annotations

import functools
import logging
from typing import Any

import typer.main
import typer.testing
from typer.testing import Result

from hub.cli import main
from tests.support.logs import plain_logs

__all__ = ["CliRunner", "Result", "build"]

build = functools.cache(main.build)
vars(typer.testing)["_get_command"] = functools.cache(typer.main.get_command)


class CliRunner(typer.testing.CliRunner):
    """Runs commands; leaves logging as it was, because a command sets it up with the output that it has just then."""

    def invoke(self, *arguments: Any, **options: Any) -> Result:
        """As typer's."""
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            return super().invoke(*arguments, **options)
        finally:
            root.handlers[:], root.level = handlers, level
            plain_logs()
