"""Hub processes by fork: a parent that has read all modules once gives birth to them in milliseconds.

A stage starts a dozen `hub` commands and kills some to start them again; each would read the same five hundred modules first. What
is born here is a process of its own, with its own id, environment, folder and output, ends as any process does, and dies with the
parent. That `hub` starts from nothing as well is proved by the wheel's demo (tests/packaging) and by the start-up test of tests/hub.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import LAUNCHER

PRELOADED = (
    "hub.cli.main",
    "hub.processes",
    "hub.web.app",
    "connexion",
    "uvicorn",
    "uvloop",
    "psycopg",
    "redis",
    "jinja2",
)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_S = 0.01
_LARGEST = 1 << 20
"""A request holds a whole environment."""


@dataclass
class Child:
    """A process born here; the part of `subprocess.Popen` that the stages use."""

    pid: int
    nursery: Nursery
    returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code (minus the signal that killed it), none while it runs."""
        if self.returncode is None:
            self.nursery.hear()
            self.returncode = self.nursery.ended.get(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit code, as soon as it ends. Raises `subprocess.TimeoutExpired`."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("hub", timeout)
            time.sleep(_POLL_S)
        return code

    def terminate(self) -> None:
        """SIGTERM, unless it has ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@dataclass
class Nursery:
    """The parent, seen from the test process."""

    line: socket.socket
    process: subprocess.Popen[bytes]
    ended: dict[int, int] = field(default_factory=dict)

    def born(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: int, errors: int
    ) -> Child:
        """A `hub` process with these arguments, its output going to the file descriptors `out` and `errors`."""
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)})
        socket.send_fds(self.line, [request.encode()], [out, errors])
        while True:
            said = self._next()
            if "born" in said:
                return Child(said["born"], self)

    def hear(self) -> None:
        """Take note of all that has been said."""
        while select.select([self.line], [], [], 0)[0]:
            self._next()

    def _next(self) -> dict[str, int]:
        said: dict[str, int] = json.loads(self.line.recv(_LARGEST))
        if "ended" in said:
            self.ended[said["ended"]] = said["code"]
        return said


@functools.cache
def nursery() -> Nursery:
    """The one of this test process; ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), "", sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not that of this process, which somebody may read to its end
            pass_fds=[theirs.fileno()],
        )
    return Nursery(ours, process)


def _serve(line: socket.socket) -> list[str]:
    """Give birth on request, report each end; returns in a child only, with the arguments of its command."""
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([line.fileno(), wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _report(line)
        if line.fileno() in ready:
            text, files, _, _ = socket.recv_fds(line, _LARGEST, 2)
            if not text:
                sys.exit(0)  # the test process has ended; so do the children, by their own wish
            request, parent = json.loads(text), os.getpid()
            pid = os.fork()
            if pid == 0:
                line.detach()  # closed below; its number will mean something else
                _settle(request, files, parent)
                return list(request["arguments"])
            for file in files:
                os.close(file)
            line.send(json.dumps({"born": pid}).encode())


def _report(line: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        line.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _settle(request: Mapping[str, object], files: Sequence[int], parent: int) -> None:
    """What makes the newborn a process like any other."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for target, file in enumerate(files, 1):
        os.dup2(file, target)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))


def main() -> None:
    """Read everything once, then serve; a child goes on as the `hub` command."""
    line = socket.socket(fileno=int(sys.argv[1]))
    for name in PRELOADED:
        importlib.import_module(name)
    importlib.import_module("tests.support.unordered").shuffle()
    gc.collect()
    gc.freeze()
    arguments = _serve(line)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv[:] = ["hub", *arguments]
    importlib.import_module("hub.cli.main").main()


if __name__ == "__main__":
    main()
