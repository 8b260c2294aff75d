"""The servers of the tests come up by each of the ways the suite promises, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charging_core.db import Database
from tests.support import postgres, redis_server, servers
from tests.support.databases import Databases
from tests.support.processes import ServersError

POSTGRES_WAYS = {"path": postgres.binaries_on_path, "wheel": postgres.binaries_of_wheel}
REDIS_WAYS = {"path": redis_server.binary_on_path, "wheel": redis_server.binary_of_wheel}


@pytest.mark.parametrize("way", [name for name, find in POSTGRES_WAYS.items() if find()])
def test_postgresql_of_each_way_starts_answers_and_ends(way: str) -> None:
    with servers.server_folder("postgres") as folder:
        server = postgres.start_postgres(folder, POSTGRES_WAYS[way]())
        try:
            assert int(servers.postgres_version(postgres.admin_url(server.port)).split(".")[0]) >= 15
        finally:
            server.stop()
        assert server.process.returncode == 0
    assert not folder.exists()


@pytest.mark.parametrize("way", [name for name, find in REDIS_WAYS.items() if find()])
def test_redis_of_each_way_starts_answers_and_ends(way: str) -> None:
    with servers.server_folder("redis") as folder:
        server = redis_server.start_redis(folder, REDIS_WAYS[way]())
        try:
            assert servers.redis_version(redis_server.redis_url(server.port)) >= "6.2"
        finally:
            server.stop()
        assert server.process.returncode == 0


def test_no_binaries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(postgres, "binaries_of_wheel", lambda: None)
    monkeypatch.setattr(redis_server, "binary_of_wheel", lambda: None)
    with pytest.raises(ServersError, match="HUB_TEST_DATABASE_URL"):
        postgres.find_binaries()
    with pytest.raises(ServersError, match="HUB_TEST_REDIS_URL"):
        redis_server.find_binary()


def test_a_failing_server_shows_its_log() -> None:
    with servers.server_folder("redis") as folder, pytest.raises(ServersError, match="did not start"):
        redis_server.start_redis(folder, Path("/bin/false"))


def test_each_database_is_fresh(databases: Databases) -> None:
    first, second = databases.fresh(), databases.fresh()
    assert first.url != second.url
    for fresh in (first, second):
        database = Database(fresh.url)
        database.ping()
        database.close()
        databases.drop(fresh)


def test_the_program_cannot_bypass_row_security(db: Database) -> None:
    if db.dialect == "sqlite":
        assert db.url.startswith("sqlite:///")
        return
    with db.engine.connect() as connection:
        rights = connection.exec_driver_sql(
            "SELECT current_user, rolbypassrls, rolsuper FROM pg_roles WHERE rolname = current_user"
        ).one()
    assert tuple(rights) == ("hub_app", False, False)
