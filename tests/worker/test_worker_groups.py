"""Many deliveries share claims and commits: one's trouble stays its own, and an answer that is known is never lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy.exc import OperationalError

from charging_core.clock import ManualClock, SystemClock
from charging_core.db import Database, HubSession
from tests.support.waiting import wait_until
from tests.worker.recording_driver import (
    NO_JITTER,
    SUCCESS,
    RecordingDriver,
    attempts,
    plan_of,
    put,
    row,
    rows,
    runtime,
)
from worker.api import Body, Delivery, Exchange, State, Verdict
from worker.policy import ALARM, ORDER, RetryPolicy
from worker.runtime import WorkerRuntime
from worker.work import Work


@contextmanager
def running(hub: WorkerRuntime) -> Iterator[WorkerRuntime]:
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def together(hub: WorkerRuntime, count: int) -> Sequence[Work]:
    """Carry `count` deliveries through claim, call and record as one group."""
    claims = hub.ledger.claim(["partner"], count)
    works = hub.pipeline.prepare(claims)
    for work in works:
        if work.decision is None:
            hub.pipeline.exchange(work)
    hub.pipeline.record(works)
    return works


def test_a_failing_hook_is_that_delivery_s_own_trouble(db: Database, manual_clock: ManualClock) -> None:
    class Careless(RecordingDriver):
        def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
            if delivery.object_key == "b":
                raise RuntimeError("bug")
            super().on_finished(session, delivery, verdict)

    driver = Careless()
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    together(runtime(db, manual_clock, driver), 3)
    assert {key: row(db, key).state for key in "abc"} == dict.fromkeys("abc", "delivered")
    assert row(db, "b").reason == "(hook failed: RuntimeError)"
    assert {key for key, _ in driver.finished} == {"a", "c"}


def test_a_driver_that_cannot_prepare_one_prepares_the_others(db: Database, manual_clock: ManualClock) -> None:
    class Picky(RecordingDriver):
        def validate(self, delivery: Delivery, body: Body) -> tuple[()]:
            if delivery.object_key == "b":
                raise RuntimeError("bug")
            return ()

    driver = Picky()
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    together(runtime(db, manual_clock, driver), 3)
    assert [row(db, key).state for key in "abc"] == ["delivered", "waiting", "delivered"]
    assert row(db, "b").reason == "prepare failed: RuntimeError"
    assert row(db, "b").next_attempt_at == manual_clock.now() + timedelta(seconds=60)


def test_an_answer_that_no_database_takes_is_kept_as_far_as_possible(db: Database, manual_clock: ManualClock) -> None:
    strange = Exchange(
        answer_text='{"Ret":0,"Msg":"a\0b\ud800"}', http_status=200, answer={"Ret": 0, "Msg": "a\0b\ud800"}
    )
    driver = RecordingDriver(answers=[strange])
    put(db, manual_clock, plan_of(driver, "a"), plan_of(driver, "b"))
    together(runtime(db, manual_clock, driver), 2)
    assert (row(db, "a").state, row(db, "b").state) == ("delivered", "delivered")
    assert attempts(db, "a")[0].answer_text == '{"Ret":0,"Msg":"a\N{REPLACEMENT CHARACTER}b?"}'


def test_a_lost_claim_in_a_group_does_not_disturb_the_others(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver)
    ids = put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    claims = hub.ledger.claim(["partner"], 3)
    with db.system("test") as session:
        session.get_one(type(row(db, "b")), ids[1]).lease_token = "somebody else's"
    works = hub.pipeline.prepare(claims)
    assert [work.row.object_key for work in works] == ["a", "c"]


def test_results_wait_for_the_database_and_are_not_asked_for_again(
    db: Database, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver)
    failures, real = [2], hub.pipeline.record

    def away(works: Sequence[Work]) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("commit", {}, Exception("the server closed the connection"))
        real(works)

    monkeypatch.setattr("worker.recorder.AWAY_S", 0.05)
    monkeypatch.setattr(hub._recorder, "record", away)
    put(db, manual_clock, plan_of(driver, "order-1"))
    with running(hub):
        wait_until(lambda: row(db, "order-1").state == "delivered", "the result to be written after all", 20)
    assert failures == [0]
    assert len(driver.sent) == 1


def test_a_result_that_cannot_be_written_does_not_keep_others_from_being_written(
    db: Database, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = RecordingDriver(delivery_policy=NO_JITTER.model_copy(update={"timeout_s": 100}))
    hub = runtime(db, manual_clock, driver)
    real = hub.pipeline.record

    def refuse(works: Sequence[Work]) -> None:
        if any(work.row.object_key == "b" for work in works):
            raise ValueError("bug")
        real(works)

    monkeypatch.setattr(hub._recorder, "record", refuse)
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    with running(hub):
        wait_until(lambda: all(row(db, key).state == "delivered" for key in "ac"), "the others to be written", 20)
        assert row(db, "b").state == "leased"  # its lease will end, visibly


def test_more_than_its_share_of_a_busy_destination_goes_back_undone(db: Database, manual_clock: ManualClock) -> None:
    gate = threading.Event()

    def hang(delivery: Delivery) -> Exchange:
        gate.wait(30)
        return SUCCESS

    driver = RecordingDriver(answers=[hang])
    hub = runtime(db, manual_clock, driver, concurrency=1)
    put(db, manual_clock, plan_of(driver, "a"), plan_of(driver, "b"))
    with running(hub):
        hub.ledger._concurrency["t1", "partner", "link-1"] = 2  # the ledger gives two, the senders call one at a time
        wait_until(lambda: len(driver.sent) == 1, "the first call", 10)
        hub.ledger._concurrency.clear()
        waiting = "b" if driver.sent[0][1] == "a" else "a"
        wait_until(lambda: row(db, waiting).state == "waiting", "the other one to be waiting", 15)
        assert row(db, waiting).attempt_count == 0
        gate.set()
        wait_until(lambda: all(one.state == "delivered" for one in rows(db).values()), "both", 20)
    assert len(driver.sent) == 2


def test_calls_that_hang_do_not_use_up_the_threads(db: Database, manual_clock: ManualClock) -> None:
    gate = threading.Event()

    def hang(delivery: Delivery) -> Exchange:
        if delivery.destination.id.startswith("hangs"):
            gate.wait(30)
        return SUCCESS

    driver = RecordingDriver(answers=[hang])
    put(db, manual_clock, *(plan_of(driver, "a", destination=f"hangs-{n}") for n in range(4)))
    hub = runtime(db, manual_clock, driver, threads=2, concurrency=2)
    with running(hub):
        wait_until(lambda: len(driver.sent) == 4, "all four hanging calls, although there are two threads", 20)
        put(db, manual_clock, *(plan_of(driver, f"b{n}", destination="well") for n in range(10)))
        hub.wake()
        wait_until(lambda: len(driver.sent) == 14, "the healthy destination", 20)
        gate.set()
        wait_until(lambda: all(one.state == "delivered" for one in rows(db).values()), "all of them", 20)


def test_a_fast_pace_is_kept_and_used(db: Database) -> None:
    clock, times = SystemClock(), []

    def note(delivery: Delivery) -> Exchange:
        times.append(clock.now())
        return SUCCESS

    rules = NO_JITTER.model_copy(update={"min_interval_s": 0.05})
    driver = RecordingDriver(answers=[note], delivery_policy=rules)
    put(db, clock, *(plan_of(driver, f"order-{n}") for n in range(30)))  # type: ignore[arg-type]
    with running(runtime(db, clock, driver)):  # type: ignore[arg-type]
        wait_until(lambda: len(times) == 30, "all calls", 20)
    took = (times[-1] - times[0]).total_seconds()
    assert took >= 29 * 0.05 * 0.95, "faster than allowed"
    assert took < 29 * 0.5 / 2, "a claim per call would take half a second each"


def test_a_stopping_worker_undoes_what_it_has_not_begun(db: Database, manual_clock: ManualClock) -> None:
    gate = threading.Event()

    def hang(delivery: Delivery) -> Exchange:
        gate.wait(30)
        return SUCCESS

    driver = RecordingDriver(answers=[hang])
    put(db, manual_clock, *(plan_of(driver, f"order-{n}") for n in range(6)))
    hub = runtime(db, manual_clock, driver, threads=1, concurrency=6)
    hub.start()
    wait_until(lambda: len(driver.sent) == 1, "the first call", 10)
    gate.set()
    hub.stop()
    states = {one.object_key: (State(one.state), one.attempt_count, one.attempt_id) for one in rows(db).values()}
    assert set(states.values()) <= {(State.DELIVERED, 1, None), (State.WAITING, 0, None)}
    assert sum(1 for state, _, _ in states.values() if state is State.DELIVERED) == len(driver.sent)


def test_alarms_overtake_a_backlog_of_urgent_orders(db: Database, manual_clock: ManualClock) -> None:
    order = NO_JITTER.model_copy(update={"priority": ORDER, "deadline_s": 100, "retry": RetryPolicy(every=60)})
    alarm = NO_JITTER.model_copy(update={"priority": ALARM})
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver, concurrency=1)
    put(db, manual_clock, *(plan_of(driver, f"order-{n}", policy=order) for n in range(20)))
    manual_clock.advance(timedelta(seconds=80))
    put(db, manual_clock, plan_of(driver, "alarm", policy=alarm))
    hub.run_until_idle()
    assert driver.sent[0][1] == "alarm"
