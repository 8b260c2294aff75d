"""How a pile writes: whatever the switches are, and whenever they change, every frame leaves, in its order."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.simulator.faults import Faults
from charging_core.simulator.link import Outlet
from charging_core.simulator.settings import Periods

QUICK = Periods(real_glue_s=0.001, real_piece_gap_s=0.001)
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "glued": {"glued_writes": True},
    "cut": {"split_writes": True},
    "glued and cut": {"glued_writes": True, "split_writes": True},
    "spaced": {"frame_gap_ms": 1},
}
FRAMES = [bytes([65 + number]) * 9 for number in range(6)]


class Wire:
    """What left."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))


async def sent(ways: list[str], pause_s: float) -> bytes:
    """The frames, each written under the switches of its own way."""
    wire, faults = Wire(), Faults()
    outlet = Outlet(cast(asyncio.Transport, wire), lambda: faults, QUICK)
    for frame, way in zip(FRAMES, ways, strict=True):
        faults = Faults(**WAYS[way])
        outlet.write(frame)
        await asyncio.sleep(pause_s)
    async with asyncio.timeout(10):
        while not outlet.empty:  # noqa: ASYNC110 - an outlet tells nobody when it is empty
            await asyncio.sleep(0.001)
    return b"".join(wire.writes)


@pytest.mark.parametrize(("first", "then"), [*pairwise([*WAYS, *WAYS]), ("glued", "spaced"), ("spaced", "glued")])
def test_a_frame_is_never_left_behind_when_the_switches_change(first: str, then: str) -> None:
    assert asyncio.run(sent([first] * 3 + [then] * 3, 0.0)) == b"".join(FRAMES)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(WAYS)), min_size=6, max_size=6), st.sampled_from([0.0, 0.0005, 0.002]))
def test_in_any_mixture_every_frame_leaves_in_its_order(ways: list[str], pause_s: float) -> None:
    assert asyncio.run(sent(ways, pause_s)) == b"".join(FRAMES)
