"""Cars that charge while everything goes wrong: each does it again and again on one connector, whatever it is answered."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.e2e.stage import Stage

SHORTEST_S, LONGEST_S = 0.5, 3.0
"""Real seconds of a charge, and between two."""
TRIES_TO_STOP = 3
"""Then the plug is pulled, which ends any charge."""


@dataclass
class Car:
    """One car at one connector, in a thread of its own until `over`."""

    stage: Stage
    connector: str
    chance: random.Random
    over: threading.Event
    seqs: list[str] = field(default_factory=list)
    """Every charge that the partner asked for, started or not."""
    problems: list[str] = field(default_factory=list)

    def drive(self) -> None:
        """Charge until the storm is over; the plug is out at the end."""
        try:
            while not self.over.is_set():
                self._charge_once()
                self._linger()
        except Exception as error:  # a thread's end must be seen by the test, not only on standard error
            self.problems.append(f"{self.connector}: {error!r}")

    def _charge_once(self) -> None:
        self.stage.piles.plug(self.connector, soc=20, battery_kwh=80, power_kw=60)
        told = self.stage.partner.charge(self.connector, "浙AD12345")
        seq = str(told["start_charge_seq"])
        if seq:
            self.seqs.append(seq)
            self._linger()
            self._stop(seq)
        self.stage.piles.unplug(self.connector)

    def _stop(self, seq: str) -> None:
        for _ in range(self.chance.randint(0, TRIES_TO_STOP)):
            self.stage.partner.stop_charge(seq)
            self._linger()
            if self._pile()["phase"] != "charging":
                return

    def _pile(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.piles.state(self.connector)["connectors"][0]
        return found

    def _linger(self) -> None:
        self.over.wait(self.chance.uniform(SHORTEST_S, LONGEST_S))


def all_records_confirmed(stage: Stage, connectors: list[str]) -> bool:
    """No pile holds a record that nobody has taken."""
    with suppress(requests.RequestException):
        return not any(stage.piles.state(connector)["unconfirmed_records"] for connector in connectors)
    return False


def run_all(cars: list[Car]) -> list[threading.Thread]:
    """Start the cars, a little apart."""
    threads = [threading.Thread(target=car.drive, name=f"car-{car.connector}") for car in cars]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    return threads
