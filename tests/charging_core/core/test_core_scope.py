"""A tenant's session sees and writes that tenant's rows and no others, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.exc import DBAPIError

from charging_core.clock import ManualClock
from charging_core.db import Database, HubSession
from charging_core.errors import ScopeError
from charging_core.events import DomainEvent, record_event
from charging_core.stations.model import Pile, Station
from tests.support.seed import seed_operator


@pytest.fixture
def two_tenants(db: Database, manual_clock: ManualClock) -> Database:
    seed_operator(db, manual_clock.now(), tenant_id="green", number=1)
    seed_operator(db, manual_clock.now(), tenant_id="blue", number=2)
    return db


def test_reads_are_scoped_lazy_loads_included(two_tenants: Database) -> None:
    with two_tenants.read("green") as session:
        stations = session.scalars(select(Station)).all()
        assert [station.tenant_id for station in stations] == ["green"]
        assert [pile.tenant_id for pile in stations[0].piles] == ["green"]


def test_a_foreign_id_is_not_found(two_tenants: Database) -> None:
    with two_tenants.read("blue") as session:
        theirs = session.scalars(select(Pile)).one().id
    with two_tenants.read("green") as session:
        assert session.scalars(select(Pile).where(Pile.id == theirs)).one_or_none() is None
        assert session.get(Pile, theirs) is None


def test_a_bulk_update_stays_inside_the_tenant(two_tenants: Database) -> None:
    with two_tenants.session("green") as session:
        session.execute(update(Pile).values(name="ours"))
    with two_tenants.read_system("check") as session:
        names = {pile.tenant_id: pile.name for pile in session.scalars(select(Pile))}
    assert names == {"green": "ours", "blue": None}


def test_writing_for_another_tenant_is_refused(two_tenants: Database, manual_clock: ManualClock) -> None:
    with pytest.raises(ScopeError), two_tenants.session("green") as session:
        record_event(session, "x", "1", 1, {}, manual_clock.now(), tenant_id="blue")


def test_a_session_without_scope_reads_nothing(two_tenants: Database) -> None:
    with HubSession(two_tenants.engine) as session, pytest.raises(ScopeError):
        session.scalars(select(Station)).all()


def test_a_failed_transaction_leaves_nothing_and_wakes_nobody(db: Database, manual_clock: ManualClock) -> None:
    woken: list[str] = []

    def fail() -> None:
        with db.session("green") as session:
            session.on_commit(lambda: woken.append("yes"))
            record_event(session, "x", "1", 1, {}, manual_clock.now())
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError):
        fail()
    with db.read_system("check") as session:
        assert session.scalar(select(func.count()).select_from(DomainEvent)) == 0
    assert woken == []


@pytest.mark.postgresql("row-level security exists on PostgreSQL only")
def test_the_database_itself_hides_rows_from_a_connection_without_scope(two_tenants: Database) -> None:
    engine = create_engine(two_tenants.url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == "hub_app"
        assert connection.execute(text("SELECT count(*) FROM station")).scalar() == 0
        connection.execute(text("SELECT set_config('hub.tenant', 'green', false)"))
        assert connection.execute(text("SELECT count(*) FROM station")).scalar() == 1
        with pytest.raises(DBAPIError, match="row-level security"):
            connection.execute(text("UPDATE station SET tenant_id = 'blue'"))
    engine.dispose()
