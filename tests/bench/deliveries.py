"""What the ledger costs: signed pushes with every attempt stored against plain dramatiq and requests without any.

    python -m tests.bench.deliveries [sqlite] [postgresql] [--quick]

Receiver, floor and hub are processes of their own; rounds are interleaved, the median counts. Rates are counted by the receiver.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from Crypto.Cipher import AES

from tests.support.databases import Databases, PostgresDatabases, SqliteDatabases
from tests.support.servers import postgres_server, redis_server

THREADS, DESTINATIONS = 16, 10
SECONDS, WARM_UP_S, ROUNDS = 5.0, 1.5, 3
BACKLOG = 4000
KEY = b"1234567890abcdef"


def main(arguments: Sequence[str]) -> None:
    """All measurements on the named databases (default: both)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    quick = "--quick" in arguments
    chosen = [name for name in arguments if not name.startswith("--")] or ["sqlite", "postgresql"]
    print(f"deliveries: {THREADS} threads, {DESTINATIONS} destinations, {SECONDS:.0f} s x {ROUNDS} interleaved rounds")
    for name in chosen:
        with ExitStack() as stack:
            rig = _rig(stack, name)
            print(f"\n{name}: {rig.what}")
            for measure in (throughput, isolation, latency, *(() if quick else (draining, history))):
                measure(rig)


@dataclass
class Rig:
    """One database kind with its servers and the receiver."""

    what: str
    databases: Databases
    redis_url: str
    port: int
    folder: Path

    def ask(self, path: str) -> dict[str, Any]:
        """A control call of the receiver."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return dict(json.load(answer))

    def rate(self, seconds: float, destinations: Callable[[str], bool] = lambda _name: True) -> float:
        """Pushes per second that the receiver answers during the next seconds."""
        began = self.ask("/_count")["at"]
        time.sleep(seconds)
        found = self.ask("/_count")
        return float(sum(n for name, n in found["counts"].items() if destinations(name)) / (found["at"] - began))

    @contextmanager
    def hub(self) -> Iterator[Side]:
        """The measured side on a database of its own."""
        fresh = self.databases.fresh()
        try:
            with _side("deliveries_hub", self.port, THREADS, DESTINATIONS, fresh.url, self.redis_url) as side:
                yield side
        finally:
            self.databases.drop(fresh)

    @contextmanager
    def floor(self) -> Iterator[Side]:
        """The reference."""
        body = self.folder / "push"
        with _side("deliveries_floor", self.port, THREADS, DESTINATIONS, body, self.redis_url) as side:
            yield side


@dataclass
class Side:
    """A process that obeys."""

    process: subprocess.Popen[str]

    def tell(self, command: str) -> Any:
        """Send a command and return its result."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()).get("result")


def throughput(rig: Rig) -> None:
    """The ratio that the issue asks for, at 50 ms, and the figure at 0 ms."""
    for delay_ms in (50, 0):
        rig.ask(f"/_set?delay_ms={delay_ms}&hang=&down=")
        rates: dict[str, list[float]] = {"floor": [], "hub": []}
        for _ in range(ROUNDS):
            for name, side in (("floor", rig.floor), ("hub", rig.hub)):
                with side() as process:
                    process.tell(f"seed {BACKLOG if delay_ms else BACKLOG * 2}")
                    process.tell("start")
                    time.sleep(WARM_UP_S)
                    rates[name].append(rig.rate(SECONDS))
        floor, hub = (statistics.median(rates[name]) for name in ("floor", "hub"))
        aim = 0.9 if delay_ms else None
        print(f"  {delay_ms:>2} ms: floor {_listed(rates['floor'])}, hub {_listed(rates['hub'])}")
        _say(f"signed pushes, every attempt stored / plain dramatiq + requests, {delay_ms} ms", hub / floor, aim)


def isolation(rig: Rig) -> None:
    """What nine destinations get while the tenth hangs on every call, against what the same nine get when it does not."""
    rates: dict[str, list[float]] = {"": [], "d3": []}
    for _ in range(ROUNDS):
        for hanging, measured in rates.items():
            rig.ask(f"/_set?delay_ms=50&hang={hanging}&down=")
            with rig.hub() as hub:
                hub.tell(f"seed {BACKLOG}")
                hub.tell("start")
                time.sleep(WARM_UP_S)
                measured.append(rig.rate(SECONDS, lambda name: name != "d3"))
    rig.ask("/_set?hang=")
    whole, beside = (statistics.median(found) for found in rates.values())
    print(f"  nine destinations: {_listed(rates[''])}, beside a hanging one {_listed(rates['d3'])}")
    _say("healthy destinations beside a hanging one", beside / whole, 0.95)


