"""The municipal room assembled: what `hub/` wires into worker and scheduler processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from charging_core.clock import Clock
from charging_core.db import Database
from charging_core.secretbox import SecretBox
from municipal.calling import Clients
from municipal.driver import RegulatorDriver
from municipal.profiles.schema import SWEEP_S
from municipal.sweeps import NEWS_EVERY_S, NewsSweep, PeriodSweep
from partners.exchanges import ExchangeRecorder
from worker.api import Registry


def register(
    registry: Registry,
    db: Database,
    clock: Clock,
    box: SecretBox,
    recorder: ExchangeRecorder,
    *,
    after_planning: Callable[[], None] | None = None,
) -> Clients:
    """Bring the driver and the jobs; returns the clients, to be closed after the traffic.

    `recorder` is the partners' (its owner starts and stops it). `after_planning` wakes the worker when a sweep has planned something.
    """
    clients = Clients(db, box, clock, recorder)
    registry.register(RegulatorDriver(clock, clients))

    def job(sweep: Callable[[datetime], int]) -> Callable[[datetime], None]:
        def run(tick: datetime) -> None:
            if sweep(tick) and after_planning is not None:
                after_planning()

        return run

    registry.schedule("regulator_periods", job(PeriodSweep(db, clock).run), every_s=SWEEP_S)
    registry.schedule("regulator_news", job(NewsSweep(db, clock).run), every_s=NEWS_EVERY_S)
    return clients
