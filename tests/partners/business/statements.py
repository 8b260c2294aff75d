"""Counts SQL statements, so that a list endpoint cannot quietly become one query per row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_NOT_OURS = ("PRAGMA", "BEGIN", "SAVEPOINT", "RELEASE", "SELECT set_config")


class Statements(list[str]):
    """The statements of a block, in order."""


@contextmanager
def statements() -> Iterator[Statements]:
    """Every statement that any engine executes inside the block; the session's own scope settings do not count."""
    seen = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith(_NOT_OURS):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
