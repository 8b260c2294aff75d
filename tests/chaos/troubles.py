"""What goes wrong in a storm: each trouble strikes, lasts a moment and leaves a stage that is whole again.

Chosen by a seeded generator; the fault points stop a process exactly there, the plain kills wherever it happens to be.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests

from charging_core.clock import write_clock_file
from tests.e2e.programs import HubProgram
from tests.e2e.stage import ORDER_PUSH, Stage
from tests.support.processes import ServerProcess
from tests.support.servers import PostgresServer, libpq_url
from tests.support.waiting import wait_until

FAULT_POINTS = {
    "worker": (
        "relay.before_commit",
        "worker.after_claim",
        "worker.after_begin",
        "worker.before_send",
        "worker.after_send",
        "worker.before_record",
        "worker.after_record",
        f"worker.after_send:{ORDER_PUSH}",
    ),
    "piles": ("piles.record.committed",),
}
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "http_500"},
    {"kind": "hang", "value": 3},
    {"kind": "slow", "value": 1},
    {"kind": "close"},
    {"kind": "close_after"},
    {"kind": "close_body"},
    {"kind": "twice"},
    {"kind": "wrong_sig"},
    {"kind": "garbage"},
    {"kind": "truncated"},
    {"kind": "ret", "value": -1},
    {"kind": "4002_once"},
    {"kind": "confirm_result", "value": 1},
)
"""What a partner or regulator does wrong; each is set for a few requests, and healed with the next choice or at the end."""
AT_THE_POINT_S = {"worker": 5.0, "piles": 10.0}
"""Real seconds to wait for a process to come to its fault point; it is killed then wherever it is. A trade record takes longer to
come than a delivery."""
AT_A_POINT = "killed at a fault point"
SUPERVISED = 3
"""Times that a process is started again until it is up."""
FORWARD_S, BACK_S = (30, 300), (5, 30)
"""Business seconds by which the shared clock jumps. Partners refuse calls that are ten minutes off, so not farther."""


@dataclass
class Troubles:
    """Strikes the stage at random and counts what it did. `rate` is the speed of the stage's clock meanwhile."""

    stage: Stage
    chance: random.Random
    postgres: PostgresServer | None
    folder: Path
    rate: float
    done: Counter[str] = field(default_factory=Counter)
    strikes: int = 0
    _deck: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """One trouble, drawn from a shuffled deck that holds every kind, so that a storm has some of everything; first a fault point."""
        kinds = self._kinds()
        if not self._deck:
            self._deck = [name for name, (times, _) in kinds.items() for _ in range(times)]
            self.chance.shuffle(self._deck)
            self._deck += [] if self.strikes else [AT_A_POINT]
        name = self._deck.pop()
        self.strikes += 1
        kinds[name][1]()
        self.done[name] += 1

    def heal(self) -> None:
        """Everybody answers rightly, every process runs and is ready."""
        self.stage.partner.faults.replace([])
        self.stage.regulator.faults.replace([])
        for program in self.stage.programs.values():
            self._up(program)

    def _kinds(self) -> dict[str, tuple[int, Callable[[], None]]]:
        """How often each kind is in the deck, and what it does."""
        kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "others misbehave": (3, self._misbehave),
            "killed": (2, self._kill),
            AT_A_POINT: (2, self._kill_at_point),
            "clock jumped": (1, self._jump),
        }
        if self.stage.redis is not None:
            kinds["redis flushed"] = (1, self._flush_redis)
            if self.stage.redis.process is not None:
                kinds["redis restarted"] = (1, self._restart_redis)
        if self.postgres is not None and self.postgres.process is not None:
            kinds["postgresql crashed"] = (1, self._crash_postgres)
        return kinds

    # -- the others

    def _misbehave(self) -> None:
        for other in (self.stage.partner, self.stage.regulator):
            chosen = self.chance.sample(FAULTS, 3)
            other.faults.replace([{**fault, "times": self.chance.randint(1, 3)} for fault in chosen])
            self.done.update(f"fault {fault['kind']}" for fault in chosen)
        time.sleep(self.chance.uniform(0.5, 1.5))

    # -- our own processes

    def _kill(self) -> None:
        program = self.stage.programs[self.chance.choice(sorted(self.stage.programs))]
        self._end(program)
        program.start()
        self._ready(program)

    def _kill_at_point(self) -> None:
        role = self.chance.choice(["worker", "worker", "piles"])
        point, marker = self.chance.choice(FAULT_POINTS[role]), self.folder / "marker"
        program = self.stage.program(role)
        marker.unlink(missing_ok=True)
        self._end(program)
        program.start(HUB_FAULT_POINT=point, HUB_FAULT_MARKER=str(marker))
        end = time.monotonic() + AT_THE_POINT_S[role]
        while not marker.exists() and time.monotonic() < end:
            time.sleep(0.02)
        self.done[f"at {point}" if marker.exists() else f"near {point}"] += 1
        self._end(program)
        program.start()
        self._ready(program)

    def _end(self, program: HubProgram) -> None:
        if program.alive():
            program.kill()
            self.done[f"kill -9 {program.name}"] += 1

    def _ready(self, program: HubProgram) -> None:
        """Half of the time the next trouble comes before it is ready, if others go on meanwhile."""
        if len(self.stage.programs) == 1 or self.chance.random() < 0.5:
            self._up(program)

    def _up(self, program: HubProgram) -> None:
        """Ready, with a supervisor's help: a process whose database went away while it started ends, and is started again."""
        for _ in range(SUPERVISED):
            if not program.alive():
                program.start()
            with suppress(AssertionError):
                return program.wait_ready()
            assert not program.alive(), f"{program.name} is not ready:\n{program.tail()}"
            self.done["started again"] += 1
        raise AssertionError(f"{program.name} does not stay up:\n{program.tail()}")

    # -- what it stands on

    def _jump(self) -> None:
        back = self.chance.random() < 0.3
        step = -self.chance.uniform(*BACK_S) if back else self.chance.uniform(*FORWARD_S)
        write_clock_file(self.stage.folder / "clock.json", self.stage.clock.now() + timedelta(seconds=step), self.rate)
        self.done["clock back" if back else "clock forward"] += 1

    def _flush_redis(self) -> None:
        with redis.Redis.from_url(self.stage.environment["HUB_REDIS_URL"]) as client, suppress(redis.RedisError):
            client.flushall()

    def _restart_redis(self) -> None:
        assert self.stage.redis is not None
        url = self.stage.redis.url
        _restart(self.stage.redis.process, signal.SIGKILL, lambda: _redis_answers(url))

    def _crash_postgres(self) -> None:
        assert self.postgres is not None
        url = self.postgres.admin_url
        # SIGQUIT: immediate shutdown, the same as a crash of the server; what was committed must be there afterwards.
        _restart(self.postgres.process, signal.SIGQUIT, lambda: _postgres_answers(url))


def make_commits_last(owner_url: str) -> None:
    """The tests' server acknowledges commits before they are written; here it is going to crash, so it must not."""
    with psycopg.connect(libpq_url(owner_url), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET synchronous_commit = on')


def answering(what: Callable[[], object]) -> bool:
    """Whether a call to the hub worked; it is allowed to be away during a storm."""
    with suppress(requests.RequestException, AssertionError):
        what()
        return True
    return False


def _restart(process: ServerProcess | None, how: signal.Signals, answers: Callable[[], bool]) -> None:
    assert process is not None
    process.restart(how)
    wait_until(answers, f"{process.name} to be back", 30, 0.05)


def _redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client, suppress(redis.RedisError):
        return bool(client.ping())
    return False


def _postgres_answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(libpq_url(url), connect_timeout=2):
        return True
    return False
