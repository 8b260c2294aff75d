"""A region profile may gather several pushes into one call (`delivery.batch`), as a list in its wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.piles.events import ConnectorStatus
from municipal.profiles.loader import build_region
from partners.profiles.errors import InvalidProfile
from tests.municipal.region_raw import changed
from tests.municipal.regulator_bench import Bench, benches


def in_lists(loaded: dict[str, Any]) -> None:
    status = loaded["interfaces"]["connector_status"]
    status["wrapper"] = {"key": "ConnectorStatusInfos", "kind": "array"}
    status["trigger"] = {"on_change": "all"}
    status["delivery"] = {**status.get("delivery", {}), "batch": {"count": 50, "age_s": 10}}


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Iterator[Bench]:
    yield from benches(db, manual_clock)


def test_statuses_of_several_connectors_are_told_in_one_call(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "province.yaml"
    file.write_text(yaml.safe_dump(changed(in_lists), allow_unicode=True), "utf-8")
    fake = bench.regulator(link={"profile": str(file)})
    bench.pump()
    bench.pass_time(seconds=15)
    bench.pass_time(seconds=15)
    fake.reset()
    for number in (1, 2):
        bench.status(ConnectorStatus.OFFLINE, number=number)
    bench.pump()
    assert fake.summary()["pushes"] == []
    bench.pass_time(seconds=10)
    told = [push["body"]["ConnectorStatusInfos"] for push in fake.summary()["pushes"]]
    assert [item["ConnectorID"][-1] for item in told[0]] == ["1", "2"]
    assert [item["Status"] for item in told[0]] == [0, 0]


def test_a_batch_needs_a_list() -> None:
    def flat(loaded: dict[str, Any]) -> None:
        in_lists(loaded)
        del loaded["interfaces"]["connector_status"]["wrapper"]
        del loaded["interfaces"]["connector_status"]["trigger"]

    with pytest.raises(InvalidProfile, match="array wrapper"):
        build_region(changed(flat))
