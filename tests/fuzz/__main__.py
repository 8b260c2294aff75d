"""`make fuzz`: many inputs for the codec, in two processes, with memory, speed and branch coverage printed.

    make fuzz ARGS="--count 10000000"        # libFuzzer by atheris where it can be installed, then the own loop on what it found
    make fuzz ARGS="--engine own --count …"  # own loop only: varies what showed something new

An input that breaks a promise is printed as hex and ends the run with status 1; an input that hangs ends it with a traceback.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from charging_core.piles.protocols.ykc import codec, cp56, crc, describe, framing, layout
from charging_core.piles.protocols.ykc.tables.directory import TABLES
from tests.fuzz.atheris_target import wire_of
from tests.fuzz.branches import Branches
from tests.fuzz.inputs import SEEDS
from tests.fuzz.loop import CORPUS, HANG_S, Outcome, loop
from tests.fuzz.promises import examine, examine_values

MEASURED = (codec, cp56, crc, describe, framing, layout)


ATHERIS_SHARE = 0.05
"""Part of the inputs that libFuzzer makes: its feedback finds new ways, the own loop has the speed (five times) for the rest."""


def main() -> int:
    """Run, print, and say by the status whether every promise held."""
    options = _options()
    engine = options.engine
    if engine == "auto":
        engine = "both" if importlib.util.find_spec("atheris") else "own"
    processes = max(1, min(options.processes, os.cpu_count() or 1))
    print(f"engine {engine}, {options.count:,} inputs, {processes} processes, seed {options.seed}", flush=True)
    guided = {"own": 0, "atheris": options.count, "both": int(options.count * ATHERIS_SHARE)}[engine]
    found: list[bytes] = []
    if guided:
        code = _atheris(options, guided, processes)
        found = _corpus(Path(options.corpus))
        if code:
            return code
    return _own(options, options.count - guided, processes, found)


def _own(options: argparse.Namespace, count: int, processes: int, found: list[bytes]) -> int:
    shares = [(count // processes, options.seed + n, found) for n in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        outcomes = pool.starmap(loop, shares)
    _print(outcomes, options.count - count, found)
    return 1 if any(outcome.broken for outcome in outcomes) else 0


def _print(outcomes: list[Outcome], guided: int, found: list[bytes]) -> None:
    for number, outcome in enumerate(outcomes, 1):
        if outcome.broken:
            print(f"BROKEN after {outcome.count:,} inputs: {outcome.broken}")
            continue
        share = 100 * outcome.valid / max(1, outcome.count)
        print(
            f"process {number}: {outcome.count:,} inputs in {outcome.seconds:.0f} s"
            f" ({outcome.count / max(outcome.seconds, 1e-9):,.0f}/s), {share:.0f} % with valid length and CRC,"
            f" memory {outcome.rss_before_kib / 1024:.1f} MiB -> {outcome.rss_after_kib / 1024:.1f} MiB,"
            f" corpus {len(outcome.corpus)}"
        )
    own = sum(outcome.count for outcome in outcomes)
    print(f"inputs in all: {own + guided:,} ({own:,} own loop, {guided:,} atheris)")
    corpus = [*found, *(wire for outcome in outcomes for wire in outcome.corpus)]
    print("\n".join(coverage(corpus)))


def coverage(corpus: list[bytes]) -> list[str]:
    """Branch coverage of the codec over a corpus and its numbers."""
    branches = Branches(MEASURED)
    source = random.Random(0)

    def work() -> None:
        for table in TABLES.values():
            layout.Layout(table.fields)
            layout.Layout(table.tail.fields if table.tail else ())
        for number, wire in enumerate(corpus):
            examine(wire, number)
            examine(wire, 8 * number)
            examine_values(source)
            examine_values(source)

    branches.run(work)
    return branches.report()


def _atheris(options: argparse.Namespace, count: int, processes: int) -> int:
    commands = []
    for number in range(processes):
        corpus = Path(options.corpus) / str(number)
        corpus.mkdir(parents=True, exist_ok=True)
        for place, seed in enumerate(SEEDS):
            (corpus / f"seed-{place}").write_bytes(bytes((1, seed[5], *seed[2:4], 0)) + seed[6:-2])
        flags = [f"-runs={count // processes}", f"-seed={options.seed + number}", f"-timeout={HANG_S}"]
        flags += ["-max_len=400", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1", str(corpus)]
        commands.append([sys.executable, "-m", "tests.fuzz.atheris_target", *flags])
    running = [subprocess.Popen(command) for command in commands]
    return max(process.wait() for process in running)


def _corpus(folder: Path) -> list[bytes]:
    """What libFuzzer kept, as the inputs it stood for."""
    files = itertools.islice((path for path in sorted(folder.rglob("*")) if path.is_file()), CORPUS)
    return [wire_of(path.read_bytes()) for path in files]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--engine", choices=("auto", "own", "atheris"), default="auto")
    parser.add_argument("--corpus", default=".hypothesis/fuzz-corpus", help="where atheris keeps its corpus")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
