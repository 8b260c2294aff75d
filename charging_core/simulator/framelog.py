"""The frames a simulator process sent and received, one JSON object per line: what the fakes saw, not what the hub says."""

import json
from pathlib import Path
from typing import Protocol, TextIO

from charging_core.clock import Clock, to_china


class FrameKeeper(Protocol):
    """Whoever wants to see every frame of a pile."""

    def write(self, pile_code: str, direction: str, raw: bytes) -> None:
        """One whole frame, "up" or "down"."""
        ...


class FrameLog:
    """Appends `{"time", "pile", "direction": "up"|"down", "hex"}` lines; each line is in the file when `write` returns."""

    def __init__(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)

    def write(self, pile_code: str, direction: str, raw: bytes) -> None:
        """One frame, whole, as it is on the wire; time is the simulated one, China time."""
        line = {
            "time": to_china(self._clock.now()).isoformat(timespec="milliseconds"),
            "pile": pile_code,
            "direction": direction,
            "hex": raw.hex().upper(),
        }
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
