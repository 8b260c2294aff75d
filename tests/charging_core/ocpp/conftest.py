"""Fixtures of the OCPP tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.charging_core.ocpp.ocpp_support import LoopThread, Yard, open_yard


@pytest.fixture(scope="module")
def loop_thread() -> Iterator[LoopThread]:
    """One loop for the simulated piles of a module."""
    loop = LoopThread()
    yield loop
    loop.close()


@pytest.fixture
def yard(db: Database, manual_clock: ManualClock, loop_thread: LoopThread) -> Iterator[Yard]:
    """A running server and its operator; 08:00 in China."""
    with open_yard(db, manual_clock, loop_thread) as yard:
        yield yard
