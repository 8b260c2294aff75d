"""Claims: lanes keep their order, urgent work overtakes, leases come back, nobody starves."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from sqlalchemy import text

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.conftest import BASE_TIME
from tests.worker.recording_driver import (
    BUSY,
    NO_JITTER,
    SUCCESS,
    RecordingDriver,
    attempts,
    plan_of,
    put,
    row,
    runtime,
)
from worker import claiming
from worker.api import State
from worker.ledger import Claim
from worker.model import DeliveryRow
from worker.policy import ALARM, ORDER, SAMPLE, STATUS


def claimed(db: Database, claims: list[Claim]) -> list[str]:
    with db.read_system("test") as session:
        keys = {found.id: found.object_key for found in session.query(DeliveryRow)}
        return [keys[claim.delivery_id] for claim in claims]


def test_a_lane_keeps_its_order_and_does_not_hinder_others(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BUSY, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    lane = NO_JITTER.model_copy(update={"lane": "per_connector"})
    for version in (1, 2, 3):
        put(db, manual_clock, plan_of(driver, f"status-{version}", version, lane_key="c1", policy=lane))
    put(db, manual_clock, plan_of(driver, "status-9", 9, lane_key="c2", policy=lane))
    hub.run_until_idle()
    assert [key for _, key, _ in driver.sent] == ["status-1", "status-9"]
    manual_clock.advance(timedelta(seconds=15))
    hub.run_until_idle()
    assert [key for _, key, _ in driver.sent[2:]] == ["status-1", "status-2", "status-3"]


def test_a_dead_delivery_frees_its_lane(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BUSY])
    hub = runtime(db, manual_clock, driver)
    for version in (1, 2):
        put(db, manual_clock, plan_of(driver, "c1", version))
    for _ in range(4):
        hub.run_until_idle()
        manual_clock.advance(timedelta(seconds=30))
    driver.answers = [SUCCESS]
    hub.run_until_idle()
    assert (row(db, "c1", 1).state, row(db, "c1", 2).state) == ("dead", "delivered")


def test_alarms_then_near_deadlines_then_priority(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    ledger = runtime(db, manual_clock, driver, concurrency=10).ledger
    rules: dict[str, dict[str, float]] = {
        "sample": {"priority": SAMPLE},
        "status": {"priority": STATUS},
        "order": {"priority": ORDER, "deadline_s": 150.0},
        "late-sample": {"priority": SAMPLE, "deadline_s": 50.0},
    }
    for key, changes in rules.items():
        put(db, manual_clock, plan_of(driver, key, policy=NO_JITTER.model_copy(update=changes)))
    manual_clock.advance(timedelta(seconds=30))  # beyond half of the sample's deadline
    put(db, manual_clock, plan_of(driver, "alarm", policy=NO_JITTER.model_copy(update={"priority": ALARM})))
    got = claimed(db, ledger.claim(["partner"], 10))
    assert got == ["alarm", "late-sample", "order", "status", "sample"]


def test_an_expired_lease_loses_nothing(db: Database, manual_clock: ManualClock) -> None:
    real = ManualClock(BASE_TIME)
    driver = RecordingDriver()
    silent, healthy = (runtime(db, manual_clock, driver, real=real) for _ in range(2))
    put(db, manual_clock, plan_of(driver, "order-1"))
    (lost,) = silent.ledger.claim(["partner"], 1)
    assert healthy.run_until_idle() == 0
    real.advance(timedelta(seconds=16))
    assert healthy.ledger.take_back_expired() == 1
    assert healthy.run_until_idle() == 1
    assert silent.pipeline.process(lost) is None  # the old token is worth nothing
    assert len(driver.sent) == 1


def test_a_worker_killed_during_the_call_is_told_apart(db: Database, manual_clock: ManualClock) -> None:
    class Killed(BaseException):
        """What a kill -9 leaves behind: nothing runs after the send."""

    def die(delivery: object) -> None:
        raise Killed

    real = ManualClock(BASE_TIME)
    driver = RecordingDriver(answers=[die, SUCCESS])  # type: ignore[list-item]
    hub = runtime(db, manual_clock, driver, real=real)
    put(db, manual_clock, plan_of(driver, "order-1"))
    (claim,) = hub.ledger.claim(["partner"], 1)
    with contextlib.suppress(Killed):
        hub.pipeline.process(claim)
    assert row(db, "order-1").state == "leased"
    real.advance(timedelta(seconds=60))
    hub.ledger.take_back_expired()
    hub.run_until_idle()
    assert row(db, "order-1").state == "delivered"
    assert [(one.number, one.outcome, one.error) for one in attempts(db, "order-1")] == [
        (1, "unknown", "interrupted"),
        (2, "ok", None),
    ]


def test_an_interrupted_at_most_once_delivery_is_not_repeated(db: Database, manual_clock: ManualClock) -> None:
    class Killed(BaseException):
        """As above."""

    def die(delivery: object) -> None:
        raise Killed

    real = ManualClock(BASE_TIME)
    rules = NO_JITTER.model_copy(update={"at_most_once": True})
    driver = RecordingDriver(answers=[die, SUCCESS], delivery_policy=rules)  # type: ignore[list-item]
    hub = runtime(db, manual_clock, driver, real=real)
    put(db, manual_clock, plan_of(driver, "grant"))
    with contextlib.suppress(Killed):
        hub.pipeline.process(hub.ledger.claim(["partner"], 1)[0])
    real.advance(timedelta(seconds=60))
    hub.ledger.take_back_expired()
    hub.run_until_idle()
    assert len(driver.sent) == 1
    assert (row(db, "grant").state, row(db, "grant").outcome, row(db, "grant").code) == (
        "dead",
        "unknown",
        "interrupted",
    )
    assert [one.outcome for one in attempts(db, "grant")] == ["unknown"]


def test_an_answer_that_comes_after_the_lease_still_counts(db: Database, manual_clock: ManualClock) -> None:
    real = ManualClock(BASE_TIME)

    def slow(delivery: object) -> object:
        real.advance(timedelta(minutes=5))
        hub.ledger.take_back_expired()
        return SUCCESS

    driver = RecordingDriver(answers=[slow])  # type: ignore[list-item]
    hub = runtime(db, manual_clock, driver, real=real)
    put(db, manual_clock, plan_of(driver, "order-1"))
    assert hub.run_until_idle() == 1
    assert row(db, "order-1").state == "delivered"
    assert len(driver.sent) == 1


def test_one_destination_cannot_take_all_threads(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    ledger = runtime(db, manual_clock, driver, concurrency=3).ledger
    put(db, manual_clock, *(plan_of(driver, f"a{number}", destination="slow") for number in range(20)))
    put(db, manual_clock, *(plan_of(driver, f"b{number}", destination="fast") for number in range(2)))
    got = claimed(db, ledger.claim(["partner"], 16))
    assert sorted(key[0] for key in got) == ["a", "a", "a", "b", "b"]
    assert ledger.claim(["partner"], 16) == []


def test_a_claim_never_exceeds_the_room_of_the_process(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    first, second = (runtime(db, manual_clock, driver, concurrency=50).ledger for _ in range(2))
    put(db, manual_clock, *(plan_of(driver, f"order-{number}") for number in range(20)))
    assert len(first.claim(["partner"], 6)) == 6
    assert first.claim(["partner"], 6) == []
    assert len(second.claim(["partner"], 6)) == 6
    assert first.give_back() == 6
    assert {row(db, f"order-{number}").state for number in range(20)} == {State.WAITING, State.LEASED}


def test_another_room_s_deliveries_are_left_alone(db: Database, manual_clock: ManualClock) -> None:
    mine, foreign = RecordingDriver(), RecordingDriver(kind="regulator")
    put(db, manual_clock, plan_of(foreign, "order-1"))
    assert runtime(db, manual_clock, mine).run_until_idle() == 0


@pytest.mark.postgresql("its planner knows hashed subplans")
def test_looking_for_work_never_reads_the_whole_backlog(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(destinations=("a", "b"))
    put(db, manual_clock, *(plan_of(driver, f"o{number}", destination="ab"[number % 2]) for number in range(300)))
    now = {"now": manual_clock.now(), "soon": manual_clock.now(), "no": False}
    looking = claiming._WITH_WORK.replace(":kinds", "('partner')")
    with db.read_system("test") as session:  # without statistics, as on the first day
        plan = "\n".join(session.connection().execute(text(f"EXPLAIN {looking}"), now).scalars())
    assert "hashed" not in plan, plan
