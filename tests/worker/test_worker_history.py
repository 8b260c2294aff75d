"""After the fact: what was recovered, who did what, how well destinations were served, what is forgotten and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.worker.recording_driver import (
    BUSY,
    NO_JITTER,
    SUCCESS,
    TENANT,
    RecordingDriver,
    attempts,
    plan_of,
    put,
    row,
    rows,
    runtime,
)
from worker import repair
from worker.api import Destination, Exchange, Outcome, Registry, Requirement, State
from worker.audit import actions
from worker.policy import DeliveryPolicy, RetryPolicy
from worker.retention import Keep, Retention
from worker.runtime import RETENTION, WorkerRuntime
from worker.settings import WorkerSettings
from worker.stats import DestinationStats, destination_stats, percentile

LINK = Destination("partner", "link-1")
BROKEN = Exchange(http_status=200, answer={"Ret": 4003, "Msg": "bad body"})


def policy(**changes: Any) -> DeliveryPolicy:
    return NO_JITTER.model_copy(update=changes)


def test_after_an_outage_everything_given_up_since_then_goes_again(db: Database, manual_clock: ManualClock) -> None:
    once = policy(retry=RetryPolicy(max_attempts=1))
    driver = RecordingDriver(answers=[BUSY], delivery_policy=once)
    hub = runtime(db, manual_clock, driver, break_after=100)
    put(db, manual_clock, plan_of(driver, "before"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(hours=1))
    since = manual_clock.now()
    late = manual_clock.now() + timedelta(hours=1)
    ids = put(
        db, manual_clock, *(plan_of(driver, key) for key in ("a", "b")), plan_of(driver, "by-hand", not_before=late)
    )
    hub.run_until_idle()
    driver.answers = [SUCCESS]
    with db.session(TENANT) as session:
        repair.discard(session, ids[2], "li", "sent by mail", manual_clock)
        assert repair.recover(session, LINK, since, manual_clock, "li") == 2
    hub.run_until_idle()
    assert {key: found.state for (_, key, _), found in rows(db).items()} == {
        "before": "dead",
        "a": "delivered",
        "b": "delivered",
        "by-hand": "dead",
    }
    assert [one.outcome for one in attempts(db, "a")] == ["retryable", "ok"]


def test_what_must_not_be_sent_twice_is_not_recovered(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[Exchange(error="timeout")], delivery_policy=policy(at_most_once=True))
    put(db, manual_clock, plan_of(driver, "grant"))
    runtime(db, manual_clock, driver).run_until_idle()
    with db.session(TENANT) as session:
        assert repair.recover(session, LINK, manual_clock.now() - timedelta(days=1), manual_clock, "li") == 0
    assert row(db, "grant").outcome == Outcome.UNKNOWN


def test_who_did_what_is_kept_with_the_action_itself(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BROKEN, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    (dead,) = put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    with db.session(TENANT) as session:
        repair.replay(session, dead, manual_clock, "wang")
        repair.hold_delivery(session, dead, "wang", "wait for the partner's fix", manual_clock)
    with db.session(TENANT) as session:
        repair.hold(session, LINK, "maintenance", manual_clock, "li")
        repair.release(session, LINK, manual_clock, "li")
        repair.release_delivery(session, dead, manual_clock, "wang")
    with db.read(TENANT) as session:
        found = [(one["action"], one["subject"], one["by"]) for one in actions(session)]
        mine = actions(session, subject_id=dead)
    assert found == [
        ("delivery.released", dead, "wang"),
        ("destination.released", "partner:link-1", "li"),
        ("destination.held", "partner:link-1", "li"),
        ("delivery.held", dead, "wang"),
        ("delivery.replayed", dead, "wang"),
    ]
    assert [one["facts"] for one in mine][1:] == [
        {"why": "wait for the partner's fix", "object": "order-1"},
        {"was": "dead", "object": "order-1"},
    ]
    with db.read("somebody else") as session:
        assert actions(session) == []


def test_an_action_that_fails_leaves_no_record(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BROKEN])
    (dead,) = put(db, manual_clock, plan_of(driver, "order-1"))
    runtime(db, manual_clock, driver).run_until_idle()
    try:
        with db.session(TENANT) as session:
            repair.replay(session, dead, manual_clock, "wang")
            raise RuntimeError("something else of the request fails")
    except RuntimeError:
        pass
    with db.read(TENANT) as session:
        assert actions(session) == []
    assert row(db, "order-1").state == "dead"


def stats(db: Database, clock: ManualClock) -> dict[str, DestinationStats]:
    with db.read(TENANT) as session:
        return {one.destination_id: one for one in destination_stats(session, clock.now(), timedelta(hours=1))}


def test_the_numbers_of_a_destination(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(deadline_s=50, retry=RetryPolicy(every=1000)))
    hub = runtime(db, manual_clock, driver, break_after=100)
    for number, seconds in enumerate((1, 2, 60)):
        put(db, manual_clock, plan_of(driver, f"order-{number}"))
        manual_clock.advance(timedelta(seconds=seconds))
        hub.run_until_idle()
    driver.answers = [BUSY]
    put(db, manual_clock, plan_of(driver, "busy"), plan_of(driver, "other", destination="link-2"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(seconds=40))
    found = stats(db, manual_clock)
    one = found["link-1"]
    assert (one.waiting, one.oldest_s, one.ended) == (1, 40, {"delivered": 3})
    assert one.outcomes == {"ok": 3, "retryable": 1}
    assert (one.p50_s, one.p99_s, one.in_time) == (2, 60, 2 / 3)
    assert one.attempts_per_s == 4 / 3600
    assert (found["link-2"].waiting, found["link-2"].p50_s, found["link-2"].in_time) == (1, None, None)


def test_what_is_held_counts_as_waiting_and_ages(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    put(db, manual_clock, plan_of(driver, "order-1"))
    with db.session(TENANT) as session:
        repair.hold(session, LINK, "contract talks", manual_clock, "li")
    manual_clock.advance(timedelta(hours=3))
    runtime(db, manual_clock, driver).run_until_idle()
    one = stats(db, manual_clock)["link-1"]
    assert (one.waiting, one.oldest_s, one.held) == (1, 3 * 3600, "contract talks")


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert [percentile([float(n) for n in range(100)], share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]


def test_history_has_an_end_attempts_first(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[SUCCESS])
    hub = runtime(db, manual_clock, driver)
    keep = Keep(attempts=timedelta(days=90), deliveries=timedelta(days=730))
    retention = Retention(db, manual_clock, keep)
    put(db, manual_clock, plan_of(driver, "old"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(days=91))
    driver.answers = [BUSY]
    put(db, manual_clock, plan_of(driver, "open"))
    hub.run_until_idle()
    assert retention.run() == (1, 0)
    assert attempts(db, "old") == []
    assert row(db, "old").state == "delivered"
    assert retention.run() == (0, 0)
    manual_clock.advance(timedelta(days=731))
    assert retention.run() == (0, 1)
    assert {key for _, key, _ in rows(db)} == {"open"}  # what waits is never forgotten
    assert len(attempts(db, "open")) == 1


def test_an_acceptance_that_others_require_is_kept(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver)
    for version in (1, 2):
        put(db, manual_clock, plan_of(driver, "station", version))
    put(db, manual_clock, plan_of(driver, "status", requires=Requirement("order", "station")))
    hub.run_until_idle()
    manual_clock.advance(timedelta(days=20))
    put(db, manual_clock, plan_of(driver, "status", 2, requires=Requirement("order", "station")))
    retention = Retention(db, manual_clock, keep={"partner": Keep(timedelta(days=10), timedelta(days=10))})
    retention.run()
    # Everything here is one interface, and so may be required: the newest acceptance of each object stays.
    assert {(key, version) for _, key, version in rows(db)} == {("station", 2), ("status", 1), ("status", 2)}
    hub.run_until_idle()
    assert row(db, "status", 2).state == State.DELIVERED


def test_kinds_are_kept_for_their_own_time(db: Database, manual_clock: ManualClock) -> None:
    partner, park = RecordingDriver(), RecordingDriver(kind="park")
    put(db, manual_clock, plan_of(partner, "a"), plan_of(park, "b"))
    runtime(db, manual_clock, partner, park).run_until_idle()
    manual_clock.advance(timedelta(days=30))
    Retention(db, manual_clock, keep={"park": Keep(timedelta(days=7), timedelta(days=7))}).run()
    assert {key for _, key, _ in rows(db)} == {"a"}


def test_stale_states_make_way_after_a_long_outage_recent_ones_are_replayed_in_order(
    db: Database, manual_clock: ManualClock
) -> None:
    driver = RecordingDriver(answers=[BUSY], delivery_policy=policy(stale_after_s=600, retry=RetryPolicy(every=60)))
    hub = runtime(db, manual_clock, driver)
    for version in (1, 2, 3, 4):
        put(db, manual_clock, plan_of(driver, "c1", version))
        hub.run_until_idle()
        manual_clock.advance(timedelta(seconds=300))
    driver.answers, driver.sent = [SUCCESS], []
    for _ in range(5):
        hub.run_until_idle()
        manual_clock.advance(timedelta(seconds=61))
    assert [version for _, _, version in driver.sent] == [3, 4]
    assert row(db, "c1", 1).reason == "stale, and a newer version exists"


def test_a_stale_state_without_a_newer_one_is_still_told(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(stale_after_s=600))
    put(db, manual_clock, plan_of(driver, "c1"))
    manual_clock.advance(timedelta(hours=5))
    runtime(db, manual_clock, driver).run_until_idle()
    assert row(db, "c1").state == "delivered"


def test_the_runtime_forgets_by_its_settings(db: Database, manual_clock: ManualClock) -> None:
    driver, registry = RecordingDriver(), Registry()
    registry.register(driver)
    settings = WorkerSettings(keep_of_kind={"partner": Keep(attempts=timedelta(days=1))})
    hub = WorkerRuntime(db, manual_clock, registry, settings)
    put(db, manual_clock, plan_of(driver, "a"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(days=40))  # long enough for a whole month to be over
    (job,) = (job for job in registry.jobs if job.name == RETENTION)
    job.run(manual_clock.now())
    assert attempts(db, "a") == []
