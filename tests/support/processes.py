"""Server processes of the tests: started on a free port, watched until they answer, ended by their own process id.

A child is started through `launch.py`, which drops root and asks the kernel to end the child should the test process
die without cleaning up (kill -9 included).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
# Accounts that exist on most systems and own nothing; PostgreSQL refuses to run as root.
UNPRIVILEGED = ("postgres", "nobody", "daemon")
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 15.0


class ServersError(RuntimeError):
    """A test server is missing or did not come up; the text says what to install or where the log is."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago (servers that cannot report a port 0 need a number)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged_user() -> str | None:
    """The account to run servers as when we are root; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServersError("PostgreSQL does not run as root and no account to run it as exists: create the user 'postgres'")


def give_to(path: Path, user: str | None) -> None:
    """Make a folder belong to the account its server runs as."""
    if user is not None:
        shutil.chown(path, user)


def command_as(user: str | None, command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` as `user`, ended by the kernel when this process dies."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), user or "", *map(str, command)]


def run_as(user: str | None, command: Sequence[str | Path], cwd: Path) -> str:
    """Run a command to its end and return its output; raises ServersError with that output when it fails."""
    done = subprocess.run(
        command_as(user, command), cwd=cwd, capture_output=True, text=True, check=False, env=plain_environment()
    )
    if done.returncode != 0:
        raise ServersError(f"{command[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


def plain_environment() -> dict[str, str]:
    """The environment of a server: no PG*/HUB_* setting of the caller may change how it behaves."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "LC_ALL": "C", "TZ": "UTC"}


@dataclass
class ServerProcess:
    """One running server: its process, its port, its folder, and the signal that asks it to stop."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    stop_signal: signal.Signals

    @property
    def log(self) -> Path:
        """Where the server's output goes."""
        return self.folder / "server.log"

    def wait_ready(self, answers: Callable[[], bool], deadline_s: float = START_DEADLINE_S) -> None:
        """Return as soon as `answers()` is true; raises ServersError with the log when it dies or takes too long."""
        end = time.monotonic() + deadline_s
        while not answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise ServersError(f"{self.name} did not start; its log:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.02)

    def restart(self, stop_signal: signal.Signals | None = None) -> None:
        """End it by `stop_signal` (default: its usual one) and start it again at the same address; returns before it answers.

        Call it from the thread that lives longest: the kernel ends a child with the thread that started it (`launch.py`).
        """
        command = self.process.args
        self.process.send_signal(stop_signal or self.stop_signal)
        self.process.wait(STOP_DEADLINE_S)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment()
            )

    def stop(self) -> None:
        """Ask the process to stop, insist after a while, and reap it. May be called twice."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def start(
    name: str, command: Sequence[str | Path], folder: Path, port: int, stop_signal: signal.Signals, user: str | None
) -> ServerProcess:
    """Start a server in the background with its output in `folder/server.log`."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command_as(user, command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=plain_environment(),
        )
    return ServerProcess(name, process, port, folder, stop_signal)
