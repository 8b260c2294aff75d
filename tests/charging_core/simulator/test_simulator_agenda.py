"""Timers on the passed clock, and the clock inside a pile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from charging_core.clock import ManualClock, ScaledClock
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.device import DeviceClock
from tests.charging_core.simulator.simulator_platform import eventually, run

MINUTE = timedelta(minutes=1)


def test_actions_run_in_the_order_of_their_time(manual_clock: ManualClock) -> None:
    agenda, done = Agenda(manual_clock), list[str]()
    agenda.after(2 * MINUTE, lambda: done.append("second"))
    agenda.at(manual_clock.now() + MINUTE, lambda: done.append("first"))
    agenda.after(2 * MINUTE, lambda: done.append("third"))
    agenda.after(MINUTE, lambda: done.append("never")).cancel()
    agenda.run_due()
    assert done == []
    manual_clock.advance(2 * MINUTE)
    agenda.run_due()
    assert done == ["first", "second", "third"]


def test_a_jump_over_many_periods_gives_one_run(manual_clock: ManualClock) -> None:
    agenda, runs = Agenda(manual_clock), list[int]()
    beat = agenda.every(MINUTE, lambda: runs.append(1))
    manual_clock.advance(10 * MINUTE)
    agenda.run_due()
    manual_clock.advance(MINUTE)
    agenda.run_due()
    assert len(runs) == 2
    beat.restart(5 * MINUTE)
    manual_clock.advance(4 * MINUTE)
    agenda.run_due()
    assert len(runs) == 2
    beat.cancel()
    manual_clock.advance(4 * MINUTE)
    agenda.run_due()
    assert len(runs) == 2


def test_a_failing_action_is_counted_and_the_others_run(manual_clock: ManualClock) -> None:
    agenda, done = Agenda(manual_clock), list[int]()
    agenda.after(MINUTE, lambda: 1 // 0)  # type: ignore[arg-type]
    agenda.after(MINUTE, lambda: done.append(1))
    manual_clock.advance(MINUTE)
    agenda.run_due()
    assert (agenda.failures, done) == (1, [1])


def test_a_real_floor_holds_an_action_back(manual_clock: ManualClock) -> None:
    async def story() -> None:
        agenda, done = Agenda(manual_clock), list[int]()
        agenda.start()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        agenda.after(MINUTE, lambda: done.append(1), real_floor_s=0.2)
        manual_clock.advance(MINUTE)
        await eventually(lambda: done, "action")
        assert loop.time() - begun >= 0.2
        agenda.stop()

    run(story())


def test_periods_shrink_on_a_fast_clock(manual_clock: ManualClock) -> None:
    async def story() -> None:
        agenda, runs = Agenda(ScaledClock(manual_clock.now(), 120)), list[int]()
        agenda.start()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        agenda.every(timedelta(seconds=15), lambda: runs.append(1))
        await eventually(lambda: len(runs) >= 4, "four periods")
        # four periods of 15 s are half a real second at 120x; slower machines only make it longer
        assert loop.time() - begun >= 0.45
        agenda.stop()

    run(story())


@pytest.mark.parametrize(("off_s", "taken_over"), [(3, False), (-3, False), (30, True), (-7200, True)])
def test_device_clock_takes_over_what_is_no_delay_of_the_wire(
    manual_clock: ManualClock, off_s: int, taken_over: bool
) -> None:
    device = DeviceClock(manual_clock)
    device.set(manual_clock.now() + timedelta(seconds=off_s))
    assert device.now() - manual_clock.now() == timedelta(seconds=off_s if taken_over else 0)
