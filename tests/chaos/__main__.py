"""`make chaos`: the long storm, on SQLite (the embedded program) and on PostgreSQL + Redis (four processes).

    python -m tests.chaos [--minutes 10] [--leg sqlite] [--leg postgresql] [--seed N]

The minutes are shared by the legs. Every round is a storm of half a minute that ends with everything drained and counted; the same
stage goes on into the next. Prints the counts; ends with 1 when an invariant is broken, naming the seed of the round.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.storm import StormRun
from tests.chaos.troubles import make_commits_last
from tests.e2e.stage import set_stage
from tests.support.databases import Databases, PostgresDatabases, SqliteDatabases
from tests.support.servers import PostgresServer, postgres_server, redis_server, server_folder

LEGS = ("sqlite", "postgresql")
ROUND_S = 30.0
CARS = 6
LEVELS = ("orders", "attempts", "order pushes", "of them", "deliveries")
"""Counts that a round reads from the database and the logs, so they hold all rounds before it; the others are added up."""


def main(argv: list[str]) -> int:
    """Run the legs one after the other; 0 when every invariant held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="the long storm")
    parser.add_argument("--minutes", type=float, default=10.0, help="real minutes of storm in all")
    parser.add_argument("--leg", action="append", choices=LEGS, help="only this database (repeatable)")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; chosen when not given")
    wanted = parser.parse_args(argv)
    legs = wanted.leg or list(LEGS)
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    failed = [leg for leg in legs if not _leg(leg, wanted.minutes * 60 / len(legs), seed)]
    _say(f"FAILED on {', '.join(failed)}" if failed else "every invariant held")
    return 1 if failed else 0


def _leg(leg: str, seconds: float, seed: int) -> bool:
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder("chaos"))
        postgres = stack.enter_context(postgres_server()) if leg == "postgresql" else None
        redis = stack.enter_context(redis_server()) if leg == "postgresql" else None
        databases = _databases(stack, folder, postgres)
        database = databases.fresh()
        if postgres is not None:
            make_commits_last(database.owner_url)
        _say(f"{leg}: {seconds:.0f} s of storm, first seed {seed}")
        stage = stack.enter_context(set_stage(folder, database, redis, CARS))
        connectors = [stage.free_connector() for _ in range(CARS)]
        return _rounds(lambda number: StormRun(stage, connectors, seed + number, postgres, folder), seconds)


def _databases(stack: ExitStack, folder: Path, postgres: PostgresServer | None) -> Databases:
    if postgres is None:
        return SqliteDatabases(folder)
    made = PostgresDatabases(postgres.admin_url)
    stack.callback(made.close)
    return made


def _rounds(storm: Callable[[int], StormRun], seconds: float) -> bool:
    total: dict[str, int] = {}
    began, raged, number = time.monotonic(), 0.0, 0
    while raged < seconds:
        now = min(ROUND_S, seconds - raged)
        try:
            told = storm(number).blow(now)
        except AssertionError as problem:
            _say(f"round {number}: {problem}")
            return False
        raged, number = raged + now, number + 1
        for name, count in told.items():
            total[name] = count + (0 if name.startswith(LEVELS) else total.get(name, 0))
        _say(f"round {number}: {raged:.0f} s of storm, {time.monotonic() - began:.0f} s in all")
    for name, count in sorted(total.items()):
        _say(f"  {name:<40} {count}")
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
