"""Three hundred charges with random faults against the real pile server and database: each record is billed exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from random import Random

import pytest
import structlog

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.charging_core.soak.soak_invariants import check
from tests.charging_core.soak.soak_run import SoakRun
from tests.charging_core.soak.soak_troubles import SWITCHES
from tests.charging_core.soak.soak_yard import SoakYard


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Some ten thousand log lines that nobody reads are a fifth of the time."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


CHARGES, PILES, SEED = 300, 40, 20260302


@pytest.mark.timeout(300)
def test_every_charge_is_billed_exactly_once(db: Database, manual_clock: ManualClock) -> None:
    run = SoakRun(SoakYard(db, manual_clock, PILES, Random(SEED)), CHARGES)
    asyncio.run(run.play())
    counts = check(run)
    assert counts["orders"] >= CHARGES
    assert counts["settled"] > CHARGES * 3 // 4
    assert len(run.counted("trouble")) > len(SWITCHES) * 3 // 4
