"""Bills and prices within the standard's bounds: SumPeriod is 0-32 (T/CEC 102.3; `specs/tcec102.md` 10.7, 10.8). Pure.

A charge over several days has more stretches than that, and a tariff may have a period per half hour. Lines are joined, never left
out: every sum stays what it was.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from charging_core.money import ZERO

MOST_LINES = 32
"""Largest SumPeriod; a partner refuses a longer list with 4004, and the order would never be paid."""

Line = dict[str, Any]

_SUMMED = ("energy_kwh", "elec_fee", "service_fee")


def within_bounds(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """The order's snapshot with at most `MOST_LINES` details; unchanged when it has no more."""
    details: Sequence[Line] = order.get("details") or ()
    return order if len(details) <= MOST_LINES else {**order, "details": joined_details(details)}


def joined_details(details: Sequence[Line]) -> list[Line]:
    """The lines with neighbours of one price joined (midnight cuts them); if that is not enough, one line per price.

    Energy and money of a joined line are sums, so that no total changes. A line of several stretches that do not touch bears the times
    of the longest: true for its price, and lines that overlap are disputed.
    """
    lines = _neighbours_joined(details)
    if len(lines) <= MOST_LINES:
        return lines
    by_price: dict[Hashable, list[Line]] = {}
    for line in lines:
        by_price.setdefault(_prices(line), []).append(line)
    joined = [max(group, key=_length) | _sums(group) for group in by_price.values()]
    return sorted(joined, key=lambda line: line["started_at"])


def joined_periods(periods: Sequence[Line]) -> list[Line]:
    """The day's periods without those that only repeat the prices before them."""
    kept: list[Line] = []
    for period in periods:
        if not kept or _prices(period) != _prices(kept[-1]):
            kept.append(period)
    return kept


def _neighbours_joined(lines: Sequence[Line]) -> list[Line]:
    groups: list[list[Line]] = []
    for line in lines:
        last = groups[-1][-1] if groups else None
        if last is not None and last["ended_at"] == line["started_at"] and _prices(last) == _prices(line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [group[0] | _sums(group) | {"ended_at": group[-1]["ended_at"]} for group in groups]


def _sums(group: Sequence[Line]) -> Line:
    return {name: sum((line[name] for line in group), ZERO) for name in _SUMMED}


def _length(line: Line) -> timedelta:
    length: timedelta = line["ended_at"] - line["started_at"]
    return length


def _prices(line: Line) -> tuple[Any, Any]:
    return line["elec_price"], line["service_price"]
