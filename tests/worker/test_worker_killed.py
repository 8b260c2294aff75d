"""kill -9 at named points (DECISIONS 32): nothing is lost, and nothing is sent twice that had not been sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charging_core.clock import SystemClock
from charging_core.db import Database
from tests.support.databases import FreshDatabase
from tests.support.waiting import wait_until
from tests.worker.killable_worker import worker
from tests.worker.recording_driver import attempts, row, rows, tell


@pytest.mark.parametrize(
    ("point", "calls"),
    # Killed after the call, before its record: the answer is lost, so the call is repeated with the same body (at least once).
    [("relay.before_commit", 1), ("worker.before_send", 1), ("worker.after_send", 2)],
)
def test_a_killed_worker_loses_nothing(
    db: Database, fresh_database: FreshDatabase, tmp_path: Path, point: str, calls: int
) -> None:
    sent, marker = tmp_path / "sent", tmp_path / "marker"
    tell(db, SystemClock().now(), "order-1")
    environment = {**os.environ, "HUB_FAULT_POINT": point, "HUB_FAULT_MARKER": str(marker)}
    command = [sys.executable, "-m", "tests.worker.killable_worker", fresh_database.url, str(sent)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as victim:
        try:
            wait_until(marker.exists, f"the worker to reach {point}", 30)
        finally:
            victim.kill()
    hub = worker(db, sent)
    hub.start()
    try:
        wait_until(lambda: any(one.state == "delivered" for one in rows(db).values()), "the delivery", 30)
    finally:
        hub.stop()
    assert sent.read_text().splitlines() == ["order-1"] * calls
    interrupted = [] if point == "relay.before_commit" else ["interrupted"]
    assert [one.error for one in attempts(db, "order-1")] == [*interrupted, None]
    assert row(db, "order-1").attempt_count == len(interrupted) + 1
