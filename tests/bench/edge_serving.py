"""The servers of a comparison, all up at once, asked in turn for fractions of a second.

Neighbours, clock rates and other guests of the machine change from second to second. Sides that are asked right after each other
suffer alike, so what counts is the median of the ratios of single rounds, and CPU time beside the wall clock.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import load

FLAGS = ("--loop", "uvloop", "--no-access-log", "--log-level", "warning")
LANE = "hub.lane:TcecLaneProtocol"
"""The HTTP protocol with which the hub serves; uvicorn's own is `httptools`."""
START_S = 60.0
WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class Side:
    """How to start one side: a module that prints its port, or the target of a uvicorn and so many processes of it."""

    target: str
    workers: int = 1
    ready: str = ""
    """Path that must answer 200 before it counts as up; without one an open port will do."""
    environment: Mapping[str, str] = field(default_factory=dict)
    module: bool = False
    http: str = "httptools"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, over how many connections, and how answers end (`http` or `fixed:N`)."""

    question: load.Question
    connections: int = 16
    framing: str = "http"
    opening: load.Opening = None


@dataclass(frozen=True, slots=True)
class Slice:
    """One turn of one side: answers per second of wall clock and per second of its CPU time, latencies in milliseconds."""

    per_s: float
    per_cpu_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Server:
    """A running side."""

    port: int
    process_id: int

    def cpu_s(self) -> float:
        """CPU time of its processes so far."""
        return sum(map(_cpu_s, [self.process_id, *_children(self.process_id)]))


Rounds = Sequence[Mapping[str, Slice]]


def compared(sides: Mapping[str, Side], ask: Asked, rounds: int, seconds: float) -> Rounds:
    """Start every side, ask them in turn, print the medians."""
    with ExitStack() as running:
        servers = {name: running.enter_context(served(side)) for name, side in sides.items()}
        for server in servers.values():
            turn(server, ask, WARM_UP_S)
        found = [{name: turn(server, ask, seconds) for name, server in servers.items()} for _ in range(rounds)]
    for name in sides:
        _print(name, [each[name] for each in found])
    return found


def turn(server: Server, ask: Asked, seconds: float) -> Slice:
    """One turn of one side."""
    before = server.cpu_s()
    run = asyncio.run(
        load.run(server.port, ask.connections, seconds, ask.question, ask.framing, ask.opening, warm_up_s=0.0)
    )
    # Connecting and, where there is one, logging in are in the CPU time as well; on every side alike.
    return Slice(run.per_s, run.per_s * seconds / (server.cpu_s() - before), run.p50_ms, run.p99_ms)


def ratio(rounds: Rounds, measured: str, reference: str, what: Callable[[Slice], float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(what(each[measured]) / what(each[reference]) for each in rounds)


def told(what: str, value: float, aim: float | None) -> None:
    """Print one result; a negative aim is an upper limit."""
    verdict = ""
    if aim is not None:
        reached = value >= aim if aim > 0 else value <= -aim
        verdict = f"   aim {'>=' if aim > 0 else '<='} {abs(aim)}: {'reached' if reached else 'NOT REACHED'}"
    print(f"  => {what} = {value:.2f}{verdict}\n", flush=True)


@contextmanager
def served(side: Side) -> Iterator[Server]:
    """One side on a port of its own, pinned to the first core."""
    with _process(side) if side.module else _uvicorn(side) as server:
        yield server


def pin_here() -> None:
    """Keep this process, which asks, away from the core of the servers; does nothing where there is only one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextmanager
def _uvicorn(side: Side) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind((load.HOST, 0))
        port = int(probe.getsockname()[1])
    command = ["uvicorn", side.target, "--port", str(port), "--workers", str(side.workers), "--http", side.http, *FLAGS]
    process = _started(command, side)
    try:
        _wait(port, process, side.ready)
        yield Server(port, process.pid)
    finally:
        _end(process)


@contextmanager
def _process(side: Side) -> Iterator[Server]:
    process = _started([side.target], side)
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()), process.pid)
    finally:
        _end(process)


def _started(module: Sequence[str], side: Side) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *module]
    # The port is read from a module's output; what a uvicorn prints is a complaint and should be seen.
    output = subprocess.PIPE if side.module else None
    process = subprocess.Popen(command, env={**os.environ, **side.environment}, stdout=output)
    if hasattr(os, "sched_setaffinity"):
        # Threads and processes that it starts later stay there too. Our parent has still all cores, we keep to one of them.
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(os.getppid()))})
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _wait(port: int, process: subprocess.Popen[bytes], ready: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        if _answers(port, ready):
            return
        time.sleep(0.01)
    raise RuntimeError(f"the server on port {port} did not start")


def _answers(port: int, ready: str) -> bool:
    if not ready:
        with socket.socket() as probe:
            return probe.connect_ex((load.HOST, port)) == 0
    try:
        with urllib.request.urlopen(f"http://{load.HOST}:{port}{ready}", timeout=START_S):
            return True
    except OSError:
        return False


def _cpu_s(process_id: int) -> float:
    """User and system time of a process with all its threads, in nanoseconds' resolution (the clock id is the kernel's)."""
    return time.clock_gettime((~process_id << 3) | 2)


def _children(process_id: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def _print(name: str, turns: Sequence[Slice]) -> None:
    per_s, per_cpu_s, p50, p99 = (
        statistics.median(getattr(one, what) for one in turns) for what in ("per_s", "per_cpu_s", "p50_ms", "p99_ms")
    )
    print(
        f"  {name:<26} {per_s:>9,.0f} /s   {1e6 / per_cpu_s:8.0f} CPU-us each   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms",
        flush=True,
    )
