"""Clocks agree, refuse nonsense, and change speed without a jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from charging_core.clock import (
    CHINA,
    ClockError,
    FileClock,
    ScaledClock,
    SystemClock,
    china_text,
    clock_from_spec,
    write_clock_file,
)

START = datetime(2026, 3, 2, 7, 20, tzinfo=CHINA)


def test_no_spec_is_the_system_clock() -> None:
    assert isinstance(clock_from_spec(None), SystemClock)


def test_a_scaled_clock_starts_where_it_is_told_and_runs_faster() -> None:
    clock = ScaledClock(START, 60, anchor_s=datetime.now(UTC).timestamp() - 10)
    assert timedelta(minutes=10) <= clock.now() - START < timedelta(minutes=12)
    assert clock.real_seconds(60) == 1


@pytest.mark.parametrize("spec", ["nonsense", "2026-03-02@0", "2026-03-02T07:20:00+08:00@121", "yesterday@60"])
def test_a_wrong_spec_is_refused_in_words(spec: str) -> None:
    with pytest.raises(ClockError):
        clock_from_spec(spec)


def test_a_spec_without_zone_is_china_time() -> None:
    assert china_text(clock_from_spec("2026-03-02T07:20:00@1").now()).startswith("2026-03-02 07:20:0")


def test_processes_that_share_a_clock_file_agree_after_a_change_of_speed(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    write_clock_file(path, START, 1)
    first, second = FileClock(path), clock_from_spec(f"file:{path}")
    write_clock_file(path, START + timedelta(hours=1), 60)
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    while first.now() < START + timedelta(hours=1) and datetime.now(UTC) < deadline:
        pass
    assert abs(first.now() - second.now()) < timedelta(seconds=10)
    assert first.now() >= START + timedelta(hours=1)


def test_a_damaged_clock_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    path.write_text("{}")
    with pytest.raises(ClockError, match=r"clock\.json"):
        FileClock(path)
