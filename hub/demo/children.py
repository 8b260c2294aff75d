"""The other parties as processes of their own: started with a ready line, ended by their id."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READY_S = 30.0
"""Real seconds in which a party must be ready; imports on a slow machine take some."""
_END_S = 5.0


class ChildFailed(Exception):
    """Raised when a party does not come up; carries the last lines it wrote."""


class Child:
    """One party. `ready` is the JSON line with which it said that it serves."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], errors: Path, extra: Mapping[str, str]
    ) -> None:
        self.name = name
        self._errors = errors
        with errors.open("w") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules with our own arguments
                [sys.executable, "-m", module, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **extra},
            )
        self.ready: dict[str, Any] = {}

    def wait_ready(self, seconds: float = READY_S) -> dict[str, Any]:
        """Wait for the ready line. Raises `ChildFailed`."""
        line = self._read_line(seconds)
        try:
            self.ready = json.loads(line)
        except ValueError as error:
            tail = "\n".join(self._errors.read_text().splitlines()[-8:])
            raise ChildFailed(f"{self.name} 未能启动 / did not start: {line!r}\n{tail}") from error
        return self.ready

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, then end it."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read_line(self, seconds: float) -> str:
        stdout = self._process.stdout
        if stdout is None:
            return ""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if selector.select(0.2):
                    return stdout.readline()
                if not self.alive():
                    return ""
        return ""
