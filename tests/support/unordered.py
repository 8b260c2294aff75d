"""Rows that nobody has asked for in an order come backwards, on SQLite, so that whoever relies on one is found out at once.

PostgreSQL gives such rows in any order it likes, most of the time in the usual one.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, event


def shuffle() -> None:
    """For every connection of this process from now on, and of those that are forked from it."""

    @event.listens_for(Engine, "connect")
    def _backwards(raw: Any, _record: object) -> None:
        if isinstance(raw, sqlite3.Connection):
            raw.execute("PRAGMA reverse_unordered_selects=ON")
