"""How punctual periodic pushes are. Scored apart from violations: a late push is still a right one, it only costs points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from municipal.fake.config import RegulatorConfig
from partners.fake.platform import Finding

TIME = "%Y-%m-%d %H:%M:%S"


def charge_status_timing(config: RegulatorConfig, last_and_new: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The first sample at once, the others on the clock, none older than a period, no period left out."""
    *before, body = last_and_new
    order_no, every, pushed = body["OrderNo"], config.charge_status_every_s, _seconds(body["PushTimeStamp"])
    sampled = _seconds(body["EndTime"])
    found: list[tuple[str, str]] = []
    if pushed - sampled > every:
        found.append(("stale_sample", f"sample of {body['EndTime']} pushed at {body['PushTimeStamp']}"))
    if not before:
        found += _first(config, body, pushed)
    else:
        found += _later(config, _seconds(before[0]["EndTime"]), sampled, pushed)
    return [Finding("late", code, order_no, text) for code, text in found]


def power_timing(config: RegulatorConfig, info: Mapping[str, Any]) -> list[Finding]:
    """DataTime lies on the clock."""
    off = _off_clock(_seconds(info["DataTime"]), config.power_every_s)
    if off <= config.tolerance_s:
        return []
    return [
        Finding("late", "off_clock", info["StationID"], f"DataTime {info['DataTime']} is {off:.0f} s off the clock")
    ]


def _first(config: RegulatorConfig, body: Mapping[str, Any], pushed: float) -> Iterator[tuple[str, str]]:
    waited = pushed - _seconds(body["StartTime"])
    if waited > config.tolerance_s:
        yield "late_first_sample", f"first push {waited:.0f} s after StartTime"


def _later(config: RegulatorConfig, before: float, sampled: float, pushed: float) -> Iterator[tuple[str, str]]:
    every = config.charge_status_every_s
    if sampled - before > every + config.tolerance_s:
        yield "gap", f"{sampled - before:.0f} s between two samples"
    if _off_clock(pushed, every) > config.tolerance_s:
        yield "off_clock", f"pushed {_off_clock(pushed, every):.0f} s off the clock"


def _off_clock(seconds: float, every: int) -> float:
    """Seconds to the nearest multiple of the period. All periods divide a day, so the day's beginning does not matter."""
    past = seconds % every
    return min(past, every - past)


def _seconds(text: str) -> float:
    moment = datetime.strptime(text, TIME)  # noqa: DTZ007 - both sides of every difference are China time
    return (moment - moment.min).total_seconds()