def latency(rig: Rig) -> None:
    """From the commit of an event to the receiver's answer (which itself comes at once)."""
    rig.ask("/_set?delay_ms=0")
    with rig.hub() as hub:
        hub.tell("start")
        hub.tell("events 50 2")
        found = hub.tell("events 200 10")
    reached = "reached" if found["p99_ms"] < 1000 else "NOT REACHED"
    print(
        f"  => event -> receiver at {found['per_s']:.0f} events/s: p50 {found['p50_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms, "
        f"max {found['max_ms']:.0f} ms   aim p99 < 1000: {reached}\n"
    )


def draining(rig: Rig, backlog: int = 20_000, allowed_per_s: float = 100.0) -> None:
    """A destination with 20 000 orders in its backlog returns after an outage."""
    rig.ask("/_set?delay_ms=50&hang=&down=d0")
    with _one_destination(rig) as hub:
        hub.tell(f"seed {backlog}")
        hub.tell(f"pace {1 / allowed_per_s}")
        hub.tell("start")
        time.sleep(10)
        rig.ask("/_set?down=")
        began = time.monotonic()
        while rig.rate(0.5) < 1 and time.monotonic() - began < 60:
            pass
        noticed = time.monotonic() - began
        time.sleep(WARM_UP_S)
        rate = rig.rate(20)
    print(
        f"  {backlog} orders, allowed {allowed_per_s:.0f}/s: {rate:.1f}/s, first push {noticed:.1f} s after the return"
    )
    _say("drain / allowed rate", rate / allowed_per_s, 0.8)


def history(rig: Rig, few: int = 1000, many: int = 1_000_000) -> None:
    """The same speed whatever has ended before."""
    rig.ask("/_set?delay_ms=50&hang=&down=")
    rates = {}
    for count in (few, many):
        with rig.hub() as hub:
            hub.tell(f"finished {count}")
            hub.tell(f"seed {BACKLOG}")
            hub.tell("start")
            time.sleep(WARM_UP_S)
            rates[count] = rig.rate(SECONDS)
    print(f"  {few} finished: {rates[few]:.0f}/s, {many} finished: {rates[many]:.0f}/s")
    _say("speed with 1 000 000 finished / with 1 000", rates[many] / rates[few], 0.8)


@contextmanager
def _one_destination(rig: Rig) -> Iterator[Side]:
    fresh = rig.databases.fresh()
    try:
        with _side("deliveries_hub", rig.port, THREADS, 1, fresh.url, rig.redis_url) as side:
            yield side
    finally:
        rig.databases.drop(fresh)


def _rig(stack: ExitStack, name: str) -> Rig:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / "answers").write_bytes(_answers())
    (folder / "push").write_bytes(_push())
    receiver = stack.enter_context(_spawned("deliveries_receiver", folder / "answers"))
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline())
    if name == "sqlite":
        return Rig("SQLite (synchronous FULL), broker in the process", SqliteDatabases(folder), "-", port, folder)
    postgres, redis = stack.enter_context(postgres_server()), stack.enter_context(redis_server())
    databases = PostgresDatabases(postgres.admin_url)
    stack.callback(databases.close)
    return Rig(f"PostgreSQL {postgres.version}, Redis {redis.version}", databases, redis.url, port, folder)


@contextmanager
def _side(module: str, *arguments: object) -> Iterator[Side]:
    with _spawned(module, *arguments) as process:
        side = Side(process)
        try:
            yield side
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _spawned(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def _answers() -> bytes:
    token = {
        "OperatorID": "BENCH",
        "SuccStat": 0,
        "AccessToken": "bench-token",
        "TokenAvailableTime": 7200,
        "FailReason": 0,
    }
    order = {"StartChargeSeq": "987654321260302030400000001", "ConnectorID": "0000000000000101", "ConfirmResult": 0}
    return b"\n".join(_sealed({"Ret": 0, "Msg": ""}, body, "0") for body in (token, order))


def _push() -> bytes:
    head = {"OperatorID": "MA5BENCH1", "TimeStamp": "20260302080000", "Seq": "0001"}
    return _sealed(head, {"filler": "x" * 700}, "MA5BENCH1", "202603020800000001")


def _sealed(head: dict[str, Any], body: dict[str, Any], before: str, after: str = "") -> bytes:
    plain = orjson.dumps(body)
    pad = 16 - len(plain) % 16
    data = base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY).encrypt(plain + bytes([pad]) * pad)).decode()
    sig = hmac.digest(KEY, f"{before}{data}{after}".encode(), hashlib.md5).hex().upper()
    return orjson.dumps(head | {"Data": data, "Sig": sig})


def _listed(rates: Sequence[float]) -> str:
    return "/".join(f"{rate:.0f}" for rate in rates) + " per s"


def _say(what: str, ratio: float, aim: float | None) -> None:
    verdict = "" if aim is None else f"   aim >= {aim}: {'reached' if ratio >= aim else 'NOT REACHED'}"
    print(f"  => {what} = {ratio:.2f}{verdict}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
