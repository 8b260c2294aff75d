"""What the ledger costs: signed pushes with every attempt stored against plain dramatiq and requests without any.

    python -m tests.bench deliveries [sqlite] [postgresql] [throughput] [isolation] [latency] [draining] [history]

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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import redis
from Crypto.Cipher import AES

from tests.support.databases import Databases, FreshDatabase, PostgresDatabases, SqliteDatabases
from tests.support.servers import postgres_server, redis_server

THREADS, DESTINATIONS = 16, 10
SECONDS, WARM_UP_S, ROUNDS, FEWER_ROUNDS = 3.0, 1.5, 3, 2
BACKLOG = 4500
KEY = b"1234567890abcdef"


def main(arguments: Sequence[str]) -> None:
    """All measurements on the named databases (default: both)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    unknown = {*arguments} - {*KINDS} - {*MEASURES}
    if unknown:
        sys.exit(f"not known: {', '.join(sorted(unknown))}")
    load = f"load of the machine at the start {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(
        f"deliveries: {THREADS} threads, {DESTINATIONS} destinations, {SECONDS:.0f} s x {ROUNDS} interleaved rounds; {load}"
    )
    for kind in [kind for kind in KINDS if kind in arguments] or KINDS:
        with ExitStack() as stack:
            rig = _rig(stack, kind)
            print(f"\n{kind}: {rig.what}")
            for measure in [name for name in MEASURES if name in arguments] or USUAL[kind]:
                MEASURES[measure](rig)


