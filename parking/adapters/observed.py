"""Counts and times a call of an adapter by operation and outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from parking.metrics import CALL_SECONDS, CALLS
from parking.port import Outcome


class _WithOutcome(Protocol):
    @property
    def outcome(self) -> Outcome: ...  # pragma: no cover


Result = TypeVar("Result", bound=_WithOutcome)


def observed(adapter: str, operation: str, call: Callable[[], Result]) -> Result:
    """Run `call`, count its outcome, observe its duration; returns its result."""
    started_s = time.monotonic()
    result = call()
    CALL_SECONDS.labels(adapter, operation).observe(time.monotonic() - started_s)
    CALLS.labels(adapter, operation, result.outcome.value).inc()
    return result
