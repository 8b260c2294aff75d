"""What else a profile may say about delivering: marks of the clock, windows, lanes held until confirmed, the order after an outage."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from charging_core.clock import CHINA, ManualClock
from charging_core.db import Database
from tests.worker.recording_driver import (
    BUSY,
    NO_JITTER,
    SUCCESS,
    TENANT,
    RecordingDriver,
    plan_of,
    put,
    row,
    runtime,
)
from worker import repair
from worker.api import Destination, Exchange
from worker.audit import actions
from worker.policy import DailyWindow, DeliveryPolicy, RetryPolicy, next_mark

REFUSED = Exchange(http_status=200, answer={"Ret": 4003, "Msg": "bad body"})
LINK = Destination("partner", "link-1")


def policy(**changes: Any) -> DeliveryPolicy:
    return NO_JITTER.model_copy(update=changes)


def sent(driver: RecordingDriver) -> list[tuple[str, int]]:
    return [(key, version) for _, key, version in driver.sent]


def test_ladders_that_grow_by_a_factor() -> None:
    growing = RetryPolicy.model_validate({"growing": {"first_s": 10, "factor": 3, "most_s": 200}, "max_attempts": 6})
    assert [growing.wait_after(failures) for failures in range(1, 7)] == [10, 30, 90, 200, 200, None]
    after_a_list = RetryPolicy.model_validate({"ladder": [1, 2], "growing": {"first_s": 10}})
    assert [after_a_list.wait_after(failures) for failures in (1, 2, 3, 4, 90)] == [1, 2, 10, 20, 3600]


def test_the_slower_of_two_paces_counts() -> None:
    assert DeliveryPolicy().interval_s is None
    assert DeliveryPolicy(max_per_s=4).interval_s == 0.25
    assert DeliveryPolicy(max_per_s=4, min_interval_s=0.5).interval_s == 0.5


@pytest.mark.parametrize(
    ("moment", "every_s", "mark"),
    [("08:00:00", 300, "08:00:00"), ("08:00:01", 300, "08:05:00"), ("23:59:30", 420, "00:00:00"), ("13:01:00", 86_400, "00:00:00")],
)  # fmt: skip
def test_marks_of_the_chinese_wall_clock(moment: str, every_s: int, mark: str) -> None:
    instant = datetime.fromisoformat(f"2026-03-02T{moment}").replace(tzinfo=CHINA)
    assert f"{next_mark(instant, every_s).astimezone(CHINA):%H:%M:%S}" == mark


def test_a_first_attempt_may_wait_for_the_mark(db: Database, manual_clock: ManualClock) -> None:
    manual_clock.advance(timedelta(seconds=61))
    driver = RecordingDriver(delivery_policy=policy(align_s=300), answers=[BUSY, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "a"))
    assert hub.run_until_idle() == 0
    manual_clock.advance(timedelta(seconds=239))
    assert hub.run_until_idle() == 1
    manual_clock.advance(timedelta(seconds=15))  # the ladder counts from the failure, not from a mark
    assert hub.run_until_idle() == 1


def test_a_backlog_does_not_overrun_its_window(db: Database, manual_clock: ManualClock) -> None:
    window = DailyWindow.model_validate({"from": "08:00", "to": "09:00"})
    driver = RecordingDriver(delivery_policy=policy(daily_window=window, min_interval_s=1800))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, key) for key in "abc"))
    for _ in range(4):
        hub.run_until_idle()
        manual_clock.advance(timedelta(minutes=30))
    assert len(driver.sent) == 2
    assert row(db, "c").next_attempt_at.astimezone(CHINA) == datetime(2026, 3, 3, 8, tzinfo=CHINA)
    assert row(db, "c").reason == "outside its daily window"
    manual_clock.advance(timedelta(hours=22))
    assert hub.run_until_idle() == 1


@pytest.mark.parametrize(
    "answer", [REFUSED, Exchange(http_status=200, answer={"Ret": 0, "Data": {"ConfirmResult": 1}})]
)
def test_a_lane_may_be_held_until_confirmed(db: Database, manual_clock: ManualClock, answer: Exchange) -> None:
    rules = policy(hold_lane=True, refused="Data.ConfirmResult==1")
    driver = RecordingDriver(delivery_policy=rules, answers=[answer, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "o", 1), plan_of(driver, "o", 2), plan_of(driver, "p"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(days=3))
    hub.run_until_idle()
    assert sent(driver) == [("o", 1), ("p", 1)]
    held = row(db, "o", 1)
    assert (held.state, held.finished_at) == ("held", None)
    assert held.reason is not None
    assert held.reason.startswith("lane held until confirmed: ")
    with db.session(TENANT) as session:
        assert [(one["action"], one["by"], one["subject"]) for one in actions(session)] == [
            ("delivery.held", "worker", held.id)
        ]
        repair.release_delivery(session, held.id, manual_clock, "mei")
    hub.run_until_idle()
    assert sent(driver)[2:] == [("o", 1), ("o", 2)]


def test_a_held_lane_goes_on_when_its_head_is_discarded(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(hold_lane=True), answers=[REFUSED, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "o", 1), plan_of(driver, "o", 2))
    hub.run_until_idle()
    with db.session(TENANT) as session:
        repair.discard(session, row(db, "o", 1).id, "mei", "told by phone", manual_clock)
    hub.run_until_idle()
    assert (row(db, "o", 1).state, row(db, "o", 2).state) == ("dead", "delivered")


def test_after_an_outage_kept_transitions_go_oldest_first_then_the_present(
    db: Database, manual_clock: ManualClock
) -> None:
    driver = RecordingDriver(delivery_policy=policy(retry=RetryPolicy(every=3600)), answers=[BUSY])
    hub = runtime(db, manual_clock, driver)
    for version in (1, 2, 3):
        put(db, manual_clock, plan_of(driver, "c1", version))
        hub.run_until_idle()
        manual_clock.advance(timedelta(hours=5))
    driver.sent.clear()
    driver.answers = [SUCCESS]
    manual_clock.advance(timedelta(hours=1))
    hub.run_until_idle()
    assert sent(driver) == [("c1", 1), ("c1", 2), ("c1", 3)]


def test_recovered_transitions_are_followed_by_the_present(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[REFUSED, REFUSED, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    since = manual_clock.now()
    for version in (1, 2, 3):  # the first two are given up, the third is accepted
        put(db, manual_clock, plan_of(driver, "c1", version))
    hub.run_until_idle()
    put(db, manual_clock, plan_of(driver, "c2"))
    hub.run_until_idle()
    driver.sent.clear()
    with db.session(TENANT) as session:
        assert repair.recover(session, LINK, since, manual_clock) == 2
    hub.run_until_idle()
    assert sent(driver) == [("c1", 1), ("c1", 2), ("c1", 3)]


def test_a_held_lane_is_recovered_too(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(hold_lane=True), answers=[BUSY])
    hub = runtime(db, manual_clock, driver)
    since = manual_clock.now()
    put(db, manual_clock, plan_of(driver, "o", 1), plan_of(driver, "o", 2))
    for _ in range(10):
        hub.run_until_idle()
        manual_clock.advance(timedelta(minutes=5))
    assert row(db, "o", 1).state == "held"
    driver.answers = [SUCCESS]
    with db.session(TENANT) as session:
        assert repair.count_recoverable(session, LINK, since) == 1
        assert repair.recover(session, LINK, since, manual_clock) == 1
    hub.run_until_idle()
    assert (row(db, "o", 1).state, row(db, "o", 2).state) == ("delivered", "delivered")
