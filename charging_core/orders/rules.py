"""Rules of order life that an operator may choose."""

from __future__ import annotations

from enum import StrEnum


class MissingRecord(StrEnum):
    """What becomes of a start while the last charge of its connector has no record yet: firmware may drop that for a new start (P8)."""

    WAIT = "wait"
    """The pile is asked how it is, and the start waits a little for the record."""
    REFUSE = "refuse"
    IGNORE = "ignore"
