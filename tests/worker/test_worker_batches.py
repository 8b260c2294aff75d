"""Several deliveries in one call: by count, by age, in order, with an answer for all or for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.support.waiting import wait_until
from tests.worker.recording_driver import (
    BUSY,
    NO_JITTER,
    RecordingDriver,
    attempts,
    plan_of,
    put,
    row,
    rows,
    runtime,
)
from worker.api import Body, Delivery, Exchange
from worker.policy import ALARM, BatchPolicy, DailyWindow, DeliveryPolicy

BROKEN = Exchange(request_text="many", http_status=200, answer={"Ret": 4004, "Msg": "bad item"})


def policy(count: int = 3, age_s: float = 60, **changes: Any) -> DeliveryPolicy:
    batch = BatchPolicy(count=count, age_s=age_s, items=changes.pop("items", None), key=changes.pop("key", None))
    return NO_JITTER.model_copy(update={"batch": batch, "lane": "none", **changes})


@dataclass
class CombiningDriver(RecordingDriver):
    """Sends `{"Items": [...]}`; remembers the object keys of every call."""

    delivery_policy: DeliveryPolicy = field(default_factory=policy)
    calls: list[list[str]] = field(default_factory=list)

    def combine(self, deliveries: Sequence[Delivery]) -> Body:
        return {"Items": [delivery.body for delivery in deliveries]}

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        with self._lock:
            self.calls.append([item["OrderNo"] for item in body.get("Items", [body])])
        return super().send(delivery, body)


def test_a_call_goes_when_enough_are_there(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver()
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "a"), plan_of(driver, "b"))
    hub.run_until_idle()
    assert driver.calls == []
    put(db, manual_clock, *(plan_of(driver, key) for key in "cdefg"))
    hub.run_until_idle()
    assert driver.calls == [["a", "b", "c"], ["d", "e", "f"]]
    assert row(db, "g").state == "waiting"


def test_a_call_goes_when_the_oldest_has_waited_long_enough(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver()
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "a"))
    manual_clock.advance(timedelta(seconds=59))
    put(db, manual_clock, plan_of(driver, "b"))
    hub.run_until_idle()
    assert driver.calls == []
    manual_clock.advance(timedelta(seconds=1))
    hub.run_until_idle()
    assert driver.calls == [["a", "b"]]


def test_a_deadline_does_not_wait_for_company(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver(delivery_policy=policy(age_s=600, deadline_s=100))
    put(db, manual_clock, plan_of(driver, "a"))
    assert row(db, "a").next_attempt_at == manual_clock.now() + timedelta(seconds=50)
    driver.delivery_policy = policy(age_s=600, priority=ALARM)
    put(db, manual_clock, plan_of(driver, "b"))
    assert row(db, "b").next_attempt_at == manual_clock.now()


def test_what_may_not_go_yet_does_not_go_along(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver(delivery_policy=policy(age_s=0))
    hub = runtime(db, manual_clock, driver)
    later = manual_clock.now() + timedelta(hours=1)
    put(db, manual_clock, plan_of(driver, "a"), plan_of(driver, "later", not_before=later))
    hub.run_until_idle()
    assert driver.calls == [["a"]]


def test_the_ledger_shows_each_delivery_with_the_shared_attempt(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver()
    driver.answers = [Exchange("all three", '{"Ret":0}', 200, {"Ret": 0}, 7)]
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    assert runtime(db, manual_clock, driver).run_until_idle() == 1
    found = {key: attempts(db, key) for key in "abc"}
    assert all(row(db, key).state == "delivered" and len(found[key]) == 1 for key in "abc")
    assert {one.call_id for (one,) in found.values()} == {found["a"][0].id}
    assert {(one.request_text, one.answer_text, one.outcome) for (one,) in found.values()} == {
        ("all three", '{"Ret":0}', "ok")
    }
    assert {key for key, _ in driver.finished} == {"a", "b", "c"}


def test_a_lane_has_one_delivery_in_a_call(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver(delivery_policy=policy(age_s=0, lane="per_object"))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, key, version) for version in (2, 1) for key in "ab"))
    hub.run_until_idle()
    assert driver.calls == [["a", "b"], ["a", "b"]]
    assert [row(db, "a", version).state for version in (1, 2)] == ["delivered", "delivered"]
    assert row(db, "a", 1).finished_at is not None
    assert [(key, version) for _, key, version in driver.sent] in ([("a", 1), ("a", 2)], [("b", 1), ("b", 2)])


def test_a_failed_call_is_repeated_as_one(db: Database, manual_clock: ManualClock) -> None:
    driver = CombiningDriver(delivery_policy=policy(jitter=0.1))
    driver.answers = [BUSY, Exchange(http_status=200, answer={"Ret": 0})]
    hub = runtime(db, manual_clock, driver, break_after=2)
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    hub.run_until_idle()
    assert {(row(db, key).failure_count, row(db, key).outcome) for key in "abc"} == {(1, "retryable")}
    manual_clock.advance(timedelta(seconds=17))
    hub.run_until_idle()  # one failed call is one failure of the destination: its breaker has not opened
    assert sorted(map(sorted, driver.calls)) == [["a", "b", "c"], ["a", "b", "c"]]
    assert {row(db, key).state for key in "abc"} == {"delivered"}


def test_answers_may_speak_of_each_item(db: Database, manual_clock: ManualClock) -> None:
    rules = policy(items="Data.Results", key="OrderNo", success="Ret==0 and Item.Ok==1", refused="Item.Ok==2")
    driver = CombiningDriver(delivery_policy=rules)
    mixed = [{"OrderNo": "b", "Ok": 2}, {"OrderNo": "a", "Ok": 1}]
    driver.answers = [Exchange(http_status=200, answer={"Ret": 0, "Data": {"Results": mixed}}), BUSY]
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    runtime(db, manual_clock, driver).run_until_idle()
    assert [row(db, key).state for key in "abc"] == ["delivered", "rejected", "waiting"]
    assert row(db, "c").failure_count == 1


def test_what_is_refused_together_goes_one_by_one(db: Database, manual_clock: ManualClock) -> None:
    def picky(delivery: Delivery) -> Exchange:
        together = len(driver.calls[-1]) > 1
        return BROKEN if together or delivery.object_key == "b" else Exchange(http_status=200, answer={"Ret": 0})

    driver = CombiningDriver(answers=[picky])
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    runtime(db, manual_clock, driver).run_until_idle()
    assert [row(db, key).state for key in "abc"] == ["delivered", "dead", "delivered"]
    assert sorted(driver.calls) == [["a"], ["a", "b", "c"], ["b"], ["c"]]
    assert [one.outcome for one in attempts(db, "b")] == ["permanent", "permanent"]


def test_a_driver_that_cannot_combine_sends_each_by_itself(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy())
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    runtime(db, manual_clock, driver).run_until_idle()
    assert sorted(key for _, key, _ in driver.sent) == ["a", "b", "c"]
    assert {attempt.call_id for key in "abc" for attempt in attempts(db, key)} == {None}


def test_a_batch_keeps_to_the_window_and_the_pace_as_one_call(db: Database, manual_clock: ManualClock) -> None:
    window = DailyWindow.model_validate({"from": "09:00", "to": "10:00"})
    driver = CombiningDriver(delivery_policy=policy(daily_window=window, max_per_s=0.1))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, key) for key in "abcdef"))
    hub.run_until_idle()  # 08:00 in China
    assert driver.calls == []
    manual_clock.advance(timedelta(hours=1))
    hub.run_until_idle()
    assert driver.calls == [["a", "b", "c"]]
    manual_clock.advance(timedelta(seconds=10))
    hub.run_until_idle()
    assert driver.calls == [["a", "b", "c"], ["d", "e", "f"]]


def test_batches_travel_through_the_broker_whole(db: Database, manual_clock: ManualClock, redis_url: str) -> None:
    driver = CombiningDriver(delivery_policy=policy(count=40, age_s=0))
    put(db, manual_clock, *(plan_of(driver, f"o{number}") for number in range(100)))
    workers = [runtime(db, manual_clock, driver, redis_url=redis_url) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        wait_until(lambda: {one.state for one in rows(db).values()} == {"delivered"}, "everything delivered")
    finally:
        for worker in workers:
            worker.stop()
    assert sorted(map(len, driver.calls)) == [20, 40, 40]


def test_half_of_a_per_item_answer_is_no_policy() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        BatchPolicy.model_validate({"count": 2, "items": "Data.Results"})
