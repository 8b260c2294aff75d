"""Misbehaviour on demand: which request, how often, in what way.

A plan is a list tried from the top; each request takes at most one fault, the first that fits it and has turns left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

COMMON_KINDS: Mapping[str, str] = {
    "http_500": "HTTP 500 with a page instead of an answer; nothing is processed",
    "hang": "silence for `value` seconds (default 30), then the connection is closed; nothing is processed",
    "slow": "`value` seconds (default 2) of waiting, then a normal answer",
    "slow_body": "a normal answer whose body drips over `value` seconds (default 2)",
    "close": "the connection is closed without an answer; nothing is processed",
    "close_after": "processed and booked, but the connection is closed without an answer",
    "close_body": "processed and booked, but the connection is closed in the middle of the answer's body",
    "twice": "a normal answer that is sent twice on its connection",
    "garbage": "HTTP 200 with text that is no answer; nothing is processed",
}
"""Kinds that every fake knows."""

DEFAULT_SECONDS: Mapping[str, float] = {"hang": 30.0, "slow": 2.0, "slow_body": 2.0}


NUMBER_KINDS = frozenset({"ret", "confirm_result", "status"})
"""Kinds of the envelope fakes whose value is a code."""


class FaultError(ValueError):
    """Raised when a fault is asked for that does not exist, or with a value that does not fit it."""


class Fault(BaseModel):
    """One scripted misbehaviour. `times` counts requests; None means until the plan is replaced."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    interface: str = "*"
    times: int | None = Field(default=1, ge=0)
    value: int | float | str | None = None

    @property
    def seconds(self) -> float:
        """The waiting time of `hang`, `slow` and `slow_body`, in real seconds."""
        return float(DEFAULT_SECONDS.get(self.kind, 0.0) if self.value is None else self.value)

    @property
    def number(self) -> int:
        """The code carried by `NUMBER_KINDS`; without a value -1 (busy) for `ret` and 1 for the business results."""
        return (-1 if self.kind == "ret" else 1) if self.value is None else int(self.value)


class FaultPlan:
    """The faults still to come. Thread-safe."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = frozenset(kinds)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def replace(self, faults: Iterable[Fault | Mapping[str, Any]]) -> None:
        """Set the whole plan; an empty list heals the fake. Raises `FaultError` and then changes nothing."""
        fresh = [self._checked(fault) for fault in faults]
        with self._lock:
            self._faults = fresh

    def take(self, interface: str, fits: Callable[[str, str], bool]) -> Fault | None:
        """The fault that this request suffers, its turn counted off; `fits(kind, interface)` rules out the impossible."""
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and fault.interface in ("*", interface) and fits(fault.kind, interface):
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault.model_copy()
        return None

    def describe(self) -> list[dict[str, Any]]:
        """The plan as it stands, with the turns left."""
        with self._lock:
            return [fault.model_dump() for fault in self._faults]

    def _checked(self, raw: Fault | Mapping[str, Any]) -> Fault:
        try:
            fault = raw.model_copy() if isinstance(raw, Fault) else Fault.model_validate(raw)
            if fault.kind not in self._kinds:
                raise FaultError(f"unknown fault {fault.kind!r}; known: {', '.join(sorted(self._kinds))}")
            if fault.kind in DEFAULT_SECONDS and fault.seconds < 0:
                raise FaultError(f"{fault.kind} needs a number of seconds")
            if fault.kind in NUMBER_KINDS:
                int(fault.number)
        except (ValidationError, ValueError) as error:
            raise error if isinstance(error, FaultError) else FaultError(str(error)) from error
        return fault


def fault_from_text(text: str) -> Fault:
    """The fault of a command line: `KIND`, `KIND=VALUE`, `INTERFACE:KIND=VALUE`; it lasts. A bare 500 means http_500.

    Raises `FaultError` on an empty kind.
    """
    interface, _, rest = text.rpartition(":")
    kind, _, value = rest.partition("=")
    kind = {"500": "http_500"}.get(kind, kind)
    if not kind:
        raise FaultError(f"a fault is KIND, KIND=VALUE or INTERFACE:KIND=VALUE, not {text!r}")
    return Fault(kind=kind, interface=interface or "*", times=None, value=_number(value))


def _number(text: str) -> int | float | str | None:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text or None
