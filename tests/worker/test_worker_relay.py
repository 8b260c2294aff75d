"""From domain event to deliveries: exactly once per destination, in order, and no event blocks another."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import DomainEvent
from tests.worker.recording_driver import RecordingDriver, plan_of, put, row, rows, runtime, tell
from worker.model import DeliveryRow


def states(db: Database) -> dict[str, tuple[str, int]]:
    with db.read_system("test") as session:
        return {event.subject_id: (event.state, event.tries) for event in session.scalars(select(DomainEvent))}


def pending(db: Database) -> bool:
    with db.read_system("test") as session:
        return (
            session.scalars(select(DomainEvent.id).where(DomainEvent.state == "pending").limit(1)).first() is not None
        )


def test_every_destination_gets_its_delivery_once(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver(destinations=("a", "b"))
    hub = runtime(db, manual_clock, driver)
    tell(db, manual_clock.now(), "order-1")
    assert hub.run_until_idle() == 2
    assert sorted(driver.sent) == [("a", "order-1", 1), ("b", "order-1", 1)]
    assert states(db) == {"order-1": ("done", 0)}
    assert hub.run_until_idle() == 0


def test_an_event_nobody_wants_is_done(db: Database, manual_clock: ManualClock) -> None:
    hub = runtime(db, manual_clock, RecordingDriver())
    tell(db, manual_clock.now(), "c1", kind="connector.status_changed")
    assert hub.run_until_idle() == 0
    assert states(db) == {"c1": ("done", 0)}


def test_two_relays_at_once_plan_each_delivery_once_and_in_order(db: Database, manual_clock: ManualClock) -> None:
    first, second = RecordingDriver(destinations=("a", "b")), RecordingDriver(destinations=("a", "b"))
    relays = [runtime(db, manual_clock, driver, batch=7).relay for driver in (first, second)]
    for version in (1, 2, 3):
        for number in range(20):
            tell(db, manual_clock.now(), f"order-{number}", version)
    failures: list[BaseException] = []

    def drain(number: int) -> None:
        try:
            while pending(db):
                relays[number].run_batch()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=drain, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    found = rows(db)
    assert len(found) == 20 * 3 * 2
    for number in range(20):
        created = sorted((found["a", f"order-{number}", version].id, version) for version in (1, 2, 3))
        assert [version for _, version in created] == [1, 2, 3]


def test_a_poison_event_becomes_visible_and_blocks_nobody(
    db: Database, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.relay._BACKOFF_S", 600)  # however slow this machine is at the moment

    def refuse(event: DomainEvent, destination: str) -> None:
        if event.subject_id == "bad":
            raise RuntimeError("this order cannot be planned")

    sick, well = RecordingDriver(planned=refuse), RecordingDriver(kind="regulator")
    hub = runtime(db, manual_clock, sick, well, event_tries=2)
    for key in ("good-1", "bad", "good-2"):
        tell(db, manual_clock.now(), key)
    hub.run_until_idle()
    assert sorted(key for _, key, _ in sick.sent) == ["good-1", "good-2"]
    assert sorted(key for _, key, _ in well.sent) == ["bad", "good-1", "good-2"]  # the healthy room is not held up
    assert states(db)["bad"] == ("pending", 1)
    hub.relay._paused.clear()  # its pause is real time
    hub.run_until_idle()
    assert states(db)["bad"] == ("stuck", 2)
    with db.read_system("test") as session:
        problem = session.scalars(select(DomainEvent.problem).where(DomainEvent.subject_id == "bad")).one()
    assert problem == "partner: RuntimeError: this order cannot be planned"
    assert len(well.sent) == 3


def test_a_later_fact_waits_for_the_earlier_one_of_its_subject(db: Database, manual_clock: ManualClock) -> None:
    broken = [True]

    def refuse_first(event: DomainEvent, destination: str) -> None:
        if event.version == 1 and broken[0]:
            raise RuntimeError("not yet")

    driver = RecordingDriver(planned=refuse_first)
    hub = runtime(db, manual_clock, driver)
    tell(db, manual_clock.now(), "order-1", 1)
    tell(db, manual_clock.now(), "order-1", 2)
    hub.run_until_idle()
    assert driver.sent == []
    broken[0] = False
    hub.relay._paused.clear()
    hub.run_until_idle()
    assert [version for _, _, version in driver.sent] == [1, 2]


def test_the_driver_sees_only_the_tenant_of_the_event(db: Database, manual_clock: ManualClock) -> None:
    seen: list[set[str]] = []

    class Nosy(RecordingDriver):
        def plan(self, session, event):  # type: ignore[no-untyped-def]
            seen.append(set(session.scalars(select(DeliveryRow.tenant_id))))
            return super().plan(session, event)

    driver = Nosy()
    put(db, manual_clock, plan_of(driver, "foreign"), tenant="t2")
    tell(db, manual_clock.now(), "order-1")
    hub = runtime(db, manual_clock, driver)
    hub.relay.run_batch()
    assert seen == [set()]
    assert row(db, "order-1").tenant_id == "t1"


def test_planning_twice_is_harmless(db: Database, manual_clock: ManualClock) -> None:
    driver = RecordingDriver()
    assert len(put(db, manual_clock, plan_of(driver, "order-1"))) == 1
    assert put(db, manual_clock, plan_of(driver, "order-1")) == []
    assert len(rows(db)) == 1
