"""Waiting for the database at start: after a power cut everything comes up at once, and the database is seldom first."""

from __future__ import annotations

import time
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger()

PATIENCE_S = 60.0
"""How long a process waits for its database; then it ends with the error, and whoever supervises it starts it again."""
_LOOK_S = 0.5
_COMING_UP = "the database system is "
"""… starting up, shutting down, in recovery mode: what a server says that will soon be there. Other refusals do not pass by waiting."""


class Answers(Protocol):
    """A `Database`, as far as it matters here."""

    def ping(self) -> None:
        """One trivial read; raises `DBAPIError`."""
        ...  # pragma: no cover


def wait_for_database(db: Answers, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as the database answers. Raises SQLAlchemy's `DBAPIError` when it refuses us, or does not answer in time."""
    end = time.monotonic() + patience_s
    told = False
    while True:
        try:
            return db.ping()
        except DBAPIError as error:
            if not _is_away(error) or time.monotonic() > end:
                raise
            if not told:
                log.warning("database_awaited", seconds=patience_s, error=type(error.orig).__name__)
                told = True
            time.sleep(_LOOK_S)


def _is_away(error: DBAPIError) -> bool:
    text = str(error.orig)  # libpq gives no state for a connection that failed
    return _COMING_UP in text if "FATAL" in text else "connection" in text
