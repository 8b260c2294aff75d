"""Writer threads: order per pile, one bad event among good ones, a sink that is down, retries of what nobody repeats."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from charging_core.piles import writers as writers_module
from charging_core.piles.events import PileOffline, TimeSynced
from charging_core.piles.writers import CallJob, EventJob, Room, WriterPool
from tests.charging_core.piles.piles_support import OTHER, PILE, START, MemorySink, wait_for


class Desk:
    """A pool whose reports are run at once."""

    def __init__(self, queue_limit: int = 100, threads: int = 1) -> None:
        self.sink = MemorySink()
        self.outcomes: dict[int, bool] = {}
        self.pool = WriterPool(self.sink, self.report, threads, queue_limit, 50)
        self.pool.start()

    @staticmethod
    def report(calls: Sequence[Callable[[], None]]) -> None:
        for call in calls:
            call()

    def hold(self) -> None:
        """Let a first event stand in the sink, so that the next ones gather."""
        self.sink.free.clear()
        assert self.pool.offer(PILE, EventJob((TimeSynced(PILE, None, START),)))
        assert self.sink.entered.wait(10)

    def offer(self, number: int, attempts: int = 1, room: Room = Room.ANSWERED) -> bool:
        event = TimeSynced(PILE, START + timedelta(seconds=number), START)
        job = EventJob((event,), lambda stored: self.outcomes.update({number: stored}), attempts, room)
        return self.pool.offer(PILE, job)

    def numbers(self) -> list[int]:
        times = [event.pile_time for event in self.sink.of(TimeSynced) if event.pile_time]
        return [int((moment - START).total_seconds()) for moment in times]

    def fail_on(self, *numbers: int) -> None:
        bad = {START + timedelta(seconds=number) for number in numbers}
        self.sink.fails = lambda batch: any(isinstance(e, TimeSynced) and e.pile_time in bad for e in batch)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(writers_module, "RETRY_PAUSE_S", 0.01)
    made = Desk()
    yield made
    made.sink.free.set()
    assert made.pool.stop(time.monotonic() + 10)


def test_what_gathers_is_stored_in_one_commit_and_in_order(desk: Desk) -> None:
    desk.hold()
    for number in range(10):
        assert desk.offer(number)
    assert desk.pool.depth() == 11
    assert desk.pool.oldest_s() > 0
    desk.sink.free.set()
    wait_for(lambda: len(desk.outcomes) == 10, "stored")
    assert (desk.numbers(), desk.sink.calls) == (list(range(10)), [1, 10])


def test_one_bad_event_costs_its_neighbours_nothing(desk: Desk) -> None:
    desk.fail_on(3)
    desk.hold()
    for number in range(6):
        desk.offer(number)
    desk.sink.free.set()
    wait_for(lambda: len(desk.outcomes) == 6, "decided")
    assert desk.outcomes == {number: number != 3 for number in range(6)}
    assert desk.numbers() == [0, 1, 2, 4, 5]


def test_a_sink_that_is_down_is_not_asked_for_each(desk: Desk) -> None:
    desk.hold()
    desk.fail_on(*range(30))
    for number in range(30):
        desk.offer(number)
    desk.sink.free.set()
    wait_for(lambda: len(desk.outcomes) == 30, "decided")
    assert not any(desk.outcomes.values())
    assert len(desk.sink.calls) == 1 + 1 + 3


def test_what_nobody_repeats_is_tried_again(desk: Desk) -> None:
    failures = iter([True, True, False])
    desk.sink.fails = lambda batch: any(isinstance(event, PileOffline) for event in batch) and next(failures)
    assert desk.pool.offer(PILE, EventJob((PileOffline(PILE, "c1", "closed", START),), attempts=5, room=Room.ALWAYS))
    wait_for(lambda: bool(desk.sink.of(PileOffline)), "stored at the third try")


def test_tries_end(desk: Desk) -> None:
    desk.fail_on(1)
    desk.offer(1, attempts=3)
    wait_for(lambda: desk.outcomes == {1: False}, "given up")
    assert len(desk.sink.calls) == 3


def test_calls_keep_their_place_among_events_and_tell_their_result(desk: Desk) -> None:
    seen: list[object] = []
    desk.hold()
    desk.offer(1)
    desk.pool.offer(PILE, CallJob("login", desk.numbers, seen.append))
    desk.offer(2)
    desk.pool.offer(PILE, CallJob("login", lambda: 1 // 0, seen.append))
    desk.sink.free.set()
    wait_for(lambda: len(seen) == 2, "called")
    assert seen == [[1], None]


def test_samples_leave_room_for_what_counts() -> None:
    made = Desk(queue_limit=4)
    made.hold()
    assert [made.offer(number, room=Room.SAMPLE) for number in range(4)] == [True, True, True, False]
    assert [made.offer(number, room=Room.ANSWERED) for number in range(4, 6)] == [True, False]
    assert made.offer(6, room=Room.ALWAYS)
    made.sink.free.set()
    assert made.pool.stop(time.monotonic() + 10)
    assert made.numbers() == [0, 1, 2, 4, 6]


def test_one_pile_waiting_does_not_stop_the_other_threads() -> None:
    made = Desk(threads=8)
    reached = threading.Event()
    made.hold()
    others = [f"{int(OTHER) + n:014d}" for n in range(20)]
    for code in others:
        made.pool.offer(code, CallJob("login", lambda: None, lambda _: reached.set()))
    assert reached.wait(10)
    made.sink.free.set()
    assert made.pool.stop(time.monotonic() + 10)


def test_after_the_end_nothing_is_taken() -> None:
    made = Desk()
    assert made.pool.stop(time.monotonic() + 10)
    assert not made.offer(1)