@dataclass
class Rig:
    """One database kind with its servers and the receiver."""

    what: str
    databases: Databases
    redis_url: str
    port: int
    folder: Path
    processes: int
    """Workers are the same in number on both sides: so many processes share the threads."""

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
    def hub(self, destinations: int = DESTINATIONS, database: FreshDatabase | None = None) -> Iterator[Side]:
        """The measured side, on a database of its own unless one is given."""
        used = database or self.databases.fresh()
        try:
            with self._side("deliveries_hub", destinations, used.url) as side:
                yield side
        finally:
            if database is None:
                self.databases.drop(used)

    @contextmanager
    def floor(self, signing: bool = False) -> Iterator[Side]:
        """The reference; `signing`: it seals every push and checks every answer, as the protocol asks."""
        if self.redis_url != "-":
            with redis.Redis.from_url(self.redis_url) as client:
                client.flushall()
        with self._side("deliveries_floor", DESTINATIONS, self.folder / "push", "sign" if signing else "plain") as side:
            yield side

    @contextmanager
    def _side(self, module: str, destinations: int, *more: object) -> Iterator[Side]:
        with ExitStack() as stack:
            words = (self.port, THREADS // self.processes, destinations, self.redis_url, *more)
            processes = [stack.enter_context(_spawned(module, *words)) for _ in range(self.processes)]
            yield Side(processes)
            for process in processes:
                _end(process)


@dataclass
class Side:
    """Processes that obey."""

    processes: Sequence[subprocess.Popen[str]]

    def tell(self, command: str) -> Any:
        """Send a command to the first process and return its result; `start`, `pace` and `drop_open` are for all of them."""
        everybody = command.split(maxsplit=1)[0] in ("start", "pace", "drop_open")
        return self.ask_all(command)[0] if everybody else _tell(self.processes[0], command)

    def ask_all(self, command: str) -> list[Any]:
        """Send a command to every process and return their results."""
        return [_tell(process, command) for process in self.processes]


def throughput(rig: Rig) -> None:
    """The ratio that the issue asks for, at 50 ms, and the figure at 0 ms; beside it a floor that signs as the protocol asks."""
    _compare(rig, 50, ROUNDS, 3000)
    _compare(rig, 0, 1, 8000)


def _compare(rig: Rig, delay_ms: int, rounds: int, backlog: int) -> None:
    sides: dict[str, Callable[[], AbstractContextManager[Side]]] = {
        "floor": rig.floor,
        "signing floor": lambda: rig.floor(signing=True),
        "hub": rig.hub,
    }
    rig.ask(f"/_set?delay_ms={delay_ms}&hang=&down=")
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            if name == "signing floor" and number:
                continue  # only for comparison
            with side() as process:
                process.tell(f"seed {backlog}")
                rates[name].append(_rate_of(rig, process))
    floor, signing, hub = (statistics.median(rates[name]) for name in sides)
    print(f"  {delay_ms:>2} ms: " + ", ".join(f"{name} {_listed(found)}" for name, found in rates.items()))
    aim = 0.9 if delay_ms else None
    _say(f"signed pushes, every attempt stored / plain dramatiq + requests, {delay_ms} ms", hub / floor, aim)
    _say("the same against a floor that signs and checks too (for comparison)", hub / signing, None)


def isolation(rig: Rig) -> None:
    """What nine destinations get while the tenth hangs on every call, against what the same nine get just before."""
    whole, beside = [], []
    for _ in range(FEWER_ROUNDS):
        rig.ask("/_set?delay_ms=50&hang=&down=")
        with rig.hub() as hub:
            hub.tell(f"seed {BACKLOG}")
            whole.append(_rate_of(rig, hub, lambda name: name != "d3"))
            rig.ask("/_set?hang=d3")
            time.sleep(1.0)
            beside.append(rig.rate(SECONDS, lambda name: name != "d3"))
    rig.ask("/_set?hang=")
    print(f"  nine destinations: {_listed(whole)}, beside a hanging one {_listed(beside)}")
    pairs = [after / before for before, after in zip(whole, beside, strict=True)]
    _say("healthy destinations beside a hanging one", statistics.median(pairs), 0.95)


def latency(rig: Rig) -> None:
    """From the commit of an event to the receiver's answer (which itself comes at once)."""
    rig.ask("/_set?delay_ms=0")
    with rig.hub() as hub:
        hub.tell("start")
        hub.tell("events 50 2")
        committed: dict[str, float] = hub.tell("events 200 8")
        answered = _answered(hub, committed.keys())
    took = sorted((answered[key] - at) * 1000 for key, at in committed.items() if key in answered)
    per_s = len(committed) / (max(committed.values()) - min(committed.values()))
    p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    reached = "reached" if p99 < 1000 and len(took) == len(committed) else "NOT REACHED"
    print(
        f"  => event -> receiver at {per_s:.0f} events/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {took[-1]:.0f} ms, "
        f"{len(committed) - len(took)} unanswered   aim p99 < 1000: {reached}\n"
    )


def _answered(hub: Side, wanted: Collection[str]) -> dict[str, float]:
    end = time.monotonic() + 20
    while True:
        found: dict[str, float] = {}
        for one in hub.ask_all("answered"):
            found |= one
        if time.monotonic() > end or not {*wanted} - {*found}:
            return found
        time.sleep(0.2)


def draining(rig: Rig, backlog: int = 20_000, allowed_per_s: float = 50.0) -> None:
    """A destination with 20 000 orders in its backlog returns after an outage; four calls of 50 ms at once would allow 80 a second."""
    rig.ask("/_set?delay_ms=50&hang=&down=d0")
    with rig.hub(destinations=1) as hub:
        hub.tell(f"seed {backlog}")
        hub.tell(f"pace {1 / allowed_per_s}")
        hub.tell("start")
        time.sleep(6)
        rig.ask("/_set?down=")
        began = time.monotonic()
        while rig.rate(0.5) < 1 and time.monotonic() - began < 60:
            pass
        noticed = time.monotonic() - began
        time.sleep(WARM_UP_S)
        rate = rig.rate(10)
    print(
        f"  {backlog} orders, allowed {allowed_per_s:.0f}/s: {rate:.1f}/s, first push {noticed:.1f} s after the return"
    )
    _say("drain / allowed rate", rate / allowed_per_s, 0.8)


def history(rig: Rig, few: int = 1000, many: int = 1_000_000) -> None:
    """The same speed whatever has ended before."""
    rig.ask("/_set?delay_ms=50&hang=&down=")
    rates: dict[int, list[float]] = {few: [], many: []}
    kept = {count: rig.databases.fresh() for count in rates}
    try:
        for number in range(FEWER_ROUNDS):
            for count, database in kept.items():
                with rig.hub(database=database) as hub:
                    if number == 0:
                        hub.tell(f"finished {count}")
                    hub.tell(f"seed 2000 {1 + number * 2000}")
                    rates[count].append(_rate_of(rig, hub))
                    hub.tell("drop_open")
    finally:
        for database in kept.values():
            rig.databases.drop(database)
    print(f"  {few} finished: {_listed(rates[few])}, {many} finished: {_listed(rates[many])}")
    pairs = [much / little for little, much in zip(rates[few], rates[many], strict=True)]
    _say("speed with 1 000 000 finished / with 1 000", statistics.median(pairs), 0.8)


def _rate_of(rig: Rig, side: Side, destinations: Callable[[str], bool] = lambda _name: True) -> float:
    side.tell("start")
    time.sleep(WARM_UP_S)
    return rig.rate(SECONDS, destinations)


KINDS = ("sqlite", "postgresql")
MEASURES: dict[str, Callable[[Rig], None]] = {
    "throughput": throughput,
    "isolation": isolation,
    "latency": latency,
    "draining": draining,
    "history": history,
}
USUAL = {"sqlite": ("throughput", "isolation", "latency"), "postgresql": tuple(MEASURES)}
"""What is measured when nothing is named: all of it takes five to six minutes."""


def _rig(stack: ExitStack, name: str) -> Rig:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / "answers").write_bytes(_answers())
    (folder / "push").write_bytes(_push())
    receiver = stack.enter_context(_spawned("deliveries_receiver", folder / "answers"))
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline())
    if name == "sqlite":
        return Rig("SQLite (synchronous FULL), broker in the process", SqliteDatabases(folder), "-", port, folder, 1)
    postgres, cache = stack.enter_context(postgres_server()), stack.enter_context(redis_server())
    databases = PostgresDatabases(postgres.admin_url)
    stack.callback(databases.close)
    what = f"PostgreSQL {postgres.version}, Redis {cache.version}, two worker processes"
    return Rig(what, databases, cache.url, port, folder, 2)


def _tell(process: subprocess.Popen[str], command: str) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(command + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline()).get("result")


def _end(process: subprocess.Popen[str]) -> None:
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
