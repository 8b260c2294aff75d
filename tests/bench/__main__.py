"""`make bench`: what the product costs over the bare limit, as ratios measured in one run on this machine.

Server pinned to one core, load to another where there are two. Rounds are interleaved, the median counts. Nothing here fails a
test; a ratio below its aim is printed as such.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import fastcrc

from tests.bench import load
from tests.bench.floor_http import TOKEN, question

ROUNDS = 3
SECONDS = 3.0
HTTP_CONNECTIONS = 32
PILE_CONNECTIONS = 32
HEARTBEAT = bytes.fromhex("680D070000033100019900001701001DAF")
"""A heartbeat frame; its answer has the same 17 bytes."""
HTTP_FLAGS = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]


def main() -> None:
    """Run all comparisons and print them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{SECONDS:.0f} s x {ROUNDS} interleaved rounds, {HTTP_CONNECTIONS} connections, server on one core\n")
    http = load.http_post("/demo/evcs/v1/query_station_status", question(), TOKEN)
    sides = {
        "bare ASGI, same crypto": lambda: _http_server("tests.bench.floor_http:app"),
        "T/CEC edge": lambda: _http_server("tests.bench.edge_http:app"),
        "stock connexion": lambda: _http_server("tests.bench.stock_http:app"),
    }
    results = _compare(sides, HTTP_CONNECTIONS, http, "http")
    _ratio(results, "T/CEC edge", "bare ASGI, same crypto", 0.8)
    _ratio(results, "T/CEC edge", "stock connexion", None)
    piles = {
        "bare asyncio echo": lambda: _process("tests.bench.floor_echo"),
        "pile server": lambda: _process("tests.bench.pile_frames"),
    }
    results = _compare(piles, PILE_CONNECTIONS, HEARTBEAT, f"fixed:{len(HEARTBEAT)}", _login)
    _ratio(results, "pile server", "bare asyncio echo", None)


def _compare(
    sides: dict[str, Callable[[], Iterator[int]]],
    connections: int,
    ask: bytes,
    framing: str,
    opening: load.Opening = None,
) -> dict[str, float]:
    rounds: dict[str, list[load.Measured]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, serve in sides.items():
            with contextmanager(serve)() as port:
                rounds[name].append(asyncio.run(load.run(port, connections, SECONDS, ask, framing, opening)))
    for name, runs in rounds.items():
        rate, p50, p99 = (statistics.median(getattr(r, k) for r in runs) for k in ("per_s", "p50_ms", "p99_ms"))
        print(f"  {name:<26} {rate:>9,.0f} /s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    return {name: statistics.median(run.per_s for run in runs) for name, runs in rounds.items()}


def _login(number: int) -> bytes:
    """The log-in of a pile of its own for each connection (a second log-in of one code would replace the first)."""
    body = bytes.fromhex(f"31000199{number:06d}") + bytes.fromhex("000210") + b"V2.3.1\0\0" + b"\0" * 12
    covered = b"\0\0\0\x01" + body
    return bytes([0x68, len(covered)]) + covered + fastcrc.crc16.modbus(covered).to_bytes(2, "little")


def _ratio(results: dict[str, float], measured: str, reference: str, aim: float | None) -> None:
    ratio = results[measured] / results[reference]
    verdict = "" if aim is None else f"   aim >= {aim}: {'reached' if ratio >= aim else 'NOT REACHED'}"
    print(f"  => {measured} / {reference} = {ratio:.2f}{verdict}\n")


def _http_server(target: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind((load.HOST, 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port), *HTTP_FLAGS]
    process = subprocess.Popen(command)
    _pin(process.pid)
    try:
        _wait_for(port, process)
        yield port
    finally:
        _end(process)


def _process(module: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True)
    _pin(process.pid)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        _end(process)
        process.stdout.close()


def _pin(process_id: int) -> None:
    """Keep the server on the first core; threads that it starts later stay there too."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process_id, {0})


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((load.HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server on port {port} did not start")


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
