"""A short storm in every test run: kills at random and at fault points, servers that go away, others that lie, a clock that jumps.

`make chaos` is the long form. A failure names its seed; `CHAOS_SEED=… pytest tests/chaos/test_chaos_storm.py` makes the same choices.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.chaos.storm import StormRun
from tests.chaos.troubles import make_commits_last
from tests.e2e.stage import Stage
from tests.support.servers import PostgresServer

SECONDS = 12.0
CARS = 3

pytestmark = pytest.mark.timeout(300)


def test_after_a_storm_everything_is_delivered_in_order_and_once(
    stage: Stage, postgres: PostgresServer | None, tmp_path: Path
) -> None:
    if stage.dialect == "postgresql":
        make_commits_last(stage.environment["HUB_DATABASE_OWNER_URL"])
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    connectors = [stage.free_connector() for _ in range(CARS)]
    told = StormRun(stage, connectors, seed, postgres, tmp_path).blow(SECONDS)
    print(told)  # noqa: T201
    assert told["charges asked for"] > 0
    assert told["attempts"] > 0
