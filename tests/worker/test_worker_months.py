"""The attempts' history in months: made ahead, protected like their table, dropped whole (PostgreSQL); what SQLite does instead."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from charging_core.clock import ManualClock
from charging_core.db import Database
from hub import migrate
from tests.support.databases import FreshDatabase
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
from worker import history
from worker.history import Month, month_of, months_ahead
from worker.policy import RetryPolicy
from worker.retention import Keep, Retention

only_postgresql = pytest.mark.postgresql("SQLite has no partitions")
MARCH = Month(date(2026, 3, 1))


def present_months(db: Database) -> list[Month]:
    with db.read_system("test") as session:
        return history.months(session)


def count(db: Database, table: str) -> int:
    with db.read_system("test") as session:
        return session.connection().execute(select(func.count()).select_from(history.part(table))).scalar_one()


def deliver(db: Database, clock: ManualClock, key: str, **driver: object) -> None:
    sender = RecordingDriver(**driver)  # type: ignore[arg-type]
    put(db, clock, plan_of(sender, key))
    runtime(db, clock, sender).run_until_idle()


def test_months_have_a_name_and_two_borders() -> None:
    december = Month(date(2026, 12, 1))
    assert december.table_name == "delivery_attempt_y2026m12"
    assert (december.next, december.end) == (Month(date(2027, 1, 1)), december.next.begin)
    assert months_ahead(december.begin)[-1] == Month(date(2027, 2, 1))
    assert month_of(december.begin - timedelta(microseconds=1)) == Month(date(2026, 11, 1))
    assert history.is_partition(december.table_name)
    assert not history.is_partition("delivery_attempt")


@only_postgresql
def test_what_lies_outside_of_all_months_is_moved_when_its_month_is_made(
    db: Database, manual_clock: ManualClock
) -> None:
    deliver(db, manual_clock, "a")
    assert (count(db, history.REST), MARCH in present_months(db)) == (1, False)
    assert history.make_ahead(db, manual_clock.now()) == 3
    assert {MARCH, MARCH.next, MARCH.next.next} <= {*present_months(db)}
    assert (count(db, history.REST), count(db, MARCH.table_name)) == (0, 1)
    deliver(db, manual_clock, "b")
    assert [one.outcome for key in "ab" for one in attempts(db, key)] == ["ok", "ok"]
    assert count(db, MARCH.table_name) == 2
    assert history.make_ahead(db, manual_clock.now()) == 0


@only_postgresql
def test_a_month_is_dropped_whole_when_nobody_keeps_it(db: Database, manual_clock: ManualClock) -> None:
    history.make_ahead(db, manual_clock.now())
    deliver(db, manual_clock, "march")
    manual_clock.advance(timedelta(days=31))
    deliver(db, manual_clock, "april")
    retention = Retention(db, manual_clock, Keep(attempts=timedelta(days=30)))
    manual_clock.advance(timedelta(days=28))  # March is over since 29 days
    assert retention.run() == (0, 0)
    assert MARCH in present_months(db)
    manual_clock.advance(timedelta(days=2))
    assert retention.run() == (0, 0)  # nothing was deleted row by row
    assert MARCH not in present_months(db)
    assert (attempts(db, "march"), len(attempts(db, "april"))) == ([], 1)
    assert row(db, "march").state == "delivered"


@only_postgresql
def test_a_month_that_holds_something_kept_stays_with_that_alone(db: Database, manual_clock: ManualClock) -> None:
    history.make_ahead(db, manual_clock.now())
    deliver(db, manual_clock, "done")
    patient = NO_JITTER.model_copy(update={"retry": RetryPolicy(every=7 * 86_400)})
    deliver(db, manual_clock, "open", delivery_policy=patient, answers=[BUSY])
    manual_clock.advance(timedelta(days=90))
    assert Retention(db, manual_clock, Keep(attempts=timedelta(days=30))).run() == (1, 0)
    assert (attempts(db, "done"), len(attempts(db, "open"))) == ([], 1)


@only_postgresql
def test_a_kind_that_is_kept_for_less_does_not_wait_for_its_month(db: Database, manual_clock: ManualClock) -> None:
    history.make_ahead(db, manual_clock.now())
    for kind in ("park", "partner"):
        deliver(db, manual_clock, kind, kind=kind)
    manual_clock.advance(timedelta(days=5))
    keep = {"park": Keep(attempts=timedelta(days=1))}
    assert Retention(db, manual_clock, keep=keep).run() == (1, 0)
    assert (attempts(db, "park"), len(attempts(db, "partner"))) == ([], 1)


@only_postgresql
def test_months_are_behind_the_same_wall_and_belong_to_the_owner(
    db: Database, manual_clock: ManualClock, fresh_database: FreshDatabase
) -> None:
    history.make_ahead(db, manual_clock.now())
    deliver(db, manual_clock, "a", answers=[SUCCESS])
    engine = create_engine(fresh_database.url)
    with engine.begin() as connection:
        for table in (history.REST, *(month.table_name for month in present_months(db))):
            assert connection.execute(select(func.count()).select_from(history.part(table))).scalar() == 0
    with engine.connect() as connection, pytest.raises(DBAPIError, match="must be owner"):
        connection.execute(text(f"DROP TABLE {MARCH.table_name}"))
    engine.dispose()
    migrate.upgrade(fresh_database.owner_url)
    owner = create_engine(fresh_database.owner_url)
    with owner.connect() as connection:
        assert migrate.differences(connection) == []
    owner.dispose()
    assert count(db, MARCH.table_name) == 1


@pytest.mark.sqlite("PostgreSQL drops months")
def test_sqlite_deletes_attempts_and_knows_no_months(db: Database, manual_clock: ManualClock) -> None:
    assert history.make_ahead(db, manual_clock.now()) == 0
    deliver(db, manual_clock, "a")
    manual_clock.advance(timedelta(days=91))
    deliver(db, manual_clock, "b")
    assert Retention(db, manual_clock).run() == (1, 0)
    assert (attempts(db, "a"), len(attempts(db, "b"))) == ([], 1)
