"""`hub simulate --scenario`: the operator file it writes, a rehearsal against a real hub, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from hub.cli import rehearsal
from hub.container import Container, Role
from hub.errors import HubError
from hub.settings import load_settings
from tests.hub.hub_rig import SECRET_KEY
from tests.support.cli import CliRunner, build
from tests.support.databases import FreshDatabase
from tests.support.logs import plain_logs

CLOCK = "2026-03-02T08:00:00+08:00@60"
SCENARIO = """\
name: three cards
duration: 30s
settle: 15m
piles:
  - {count: 1, first_code: "32029000000001", connectors: 2, battery_frames: false}
  - {count: 1, first_code: "32029100000001", type: ac, power_kw: 7}
vehicles: {sedan: {soc: [20, 40]}}
stories:
  - name: card
    steps: [{wait: 10s}, {plug: sedan}, {start: card}, {charge: 1m}, {stop: card}, {until_end: 5m}, unplug, {wait: 5m}]
expect:
  - {measure: charges_ended, at_least: 3}
  - {measure: records_unconfirmed, at_most: 0}
"""


@pytest.fixture
def cli(fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A runner whose hub is this test's, on a fast clock."""
    for name, value in {
        "HUB_DATABASE_URL": fresh_database.url,
        "HUB_DATABASE_OWNER_URL": fresh_database.owner_url,
        "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_WEB_PORT": "0",
        "HUB_PILE_PORT": "0",
        "HUB_OCPP_PORT": "0",
        "HUB_CLOCK": CLOCK,
    }.items():
        monkeypatch.setenv(name, value)
    root, shown = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    structlog.configure(**shown)
    plain_logs()


def test_a_rehearsal_from_the_operator_file_to_the_report(
    cli: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "_LINE_S", 0.2)
    scenario, operator = tmp_path / "three.yaml", tmp_path / "operator.yaml"
    scenario.write_text(SCENARIO, "utf-8")
    written = cli.invoke(
        build(), ["simulate", "--scenario", str(scenario), "--ocpp", "1", "--write-operator", str(operator)]
    )
    assert written.exit_code == 0, written.output
    assert cli.invoke(build(), ["apply", str(operator), "--yes"]).exit_code == 0
    container = Container(load_settings())
    try:
        container.start({Role.PILES, Role.SCHEDULER})
        ports = ["--port", str(container.pile_port), "--ocpp", "1", "--ocpp-port", str(container.ocpp_port)]
        words = ["simulate", "--scenario", str(scenario), *ports, "--json"]
        result = cli.invoke(build(), words)
    finally:
        container.stop()
    assert result.exit_code == 0, result.output
    assert "/ 30 s " in result.stderr, "without a terminal a line now and then says how far it is"
    told = json.loads(result.stdout)
    assert told["measures"]["charges_ended"] == told["measures"]["records_confirmed"] == 3
    assert told["measures"]["requests_refused"] == told["measures"]["answers_missing"] == 0
    assert (told["measures"]["ocpp_charges"], told["measures"]["ocpp_messages_waiting"]) == (1, 0)
    assert told["answers"]["start_request"]["p50_ms"] > 0
    assert [one["met"] for one in told["expectations"]] == [True, True]


def test_a_wrong_scenario_is_told_with_its_lines(cli: CliRunner, tmp_path: Path) -> None:
    scenario = tmp_path / "wrong.yaml"
    scenario.write_text(SCENARIO.replace("plug: sedan", "plug: lorry"), "utf-8")
    result = cli.invoke(build(), ["simulate", "--scenario", str(scenario), "--report"])
    assert isinstance(result.exception, HubError)
    assert f"{scenario}:10: stories.0.steps.1: " in str(result.exception)
    unknown = cli.invoke(build(), ["simulate", "--scenario", "nothing"])
    assert "everyday, hard-day" in str(unknown.exception)
