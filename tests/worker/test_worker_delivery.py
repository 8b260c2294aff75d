"""What becomes of a delivery: accepted, refused, tried again by the ladder, superseded, held, given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from charging_core.clock import ManualClock
from charging_core.db import Database, HubSession
from charging_core.events import DomainEvent
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
    runtime,
    tell,
)
from worker import repair
from worker.api import Body, Delivery, Destination, Exchange, Outcome, Problem, Requirement, State, Verdict
from worker.errors import BodyRefused, NotReady, NotRepairable
from worker.policy import DailyWindow, DeliveryPolicy, RetryPolicy

WRONG_SIGNATURE = Exchange(http_status=200, answer={"Ret": 4001, "Msg": "signature"})
TIMEOUT = Exchange(error="timeout")


def policy(**changes: Any) -> DeliveryPolicy:
    return NO_JITTER.model_copy(update=changes)


def kinds_of_events(db: Database) -> list[str]:
    with db.read_system("test") as session:
        return [event.type for event in session.query(DomainEvent).order_by(DomainEvent.id)]


def test_an_accepted_delivery_keeps_what_was_said(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    tell(db, manual_clock.now(), "order-1")
    runtime(db, manual_clock, driver).run_until_idle()
    found, (attempt,) = row(db, "order-1"), attempts(db, "order-1")
    assert (found.state, found.outcome, found.attempt_count) == ("delivered", "ok", 1)
    assert found.body == {"OrderNo": "order-1", "total": "1.20"}
    assert (attempt.number, attempt.answer_text, attempt.http_status, attempt.outcome) == (1, '{"Ret":0}', 200, "ok")
    assert driver.finished == [("order-1", Verdict(Outcome.OK, "0"))]


def test_the_ladder_is_walked_step_by_step_and_ends_visibly(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BUSY])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    begun, moments = manual_clock.now(), []
    for _ in range(120):
        if hub.run_until_idle():
            moments.append((manual_clock.now() - begun).total_seconds())
        manual_clock.advance(timedelta(seconds=1))
    assert moments == [0, 15, 30, 60]
    found = row(db, "order-1")
    assert (found.state, found.outcome, found.code) == ("dead", "retryable", "-1")
    assert found.reason == "retry ladder ended: busy"
    assert driver.finished[0][1].outcome is Outcome.RETRYABLE


def test_the_body_is_mapped_once_and_frozen(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BUSY, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(seconds=15))
    hub.run_until_idle()
    assert driver.renders == 1
    assert driver.bodies[0] == driver.bodies[1]
    assert [attempt.outcome for attempt in attempts(db, "order-1")] == ["retryable", "ok"]


def test_a_disputed_order_is_rejected_and_not_repeated(db: Database, manual_clock: ManualClock) -> None:
    answer = Exchange(http_status=200, answer={"Ret": 0, "Data": {"ConfirmResult": 1}})
    rules = policy(success="Ret==0 and Data.ConfirmResult==0", refused="Ret==0 and Data.ConfirmResult==1")
    driver = RecordingDriver(answers=[answer], delivery_policy=rules)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub = runtime(db, manual_clock, driver)
    assert hub.run_until_idle() == 1
    found = row(db, "order-1")
    assert (found.state, found.outcome, found.dispute) == ("rejected", "business_refused", True)
    manual_clock.advance(timedelta(days=1))
    assert hub.run_until_idle() == 0


def test_an_ignored_push_counts_as_delivered(db: Database, manual_clock: ManualClock) -> None:
    answer = Exchange(http_status=200, answer={"Ret": 0, "Data": {"Status": 1}})
    rules = policy(success="Ret==0 and Data.Status==0", ignored="Ret==0 and Data.Status==1")
    driver = RecordingDriver(answers=[answer], delivery_policy=rules)
    put(db, manual_clock, plan_of(driver, "order-1"))
    runtime(db, manual_clock, driver).run_until_idle()
    assert (row(db, "order-1").state, row(db, "order-1").outcome) == ("delivered", "ignored")


def test_a_terminal_code_ends_at_once(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[Exchange(http_status=200, answer={"Ret": "4004", "Msg": "no such station"})])
    put(db, manual_clock, plan_of(driver, "order-1"))
    runtime(db, manual_clock, driver).run_until_idle()
    found = row(db, "order-1")
    assert (found.state, found.outcome, found.code, found.reason) == ("dead", "permanent", "4004", "no such station")


def test_a_wrong_key_holds_the_destination_until_it_is_released(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[WRONG_SIGNATURE, SUCCESS], destinations=("link-1", "link-2"))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    put(db, manual_clock, plan_of(driver, "order-2"), plan_of(driver, "order-3", destination="link-2"))
    manual_clock.advance(timedelta(hours=2))
    hub.run_until_idle()
    assert [(link, key) for link, key, _ in driver.sent] == [("link-1", "order-1"), ("link-2", "order-3")]
    assert (row(db, "order-1").state, row(db, "order-2").state) == ("waiting", "waiting")
    assert row(db, "order-1").failure_count == 0  # our mistake does not use up the ladder
    assert kinds_of_events(db) == ["destination.held"]
    with db.session(TENANT) as session:
        repair.release(session, Destination("partner", "link-1"), manual_clock)
    hub.run_until_idle()
    assert (row(db, "order-1").state, row(db, "order-2").state) == ("delivered", "delivered")
    assert kinds_of_events(db) == ["destination.held", "destination.released"]


def test_hold_after_counts_failures_in_a_row(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[WRONG_SIGNATURE], delivery_policy=policy(hold_after=2))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    assert len(driver.sent) == 1
    assert kinds_of_events(db) == []
    manual_clock.advance(timedelta(seconds=15))
    hub.run_until_idle()
    manual_clock.advance(timedelta(hours=1))
    assert hub.run_until_idle() == 0
    assert kinds_of_events(db) == ["destination.held"]


def test_newest_replaces_what_still_waits(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[BUSY, SUCCESS], delivery_policy=policy(coalesce="newest"))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "c1", 1))
    hub.run_until_idle()
    put(db, manual_clock, plan_of(driver, "c1", 2))
    put(db, manual_clock, plan_of(driver, "c1", 3))
    hub.run_until_idle()
    assert [version for _, _, version in driver.sent] == [1, 3]
    assert [row(db, "c1", version).state for version in (1, 2, 3)] == ["superseded", "superseded", "delivered"]
    assert row(db, "c1", 1).reason == "a newer version exists"


def test_an_older_version_planned_late_is_superseded_too(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(coalesce="newest"))
    hub = runtime(db, manual_clock, driver)
    for version in (2, 1):
        put(db, manual_clock, plan_of(driver, "c1", version))
        hub.run_until_idle()
    assert [version for _, _, version in driver.sent] == [2]
    assert row(db, "c1", 1).state == "superseded"


def test_newest_replaces_older_planned_in_the_same_breath(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(coalesce="newest"))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, key, version) for version in (1, 2, 3) for key in ("c1", "c2")))
    hub.run_until_idle()
    assert sorted((key, version) for _, key, version in driver.sent) == [("c1", 3), ("c2", 3)]
    assert {row(db, key, version).state for key in ("c1", "c2") for version in (1, 2)} == {"superseded"}


def test_unchanged_values_are_not_pushed_again(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(delivery_policy=policy(on_change=("Status",)))
    hub = runtime(db, manual_clock, driver)
    for version, (status, noise) in enumerate([(1, 10), (1, 11), (3, 11), (1, 11)], start=1):
        put(db, manual_clock, plan_of(driver, "c1", version, snapshot={"Status": status, "Power": noise}))
        hub.run_until_idle()
    assert [version for _, _, version in driver.sent] == [1, 3, 4]
    assert (row(db, "c1", 2).state, row(db, "c1", 2).reason) == ("superseded", "unchanged since last accepted")


def test_a_required_delivery_goes_first(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "status", requires=Requirement("order", "station")))
    hub.run_until_idle()
    assert driver.sent == []
    assert row(db, "status").reason == "waits for order of station"
    put(db, manual_clock, plan_of(driver, "station"))
    hub.run_until_idle()
    manual_clock.advance(timedelta(seconds=20))
    hub.run_until_idle()
    assert [key for _, key, _ in driver.sent] == ["station", "status"]
    assert row(db, "status").failure_count == 0


def test_a_deadline_ends_only_what_expires(db: Database, manual_clock: ManualClock) -> None:
    rules = {"keeps": policy(deadline_s=20), "ends": policy(deadline_s=20, expire=True)}

    class Mixed(RecordingDriver):
        def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
            return rules[delivery.object_key]

    driver = Mixed(answers=[BUSY])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, key, policy=rules[key]) for key in rules))
    for seconds in (0, 15, 5):
        manual_clock.advance(timedelta(seconds=seconds))
        hub.run_until_idle()
    assert (row(db, "ends").state, row(db, "ends").code) == ("dead", "expired")
    assert row(db, "keeps").state == "waiting"
    assert [key for _, key, _ in driver.sent].count("ends") == 2


def test_at_most_once_ends_as_unknown_after_a_timeout(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[TIMEOUT], delivery_policy=policy(at_most_once=True))
    put(db, manual_clock, plan_of(driver, "grant"))
    hub = runtime(db, manual_clock, driver)
    hub.run_until_idle()
    assert (row(db, "grant").state, row(db, "grant").outcome) == ("dead", "unknown")
    assert driver.finished == [("grant", Verdict(Outcome.UNKNOWN, "timeout"))]


def test_a_driver_that_raises_is_repeated_by_the_ladder(db: Database, manual_clock: ManualClock) -> None:
    def burst(delivery: Delivery) -> Exchange:
        raise RuntimeError("bug")

    driver = RecordingDriver(answers=[burst, SUCCESS])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "order-1"))
    hub.run_until_idle()
    assert (row(db, "order-1").state, attempts(db, "order-1")[0].error) == ("waiting", "internal")
    manual_clock.advance(timedelta(seconds=15))
    hub.run_until_idle()
    assert row(db, "order-1").state == "delivered"


def test_a_failing_hook_does_not_send_for_ever(db: Database, manual_clock: ManualClock) -> None:
    class Careless(RecordingDriver):
        def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
            raise RuntimeError("bug")

    driver = Careless()
    put(db, manual_clock, plan_of(driver, "order-1"))
    runtime(db, manual_clock, driver).run_until_idle()
    found = row(db, "order-1")
    assert (found.state, found.reason) == ("delivered", "(hook failed: RuntimeError)")
    assert len(driver.sent) == 1


def test_what_cannot_be_mapped_waits_or_ends_with_its_code(db: Database, manual_clock: ManualClock) -> None:
    class Mapper(RecordingDriver):
        def render(self, session: HubSession, delivery: Delivery) -> Body:
            if delivery.object_key == "soon":
                raise NotReady("id_not_assigned", "the province has not numbered the pile", 600)
            if delivery.object_key == "never":
                raise BodyRefused("out_of_region", "440199")
            return {}

        def validate(self, delivery: Delivery, body: Body) -> tuple[Problem, ...]:
            return (Problem("missing", "StationID"), Problem("too_long", "StationName"))

    driver = Mapper()
    put(db, manual_clock, *(plan_of(driver, key) for key in ("soon", "never", "invalid")))
    runtime(db, manual_clock, driver).run_until_idle()
    assert driver.sent == []
    assert row(db, "soon").next_attempt_at == manual_clock.now() + timedelta(seconds=600)
    assert (row(db, "never").state, row(db, "never").code) == ("dead", "out_of_region")
    assert (row(db, "invalid").state, row(db, "invalid").code) == ("dead", "missing")
    assert row(db, "invalid").reason == "missing StationID; too_long StationName"


def test_calls_are_paced_and_keep_to_the_daily_window(db: Database, manual_clock: ManualClock) -> None:
    window = DailyWindow.model_validate({"from": "09:00", "to": "10:00"})
    driver = RecordingDriver(delivery_policy=policy(min_interval_s=30, daily_window=window))
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, plan_of(driver, "a"), plan_of(driver, "b"))
    assert hub.run_until_idle() == 0  # 08:00 in China
    manual_clock.advance(timedelta(hours=1))
    hub.run_until_idle()
    assert len(driver.sent) == 1
    manual_clock.advance(timedelta(seconds=29))
    hub.run_until_idle()
    assert len(driver.sent) == 1
    manual_clock.advance(timedelta(seconds=1))
    hub.run_until_idle()
    assert len(driver.sent) == 2


def test_a_failing_destination_is_probed_not_flooded_and_its_return_is_told(
    db: Database, manual_clock: ManualClock
) -> None:
    rules = policy(retry=RetryPolicy(every=60))
    driver = RecordingDriver(answers=[TIMEOUT], delivery_policy=rules)
    hub = runtime(db, manual_clock, driver, break_after=3, break_s=30)
    put(db, manual_clock, *(plan_of(driver, f"order-{number}") for number in range(50)))
    hub.run_until_idle()
    assert len(driver.sent) <= 6  # up to the four under way when the third failed
    assert kinds_of_events(db) == ["destination.failing"]
    driver.answers = [SUCCESS]
    manual_clock.advance(timedelta(seconds=61))
    hub.run_until_idle()
    assert {row(db, f"order-{number}").state for number in range(50)} == {"delivered"}
    assert kinds_of_events(db) == ["destination.failing", "destination.recovered"]


def test_repairs(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[Exchange(http_status=200, answer={"Ret": 4003}), SUCCESS])
    hub = runtime(db, manual_clock, driver)
    dead, waiting = put(db, manual_clock, plan_of(driver, "dead")) + put(
        db, manual_clock, plan_of(driver, "late", not_before=manual_clock.now() + timedelta(hours=1))
    )
    hub.run_until_idle()
    with db.session(TENANT) as session:
        assert repair.count(session, repair.Selection(states=(State.DEAD,))) == 1
        with pytest.raises(NotRepairable):
            repair.replay(session, waiting, manual_clock)
        repair.replay(session, dead, manual_clock)
        repair.discard(session, waiting, "operator", "sent by hand", manual_clock)
    hub.run_until_idle()
    assert row(db, "dead").state == "delivered"
    assert (row(db, "late").state, row(db, "late").reason) == ("dead", "discarded by operator: sent by hand")
    with db.read("other-tenant") as session:
        assert repair.find(session, repair.Selection()) == []


def test_a_selection_is_replayed_in_bulk(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(answers=[Exchange(http_status=200, answer={"Ret": 4003})])
    hub = runtime(db, manual_clock, driver)
    put(db, manual_clock, *(plan_of(driver, f"order-{number}") for number in range(5)))
    hub.run_until_idle()
    driver.answers = [SUCCESS]
    with db.session(TENANT) as session:
        wanted = repair.Selection(destination=Destination("partner", "link-1"), outcome=Outcome.PERMANENT)
        assert repair.replay_selection(session, wanted, manual_clock) == 5
    hub.run_until_idle()
    assert {row(db, f"order-{number}").state for number in range(5)} == {"delivered"}
