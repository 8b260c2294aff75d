"""Errors of the worker.

WorkerError
├── ExpressionError   a profile's expression cannot be read or evaluated; carries the position
├── UnknownDriver     a delivery's destination kind has no registered driver in this process
├── PlanInvalid       a driver planned a delivery that the ledger cannot hold
├── NotReady          a body cannot be made yet (an id is not assigned); tried again later, not counted as an attempt
├── BodyRefused       a body can never be made from this snapshot; ends the delivery, visibly
└── NotRepairable     replay, discard or release of something that is not in a state to allow it
"""

from __future__ import annotations


class WorkerError(Exception):
    """Root of everything this room raises on purpose."""


class ExpressionError(WorkerError):
    """Raised when an expression is malformed, uses what is not allowed, or fails on its input; `position` counts from 0."""

    def __init__(self, message: str, text: str, position: int) -> None:
        super().__init__(f"{message} (position {position} of {text!r})")
        self.message = message
        self.text = text
        self.position = position


class UnknownDriver(WorkerError):
    """Raised when nobody in this process serves a destination kind."""


class PlanInvalid(WorkerError):
    """Raised when a planned delivery has a key that is empty or longer than its column."""


class NotReady(WorkerError):
    """Raised by `Driver.render` when something is still missing that may arrive; `code` is machine-readable."""

    def __init__(self, code: str, message: str, retry_after_s: float = 60.0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class BodyRefused(WorkerError):
    """Raised by `Driver.render` when no valid body exists; `code` is one of `specs/municipal.md` 13.10 or the room's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NotRepairable(WorkerError):
    """Raised when a repair is asked of a delivery or destination whose state does not allow it."""
