"""A process that starts before its database."""

from __future__ import annotations

import time

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from charging_core.db import Database
from hub.patience import wait_for_database
from tests.support.databases import FreshDatabase
from tests.support.processes import free_port

POSTGRESQL = pytest.mark.postgresql(reason="SQLite is a file: it is there")


class ComingUp:
    """A database that refuses connections a few times first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def ping(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OperationalError("SELECT 1", None, psycopg.OperationalError("connection failed: Connection refused"))


def test_a_database_that_comes_up_late_is_waited_for() -> None:
    database = ComingUp(refusals=2)
    wait_for_database(database, 30)
    assert database.refusals == 0


@POSTGRESQL
def test_a_database_that_stays_away_is_an_error_in_time(fresh_database: FreshDatabase) -> None:
    away = Database(make_url(fresh_database.url).set(port=free_port()).render_as_string(hide_password=False))
    began = time.monotonic()
    with pytest.raises(DBAPIError):
        wait_for_database(away, 0.6)
    assert time.monotonic() - began >= 0.6
    away.close()


@POSTGRESQL
def test_a_wrong_database_is_told_at_once(fresh_database: FreshDatabase) -> None:
    wrong = Database(make_url(fresh_database.url).set(database="not_there").render_as_string(hide_password=False))
    with pytest.raises(DBAPIError, match="not_there"):
        wait_for_database(wrong, 600)
    wrong.close()
