"""The project's own fuzzing loop: one process, deterministic by seed."""

from __future__ import annotations

import faulthandler
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.inputs import Inputs
from tests.fuzz.promises import Shown, examine, examine_values

BATCH = 2000
HANG_S = 10
"""CPU seconds for a batch, which takes a fraction of one: more is a hang, however busy the machine."""
CORPUS = 2000
"""Inputs kept because they showed something new; what is varied, and what the coverage pass runs."""
WARM_UP = 100_000
"""Inputs before memory is measured the first time: caches and the corpus are filled by then."""


@dataclass
class Outcome:
    """What one process did."""

    count: int = 0
    valid: int = 0
    seconds: float = 0.0
    rss_before_kib: int = 0
    rss_after_kib: int = 0
    corpus: list[bytes] = field(default_factory=list)
    broken: str = ""


def loop(count: int, seed: int, found: Sequence[bytes] = ()) -> Outcome:
    """`count` inputs; those with a new signature are kept and varied, and so is what was `found` before."""
    inputs, values, outcome = Inputs(seed), random.Random(seed), Outcome()
    inputs.learned += found
    room = len(inputs.learned) + CORPUS
    seen: set[Shown] = set()
    began = time.monotonic()
    faulthandler.register(signal.SIGVTALRM, chain=True)  # shows where it hangs, then ends the process
    for start in range(0, count, BATCH):
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
        if outcome.count >= WARM_UP and not outcome.rss_before_kib:
            outcome.rss_before_kib = _rss_kib()
        for number in range(start, min(start + BATCH, count)):
            wire = inputs.one()
            try:
                shown = examine(wire, number)
                if number % 10 == 0:
                    examine_values(values)
            except Exception as error:  # whatever it is, it is what we look for
                outcome.broken = f"{type(error).__name__}: {error}   input {wire.hex()}   number {number}"
                return outcome
            outcome.count += 1
            outcome.valid += len(shown) > 6
            if shown not in seen and len(inputs.learned) < room:
                seen.add(shown)
                inputs.learned.append(wire)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    outcome.seconds, outcome.rss_after_kib = time.monotonic() - began, _rss_kib()
    outcome.rss_before_kib = outcome.rss_before_kib or outcome.rss_after_kib
    outcome.corpus = inputs.learned
    return outcome


def _rss_kib() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
