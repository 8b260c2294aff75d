"""`make soak`: ten thousand charges with random faults on each database, counted on both sides.

    python -m tests.charging_core.soak [--charges 10000] [--leg sqlite] [--leg postgresql] [--piles 100] [--seed N]

Prints how often each fault and each end was survived; ends with 1 when an invariant is broken, naming the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import secrets
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from random import Random

import structlog

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.charging_core.soak.soak_invariants import check
from tests.charging_core.soak.soak_run import SoakRun
from tests.charging_core.soak.soak_yard import SoakYard
from tests.support.databases import Databases, PostgresDatabases, SqliteDatabases
from tests.support.servers import postgres_server, server_folder

LEGS = ("sqlite", "postgresql")
TELL_EVERY_S = 60.0
START = datetime(2026, 3, 2, tzinfo=UTC)


def main(argv: list[str]) -> int:
    """Run the legs one after the other; 0 when every invariant held."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.charging_core.soak", description="charges with random faults"
    )
    parser.add_argument("--charges", type=int, default=10_000, help="charges per database")
    parser.add_argument("--piles", type=int, default=100, help="simulated piles")
    parser.add_argument("--leg", action="append", choices=LEGS, help="only this database (repeatable)")
    parser.add_argument("--seed", type=int, default=None, help="chosen when not given")
    wanted = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    failed = [leg for leg in wanted.leg or LEGS if not _leg(leg, wanted.charges, wanted.piles, seed)]
    _say(f"FAILED on {', '.join(failed)}, seed {seed}" if failed else "every invariant held")
    return 1 if failed else 0


def _leg(leg: str, charges: int, piles: int, seed: int) -> bool:
    with ExitStack() as stack:
        databases: Databases
        if leg == "postgresql":
            made = PostgresDatabases(stack.enter_context(postgres_server()).admin_url)
            stack.callback(made.close)
            databases = made
        else:
            databases = SqliteDatabases(stack.enter_context(server_folder("soak")))
        db = Database(databases.fresh().url, synchronous="NORMAL")
        stack.callback(db.close)
        _say(f"{leg}: {charges} charges on {piles} piles, seed {seed}")
        began, cpu = time.monotonic(), time.process_time()
        run = SoakRun(SoakYard(db, ManualClock(START), piles, Random(seed)), charges, progress=_Teller().tell)
        try:
            asyncio.run(run.play())
            counts = check(run)
        except AssertionError as problem:
            _say(f"  {problem}")
            return False
        counts |= {
            "real seconds": round(time.monotonic() - began),
            "CPU seconds": round(time.process_time() - cpu),
            "peak RSS MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        _print("counts", counts)
        for title, part in (("faults survived", "trouble"), ("begun by", "way"), ("ended by", "ending")):
            _print(title, dict(run.counted(part).most_common()))
        return True


class _Teller:
    """A line a minute."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, begun: int) -> None:
        """So many charges were begun."""
        if time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            _say(f"  {begun} charges begun")


def _print(title: str, counts: dict[str, object] | dict[str, int]) -> None:
    _say(f"  {title}:")
    for name, count in counts.items():
        _say(f"    {name:28} {count:>12}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
