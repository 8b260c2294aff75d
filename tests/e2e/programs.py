"""Programs of a stage as child processes: started with their settings, watched until they are ready, ended by their own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import requests

from tests.support.nursery import Child, nursery
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
START_S = 60.0
"""Four programs start at once on a machine with two cores."""
STOP_S = 30.0
COMMAND_S = 60.0
TIMEOUT_S = 15.0


@dataclass
class Program:
    """A `hub` process. Its output goes to `log`, and so does what it says before it dies."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _process: Child | None = field(default=None, init=False)

    def start(self, **extra: str) -> None:
        """Start it (again) with `extra` in its environment; returns before it is ready."""
        assert not self.alive(), f"{self.name} runs already"
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.environment, **extra}
            output = log.fileno()
            self._process = nursery().born(self.command, environment, self.log.parent, output, output)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self._process is not None and self.alive():
            self._process.terminate()

    def stop(self) -> int | None:
        """SIGTERM and wait; the exit code. One that does not end in time is killed and fails the test."""
        if self._process is None:
            return None
        self.ask_to_stop()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not drain within {STOP_S} s:\n{self.tail()}") from None

    def kill(self) -> None:
        """SIGKILL, and prove that this is what ended it."""
        assert self._process is not None
        self._process.kill()
        assert self._process.wait(STOP_S) == -signal.SIGKILL, f"{self.name} had ended before:\n{self.tail()}"

    def tail(self, lines: int = 30) -> str:
        """The end of its log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class HubProgram(Program):
    """A hub process, reached through its web port."""

    web_port: int = 0

    @property
    def url(self) -> str:
        """Where it serves its probes."""
        return f"http://{HOST}:{self.web_port}"

    def wait_ready(self) -> None:
        """Until `/readyz` says so; fails with its log when it dies first."""
        wait_until(self._ready, f"{self.name} to be ready:\n{self.tail()}", START_S, 0.05)

    def _ready(self) -> bool:
        assert self.alive(), f"{self.name} died:\n{self.tail()}"
        try:
            return get(f"{self.url}/readyz").status_code == 200
        except requests.ConnectionError:
            return False


def get(url: str, token: str = "") -> requests.Response:
    """One GET past any proxy of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return session.get(url, headers=headers, timeout=TIMEOUT_S)


def post(url: str, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> requests.Response:
    """One POST past any proxy of the environment; a mapping is sent as JSON."""
    with requests.Session() as session:
        session.trust_env = False
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return session.post(
            url, data, headers={"Content-Type": "application/json", **(headers or {})}, timeout=TIMEOUT_S
        )


def command(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a `hub` command to its end and return what it printed; fails with its words when it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = nursery().born(
            arguments, {**os.environ, **environment}, Path(tempfile.gettempdir()), out.fileno(), errors.fileno()
        )
        code = child.wait(COMMAND_S)
        said, complained = (_text(file) for file in (out, errors))
    assert code == 0, f"hub {' '.join(arguments)} ended with {code}:\n{said}{complained}"
    return said


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
