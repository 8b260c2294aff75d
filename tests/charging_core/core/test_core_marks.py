"""The database's mark: another after every commit, whoever made it, so that what was read under it is known to be right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from charging_core.db import Database
from charging_core.stations.model import Station
from tests.conftest import BASE_TIME
from tests.support.seed import seed_operator


@pytest.fixture
def tenant(db: Database) -> str:
    return seed_operator(db, BASE_TIME).tenant_id


@pytest.fixture
def other(db: Database) -> Iterator[Database]:
    """The same database as another process has it."""
    other = Database(db.url)
    yield other
    other.close()


def rename(db: Database, tenant: str, name: str | None) -> None:
    with db.session(tenant) as session:
        session.scalars(select(Station)).one().name = name  # type: ignore[assignment]  # None is refused by the table


def test_a_commit_of_anybody_changes_it(db: Database, other: Database, tenant: str) -> None:
    marks = [db.mark()]
    for number, writer in enumerate((db, other, db, other)):
        rename(writer, tenant, f"站{number}")
        marks.append(db.mark())
    if db.dialect == "sqlite":
        assert len(set(marks)) == 5
    else:
        assert set(marks) == {None}, "PostgreSQL has no such count that would cost less than looking"


def test_a_database_that_was_closed_counts_on_under_other_marks(db: Database, tenant: str) -> None:
    before = db.mark()
    db.close()
    rename(db, tenant, "站")
    assert db.mark() != before or db.dialect != "sqlite"


def test_reading_and_giving_up_do_not_change_it(db: Database, other: Database, tenant: str) -> None:
    rename(db, tenant, "站")
    before = db.mark()
    for reader in (db, other):
        with reader.read(tenant) as session:
            assert session.scalars(select(Station)).one().name == "站"
        with pytest.raises(IntegrityError):
            rename(reader, tenant, None)
    assert db.mark() == before
