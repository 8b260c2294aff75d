"""Scenario files: every mistake with its line, and a small one played against a strange platform."""

from __future__ import annotations

import asyncio
import struct
from datetime import timedelta
from importlib import resources
from typing import Any

import pytest

from charging_core.clock import ManualClock
from charging_core.simulator.errors import ConfigError, ScenarioError
from charging_core.simulator.measures import MEASURES
from charging_core.simulator.play import ScenarioPlay
from charging_core.simulator.report import report
from charging_core.simulator.scenario import Scenario, changed, scaled
from charging_core.simulator.scenario_file import read_scenario
from tests.charging_core.simulator.simulator_platform import PILE, Got, Platform, run

TEXT = f"""\
name: small
seed: 3
duration: 5m
settle: 10m
piles:
  - {{count: 2, first_code: "{PILE}", connectors: 1, periods: {{real_reconnect_s: [0.01, 0.02], real_answer_floor_s: 0}}}}
vehicles:
  sedan: {{battery_kwh: 60, soc: [20, 40]}}
stories:
  - name: card
    steps:
      - wait: [1s, 10s]
      - plug: sedan
      - start: card
      - charge: 2m
      - stop: card
      - until_end: 1m
      - unplug
faults:
  - {{probability: 1, switches: {{duplicate_record: 1}}}}
expect:
  - {{measure: charges_ended, at_least: 2}}
  - {{measure: records_unconfirmed, at_most: 0}}
  - {{measure: energy_kwh, at_most: 1}}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("duration: 5m", "duration: 10 minutes", 3, "30s, 15m or 2h"),
        ("seed: 3", "sed: 3", 2, "sed"),
        ("count: 2", "count: 0", 6, "count"),
        ("- plug: sedan", "- plug: lorry", 13, "no such vehicle: lorry"),
        ("- start: card", "- start: coin", 14, "start"),
        ("- charge: 2m", "- {charge: 2m, stop: card}", 15, "exactly one thing"),
        ("duplicate_record: 1", "duplicate_recrod: 1", 20, "duplicate_recrod"),
        ("measure: charges_ended", "measure: charges", 22, "no such measure"),
        ("soc: [20, 40]", "curve: [[0, 100], [90, 20], [80, 50]]", 8, "rises"),
        ("seed: 3", "name: again", 2, "twice"),
        ("stories:", "stories: [", 10, "YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        read_scenario(TEXT.replace(old, new, 1))
    assert [problem[0] for problem in refused.value.problems] == [line]
    assert words in refused.value.problems[0][1]


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ScenarioError) as refused:
        read_scenario(TEXT.replace("seed: 3", "seed: x").replace("probability: 1", "probability: 2"))
    assert [problem[0] for problem in refused.value.problems] == [2, 20]


def test_piles_are_shared_between_the_groups() -> None:
    scenario = read_scenario(TEXT.replace("vehicles:", '  - {count: 1, first_code: "40000000000001"}\nvehicles:', 1))
    assert [group.count for group in scaled(scenario, 1000).piles] == [667, 333]
    assert len({code for group in scaled(scenario, 1000).piles for code in group.codes()}) == 1000
    assert [group.count for group in scaled(scenario, 1).piles] == [1]
    for wrong in ({"duration": "never"}, {"piles": scenario.piles * 2}):
        with pytest.raises(ConfigError):
            changed(scenario, **wrong)


@pytest.mark.parametrize(
    "name", sorted(one.name for one in resources.files("hub").joinpath("examples/scenarios").iterdir())
)
def test_built_in_scenarios_are_valid(name: str) -> None:
    text = resources.files("hub").joinpath("examples/scenarios", name).read_text(encoding="utf-8")
    scenario = read_scenario(text)
    assert scaled(scenario, 1000).expect


class CardPlatform(Platform):
    """Lets every card charge."""

    def __init__(self) -> None:
        super().__init__()
        self._trades = 0

    def _answer(self, got: Got) -> tuple[int, bytes] | None:
        if got.kind != 0x31:
            return super()._answer(got)
        self._trades += 1
        trade = got.body[:8] + bytes.fromhex(f"{self._trades:016d}")
        return 0x32, trade + got.body[:8] + bytes(8) + struct.pack("<I", 100_000) + b"\1\0"


def played(scenario: Scenario, clock: ManualClock) -> dict[str, Any]:
    """The report of a scenario against a platform of its own, time moving on whenever the loop is free."""
    told: dict[str, Any] = {}

    async def story() -> None:
        platform = CardPlatform()
        play = ScenarioPlay(scenario, clock)
        try:
            await play.start("127.0.0.1", await platform.open())
            playing = asyncio.ensure_future(play.run())
            while not playing.done():
                clock.advance(timedelta(seconds=3))
                await asyncio.sleep(0.004)
            await playing
            told.update(report(play, 1.0))
        finally:
            await play.stop()
            await platform.close()

    run(story())
    return told


def test_a_scenario_is_played_and_judged(manual_clock: ManualClock) -> None:
    told = played(read_scenario(TEXT), manual_clock)
    measures = told["measures"]
    assert set(measures) == set(MEASURES)
    assert measures["charges_begun"] == measures["charges_ended"] == measures["records_confirmed"] >= 2
    assert measures["records_sent"] == 2 * measures["charges_ended"]
    assert (measures["piles_online"], measures["records_unconfirmed"], measures["answers_missing"]) == (2, 0, 0)
    assert told["switches_injected"] == told["switches_survived"] == {"duplicate_record": measures["charges_ended"]}
    assert told["answers"]["start_request"]["answers"] == measures["start_requests"] == measures["charges_begun"]
    assert [one["met"] for one in told["expectations"]] == [True, True, False]
