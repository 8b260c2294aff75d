"""What a fake saw and said: kept in memory for the control interface and written as JSON lines for whoever reads afterwards."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from charging_core.clock import Clock, to_china
from partners.fake.wire import to_json

SECRET_MEMBERS = frozenset({"OperatorSecret", "AccessToken"})
MASK = "***"
MAX_KEPT = 50_000
"""Entries kept in memory, so that a fake can run for weeks; the file keeps all."""


class Journal:
    """An append-only record; every entry gets a number and the time of the passed clock (China time). Thread-safe."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_KEPT)
        self._no = 0
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def add(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Keep one entry, secrets masked, and return it as kept."""
        with self._lock:
            self._no += 1
            stamp = to_china(self._clock.now()).isoformat(timespec="milliseconds")
            kept: dict[str, Any] = {"no": self._no, "time": stamp} | masked(entry)
            self._entries.append(kept)
            if self._file:
                self._file.write(to_json(kept) + "\n")
                self._file.flush()
        return kept

    def entries(self, **wanted: Any) -> list[dict[str, Any]]:
        """The entries, oldest first, whose members equal `wanted`."""
        with self._lock:
            return [entry for entry in self._entries if all(entry.get(name) == value for name, value in wanted.items())]

    def clear(self) -> None:
        """Forget what is in memory; the file keeps what was written."""
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None


def masked(value: Any) -> Any:
    """A copy in which the values of secret members are hidden, at any depth."""
    if isinstance(value, dict):
        return {name: MASK if name in SECRET_MEMBERS and member else masked(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [masked(member) for member in value]
    return value
