"""Ticks: aligned to China's wall clock, run once by one leader, missed ones not replayed unless asked."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from charging_core.clock import CHINA, ManualClock
from charging_core.db import Database
from tests.conftest import BASE_TIME
from worker.api import Job, Registry
from worker.scheduler import Scheduler, ticks_between
from worker.settings import WorkerSettings


def scheduler(db: Database, clock: ManualClock, registry: Registry, real: ManualClock) -> Scheduler:
    return Scheduler(db, clock, registry, WorkerSettings(), real)


def one_job(db: Database, clock: ManualClock, **how: Any) -> tuple[Scheduler, list[datetime]]:
    seen: list[datetime] = []
    registry = Registry()
    registry.schedule("push", seen.append, **how)
    return scheduler(db, clock, registry, ManualClock(BASE_TIME)), seen


def test_ticks_lie_on_the_chinese_wall_clock(db: Database, manual_clock: ManualClock) -> None:
    manual_clock.set(datetime(2026, 3, 2, 15, 52, 30, tzinfo=UTC))  # 23:52:30 in China
    one, seen = one_job(db, manual_clock, every_s=900)
    for _ in range(30):
        one.run_due()
        manual_clock.advance(timedelta(minutes=1))
    assert [tick.astimezone(CHINA).strftime("%d %H:%M:%S") for tick in seen] == ["03 00:00:00", "03 00:15:00"]


def test_a_tick_runs_once_and_missed_ones_are_dropped(db: Database, manual_clock: ManualClock) -> None:
    one, seen = one_job(db, manual_clock, every_s=300)
    one.run_due()
    manual_clock.advance(timedelta(minutes=31))
    assert (one.run_due(), one.run_due()) == (1, 0)
    assert seen == [BASE_TIME + timedelta(minutes=30)]


def test_backfill_catches_up_oldest_first_and_repeats_what_failed(db: Database, manual_clock: ManualClock) -> None:
    seen: list[datetime] = []

    def reconcile(tick: datetime) -> None:
        seen.append(tick)
        if len(seen) == 1:
            raise RuntimeError("the platform is away")

    registry = Registry()
    registry.schedule("reconcile", reconcile, daily=(time(0), time(3)), backfill=True)
    one = scheduler(db, manual_clock, registry, ManualClock(BASE_TIME))
    one.run_due()
    manual_clock.advance(timedelta(days=3))
    one.run_due()
    one.run_due()
    days = [tick.astimezone(CHINA).day for tick in seen]
    assert days[0] == 3
    assert sorted(set(days)) == [3, 4, 5]
    assert all(0 <= tick.astimezone(CHINA).hour < 3 for tick in seen)


def test_start_alignment_counts_from_first_sight(db: Database, manual_clock: ManualClock) -> None:
    manual_clock.advance(timedelta(seconds=7))
    one, seen = one_job(db, manual_clock, every_s=50, align="start")
    one.run_due()
    manual_clock.advance(timedelta(seconds=55))
    one.run_due()
    assert seen == [BASE_TIME + timedelta(seconds=57)]


def test_one_leader_at_a_time(db: Database, manual_clock: ManualClock) -> None:
    real = ManualClock(BASE_TIME)
    first, second = (scheduler(db, manual_clock, Registry(), real) for _ in range(2))
    assert (first.lead(), second.lead(), first.lead()) == (True, False, True)
    real.advance(timedelta(seconds=11))
    assert (second.lead(), first.lead()) == (True, False)
    second.resign()
    assert first.lead()


def test_a_leader_that_slept_runs_nothing_again(db: Database, manual_clock: ManualClock) -> None:
    seen: list[datetime] = []
    registry = Registry()
    registry.schedule("push", seen.append, every_s=60)
    slept_at, awake = ManualClock(BASE_TIME), ManualClock(BASE_TIME)
    sleeper, other = scheduler(db, manual_clock, registry, slept_at), scheduler(db, manual_clock, registry, awake)
    sleeper.run_due()
    awake.advance(timedelta(seconds=11))
    manual_clock.advance(timedelta(seconds=61))
    assert other.run_due() == 1
    assert sleeper.run_due() == 0, "it believes that it leads; the tick is taken"
    slept_at.set(awake.now())
    assert not sleeper.lead()
    manual_clock.advance(timedelta(seconds=60))
    assert (sleeper.run_due(), other.run_due()) == (0, 1)
    assert seen == [BASE_TIME + timedelta(seconds=60), BASE_TIME + timedelta(seconds=120)]


def test_a_leader_whose_lease_ran_out_repeats_nothing_that_another_has_done(
    db: Database, manual_clock: ManualClock
) -> None:
    seen: list[datetime] = []
    registry = Registry()
    registry.schedule("reconcile", seen.append, every_s=60, backfill=True)
    slept_at, awake = ManualClock(BASE_TIME), ManualClock(BASE_TIME)
    sleeper, other = scheduler(db, manual_clock, registry, slept_at), scheduler(db, manual_clock, registry, awake)
    sleeper.run_due()
    awake.advance(timedelta(seconds=11))
    manual_clock.advance(timedelta(seconds=61))
    assert other.run_due() == 1
    other.resign()
    slept_at.set(awake.now())
    assert sleeper.run_due() == 0
    assert seen == [BASE_TIME + timedelta(seconds=60)]


def test_a_new_leader_goes_on_where_the_last_one_was(db: Database, manual_clock: ManualClock) -> None:
    one, seen = one_job(db, manual_clock, every_s=60)
    one.run_due()
    manual_clock.advance(timedelta(seconds=61))
    assert one.run_due() == 1
    one.resign()
    next_one, also_seen = one_job(db, manual_clock, every_s=60)
    assert next_one.run_due() == 0
    manual_clock.advance(timedelta(seconds=60))
    assert next_one.run_due() == 1
    assert (seen, also_seen) == ([BASE_TIME + timedelta(seconds=60)], [BASE_TIME + timedelta(seconds=120)])


def test_looking_for_what_is_due_asks_the_database_for_nothing(db: Database, manual_clock: ManualClock) -> None:
    one, _ = one_job(db, manual_clock, every_s=60)
    one.run_due()
    statements: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_rest: object) -> None:
        statements.append(statement)

    try:
        for _ in range(20):
            assert one.run_due() == 0
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert statements == []


def test_a_failing_job_does_not_stop_the_others(db: Database, manual_clock: ManualClock) -> None:
    seen: list[datetime] = []

    def fail(tick: datetime) -> None:
        raise RuntimeError("bug")

    registry = Registry()
    registry.schedule("bad", fail)
    registry.schedule("good", seen.append)
    one = scheduler(db, manual_clock, registry, ManualClock(BASE_TIME))
    one.run_due()
    manual_clock.advance(timedelta(minutes=1))
    assert one.run_due() == 1
    assert len(seen) == 1


@settings(max_examples=60)
@given(st.integers(1, 86_400), st.integers(0, 200_000), st.integers(0, 3_000))
def test_every_tick_is_aligned_and_none_is_repeated(every_s: int, start_s: int, ahead_s: int) -> None:
    job = Job("j", lambda _: None, every_s)
    after = BASE_TIME + timedelta(seconds=start_s)
    now = after + timedelta(seconds=ahead_s)
    ticks = ticks_between(job, after, after, now)
    midnight = datetime(2020, 1, 1, tzinfo=CHINA)
    assert all(after < tick <= now and (tick - midnight) % timedelta(seconds=every_s) == timedelta() for tick in ticks)
    assert ticks == sorted(set(ticks))
