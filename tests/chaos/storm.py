"""A storm over a stage: cars charge, troubles strike, then all is healed and everything must come to its end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from charging_core.clock import write_clock_file
from charging_core.db import Database
from tests.chaos import invariants
from tests.chaos.traffic import Car, all_records_confirmed, run_all
from tests.chaos.troubles import Troubles, answering
from tests.e2e.stage import FAST, SLOW, Stage
from tests.support.servers import PostgresServer
from worker import destinations
from worker.api import Destination
from worker.model import DestinationState

RATE = 12.0
"""Twice the speed of hand-shakes: some starts may miss their deadline, which is one more thing to survive."""
DRAIN_S = 150.0
"""Real seconds in which everything must be at its end after the storm; most of them are for a busy machine."""
QUIET_S = 15.0
"""Longest real time between two troubles."""
AT_LEAST = 3
"""Troubles of a storm, on a machine so slow that its time is over before."""
FAR_S = 20.0
"""Business seconds to the next attempt beyond which the clock is moved on instead of waited for."""


@dataclass
class StormRun:
    """One storm. `seed` decides all choices; what the machine does in between is its own."""

    stage: Stage
    connectors: list[str]
    seed: int
    postgres: PostgresServer | None
    folder: Path
    say: Callable[[str], None] = field(default=lambda _text: None)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._troubles = Troubles(self.stage, self._chance, self.postgres, self.folder, RATE)
        self._over = threading.Event()
        self._cars = [
            Car(self.stage, connector, random.Random(self.seed + number), self._over)
            for number, connector in enumerate(self.connectors, start=1)
        ]

    def blow(self, seconds: float) -> dict[str, int]:
        """Storm for so many real seconds, then heal, drain and check. Returns the counts; fails naming the seed."""
        db = Database(self.stage.environment["HUB_DATABASE_URL"])
        try:
            self._rage(seconds)
            storm = self._calm(db)
            with db.read_system("chaos") as session:
                problems = invariants.broken(session, self.stage, storm, self.stage.clock.now())
                found = invariants.counts(session, self.stage, storm)
        finally:
            db.close()
        told = {**self._troubles.done, **found}
        assert not problems, "\n".join([f"seed {self.seed}, {told}", *problems[:40]])
        return told

    def _rage(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.stage.speed(RATE)
        threads = run_all(self._cars)
        try:
            while time.monotonic() < end or self._troubles.strikes < AT_LEAST:
                self._troubles.strike()
                self._go_on_a_little()
        finally:
            self._over.set()
            for thread in threads:
                thread.join(60)
            self._troubles.heal()
        problems = [problem for car in self._cars for problem in car.problems]
        assert not problems, f"seed {self.seed}: {problems}"

    def _go_on_a_little(self) -> None:
        """Until another charge was asked for: the next trouble shall find somebody to hurt, however slow the machine is."""
        asked, end = self._asked(), time.monotonic() + QUIET_S
        while self._asked() == asked and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(self._chance.uniform(0.2, 1.0))

    def _asked(self) -> int:
        return sum(len(car.seqs) for car in self._cars)

    def _calm(self, db: Database) -> invariants.Storm:
        """Wait until nothing of the storm is left to be done."""
        stage = self.stage
        stage.speed(SLOW)
        self._until("the piles are back", lambda: answering(stage.all_online) and stage.all_online())
        self._until("every record is confirmed", lambda: all_records_confirmed(stage, self.connectors))
        seqs = [seq for car in self._cars for seq in car.seqs]
        storm = invariants.Storm(seqs, stage.clock.now() + timedelta(seconds=1))
        stage.speed(FAST)
        left: list[str] = []

        def drained() -> bool:
            with db.read_system("chaos") as session:
                left[:] = invariants.unfinished(session, storm)
                due = invariants.next_due(session, storm)
            self._release_held(db)
            if left and due is not None and due > stage.clock.now() + timedelta(seconds=FAR_S):
                write_clock_file(stage.folder / "clock.json", due, FAST)
            return not left

        self._until("everything is at its end", drained, left)
        self._until("the others know the last word", lambda: self._same_word(left), left)
        stage.speed(SLOW)
        return storm

    def _release_held(self, db: Database) -> None:
        """What an operator does who finds a destination on hold after an outage; counted, because it should be rare."""
        with db.read_system("chaos") as session:
            held = session.scalars(select(DestinationState).where(DestinationState.held)).all()
        for state in held:
            with db.session(state.tenant_id) as session:
                destinations.release(
                    session, Destination(state.kind, state.destination_id), self.stage.clock.now(), "chaos"
                )
            self._troubles.done[f"released after: {state.hold_reason}"] += 1

    def _same_word(self, left: list[str]) -> bool:
        left[:] = invariants.another_last_word(self.stage)
        return not left

    def _until(self, what: str, holds: Callable[[], bool], left: list[str] | None = None) -> None:
        end = time.monotonic() + DRAIN_S
        while not holds():
            dead = [program.name for program in self.stage.programs.values() if not program.alive()]
            assert not dead, f"seed {self.seed}: {dead} ended by themselves"
            assert time.monotonic() < end, f"seed {self.seed}: not within {DRAIN_S} s: {what} {left or ''}"
            time.sleep(0.1)
