"""The whole worker with its threads: in-process broker, Redis broker, Redis that loses everything or is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import record_event
from tests.support.processes import free_port
from tests.support.waiting import wait_until
from tests.worker.recording_driver import (
    NO_JITTER,
    SUCCESS,
    TENANT,
    RecordingDriver,
    plan_of,
    put,
    row,
    rows,
    runtime,
    tell,
)
from worker.api import Delivery, Exchange
from worker.policy import RetryPolicy
from worker.runtime import WorkerRuntime


@contextmanager
def running(hub: WorkerRuntime) -> Iterator[WorkerRuntime]:
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def all_delivered(db: Database, count: int) -> Callable[[], bool]:
    def check() -> bool:
        found = rows(db).values()
        return len(found) == count and all(one.state == "delivered" for one in found)

    return check


def brokers(redis_url: str) -> dict[str, dict[str, Any]]:
    return {"in process": {}, "redis": {"redis_url": redis_url}}


@pytest.mark.parametrize("broker", ["in process", "redis"])
def test_events_reach_their_destinations_in_order(
    db: Database, manual_clock: ManualClock, redis_url: str, broker: str
) -> None:
    driver = RecordingDriver(destinations=("a", "b", "c"))
    with running(runtime(db, manual_clock, driver, **brokers(redis_url)[broker])) as hub:
        for version in (1, 2, 3):
            for number in range(10):
                tell(db, manual_clock.now(), f"order-{number}", version)
            hub.wake()
        wait_until(all_delivered(db, 90), "all deliveries", 30)
        assert hub.alive()
    assert len(driver.sent) == len(set(driver.sent)) == 90
    for destination in driver.destinations:
        for number in range(10):
            versions = [v for d, key, v in driver.sent if (d, key) == (destination, f"order-{number}")]
            assert versions == [1, 2, 3]


def test_two_processes_worth_of_workers_share_one_redis(
    db: Database, manual_clock: ManualClock, redis_url: str
) -> None:
    drivers = [RecordingDriver(destinations=("a", "b", "c")) for _ in range(2)]
    hubs = [runtime(db, manual_clock, driver, redis_url=redis_url, threads=4) for driver in drivers]
    with running(hubs[0]), running(hubs[1]):
        for number in range(40):
            tell(db, manual_clock.now(), f"order-{number}")
        wait_until(all_delivered(db, 120), "all deliveries", 30)
    sent = drivers[0].sent + drivers[1].sent
    assert len(sent) == len(set(sent)) == 120


def test_messages_lost_with_redis_come_back_with_their_lease(
    db: Database, manual_clock: ManualClock, redis_url: str
) -> None:
    driver = RecordingDriver()
    put(db, manual_clock, *(plan_of(driver, f"order-{number}") for number in range(8)))
    lost = runtime(db, manual_clock, driver, queue_lease_s=0.5)
    assert lost.ledger.claim(["partner"], 4)  # claimed, queued, and then Redis is flushed
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    with running(runtime(db, manual_clock, driver, redis_url=redis_url, sweep_s=0.1)):
        wait_until(all_delivered(db, 8), "the lost ones too", 20)
    assert len(driver.sent) == len(set(driver.sent)) == 8


def test_an_absent_redis_does_not_stop_deliveries(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver, redis_url=f"redis://127.0.0.1:{free_port()}/0", threads=2)
    put(db, manual_clock, *(plan_of(driver, f"order-{number}") for number in range(4)))
    with running(hub):
        wait_until(all_delivered(db, 4), "delivery without Redis", 30)
    assert len(driver.sent) == 4


def test_a_hanging_destination_does_not_slow_the_others(db: Database, manual_clock: ManualClock) -> None:
    gate = threading.Event()

    def hang(delivery: Delivery) -> Exchange:
        if delivery.destination.id == "hangs":
            gate.wait(20)
        return SUCCESS

    driver = RecordingDriver(destinations=("hangs", "well"), answers=[hang])
    with running(runtime(db, manual_clock, driver, threads=8, concurrency=4)):
        for number in range(30):
            tell(db, manual_clock.now(), f"order-{number}")

        def healthy_done() -> bool:
            found = rows(db)
            return all(found.get(("well", f"order-{n}", 1)) is not None for n in range(30)) and all(
                found["well", f"order-{number}", 1].state == "delivered" for number in range(30)
            )

        wait_until(healthy_done, "the healthy destination to be served", 15)
        assert sum(1 for destination, _, _ in driver.sent if destination == "hangs") <= 4
        gate.set()
        wait_until(all_delivered(db, 60), "the other one afterwards", 20)


def test_a_commit_wakes_the_relay(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    with running(runtime(db, manual_clock, driver, poll_s=60)) as hub:
        tell(db, manual_clock.now(), "first")
        hub.wake()
        wait_until(all_delivered(db, 1), "the first delivery, after which every loop sleeps", 20)
        with db.session(TENANT) as session:
            record_event(session, "order.settled", "second", 1, {}, manual_clock.now())
            session.on_commit(hub.wake)
        wait_until(all_delivered(db, 2), "delivery by waking, long before the next poll", 20)


def test_a_stopped_worker_gives_back_and_the_next_life_goes_on(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    put(db, manual_clock, plan_of(driver, "order-1"))
    former = runtime(db, manual_clock, driver)
    assert former.ledger.claim(["partner"], 5)
    with running(runtime(db, manual_clock, driver)):  # the sole worker takes back what its former life had leased
        wait_until(all_delivered(db, 1), "the leased delivery", 10)


def test_the_gauges_tell_how_much_waits_and_how_long(db: Database, manual_clock: ManualClock) -> None:
    rules = NO_JITTER.model_copy(update={"retry": RetryPolicy(every=3600)})
    driver = RecordingDriver(kind="gauged", answers=[Exchange(error="connection")], delivery_policy=rules)
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    manual_clock.set(manual_clock.now().replace(minute=10))
    hub.ledger.observe(["gauged"])
    assert REGISTRY.get_sample_value("hub_worker_waiting", {"kind": "gauged"}) == 1
    assert REGISTRY.get_sample_value("hub_worker_oldest_waiting_seconds", {"kind": "gauged"}) == 600
    assert row(db, "order-1").outcome == "retryable"
    labels = {"kind": "gauged", "outcome": "retryable"}
    assert REGISTRY.get_sample_value("hub_worker_attempts_total", labels) == 1
