"""What every test may ask for: a fresh database of the leg's kind, a Redis, a clock that moves when told.

Without `--leg` everything runs once, on SQLite. `--leg sqlite` runs the tests that use a database or Redis, `--leg postgresql` the same
on PostgreSQL, `--leg plain` all others. Servers come from `tests/support/servers.py`; a leg whose servers are missing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from charging_core.clock import ManualClock
from charging_core.db import Database
from tests.support.databases import Databases, FreshDatabase, PostgresDatabases, SqliteDatabases, quick_folder
from tests.support.logs import plain_logs
from tests.support.parallel import Together, turn
from tests.support.processes import ServersError
from tests.support.servers import PostgresServer, RedisServer, postgres_server, redis_server
from tests.support.unordered import shuffle

DATABASE_LEGS = ("sqlite", "postgresql")
LEGS = ("plain", *DATABASE_LEGS)
EVERYTHING = "all"
# A test that uses one of these behaves differently on another database, so it runs on both.
LEG_FIXTURES = frozenset({"db", "hub", "databases", "fresh_database", "redis_url"})
BASE_TIME = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)  # 08:00 on a Monday in China

servers_key = pytest.StashKey[ExitStack]()
postgres_key = pytest.StashKey[PostgresServer | None]()
redis_key = pytest.StashKey[RedisServer | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--leg`."""
    parser.addoption("--leg", choices=(EVERYTHING, *LEGS), default=EVERYTHING, help="which tests, on which database")


def pytest_configure(config: pytest.Config) -> None:
    """The postgresql leg needs its servers in any case: bring them up first, so that the header can name them."""
    plain_logs()
    shuffle()
    config.stash[servers_key] = ExitStack()
    config.stash[postgres_key] = config.stash[redis_key] = None
    if config.getoption("--leg") != "postgresql" or config.getoption("--collect-only"):
        return
    try:
        config.stash[postgres_key] = config.stash[servers_key].enter_context(postgres_server())
        _redis(config)
    except ServersError as problem:
        config.stash[servers_key].close()
        raise pytest.UsageError(str(problem)) from problem


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started here."""
    config.stash[servers_key].close()


def pytest_report_header(config: pytest.Config) -> str:
    """Which leg, which servers."""
    postgres, cache = config.stash[postgres_key], config.stash[redis_key]
    servers = f"PostgreSQL {postgres.version}, Redis {cache.version}" if postgres and cache else "SQLite"
    return f"leg: {config.getoption('--leg')} on {servers}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what belongs to the leg, the longest first; the rest is reported as deselected."""
    leg = str(config.getoption("--leg"))
    kept = [item for item in items if _belongs(item, leg)]
    dropped = [item for item in items if not _belongs(item, leg)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Our own way to share the suite between processes."""
    config.option.loadscopereorder = False  # ours is the order of collection
    return Together(config, log)


def _belongs(item: pytest.Item, leg: str) -> bool:
    marks = [mark for name in DATABASE_LEGS for mark in item.iter_markers(name)]
    for mark in marks:
        if not (mark.args or mark.kwargs.get("reason")):
            raise pytest.UsageError(f"{item.nodeid}: the mark '{mark.name}' needs its reason")
    stored = not LEG_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    legs = {mark.name for mark in marks} or (set(DATABASE_LEGS) if stored else {"plain"})
    return leg in legs or (leg == EVERYTHING and legs != {"postgresql"})


def _redis(config: pytest.Config) -> RedisServer:
    running = config.stash[redis_key]
    if running is None:
        running = config.stash[redis_key] = config.stash[servers_key].enter_context(redis_server())
    return running


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> PostgresServer | None:
    """The PostgreSQL of this leg; none on SQLite."""
    return request.config.stash[postgres_key]


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The maker of databases of this leg, with its migrated template."""
    postgres = request.config.stash[postgres_key]
    if postgres is None:
        with quick_folder(tmp_path_factory.mktemp("databases")) as folder:
            yield SqliteDatabases(folder)
        return
    made = PostgresDatabases(postgres.admin_url)
    yield made
    made.close()


@pytest.fixture
def fresh_database(databases: Databases) -> Iterator[FreshDatabase]:
    """The addresses of a database of the test's own: present schema, no rows."""
    fresh = databases.fresh()
    yield fresh
    databases.drop(fresh)


@pytest.fixture(scope="session")
def opened() -> dict[str, Database]:
    """`Database` objects by address. An engine keeps what it has compiled, which would be most of the work of a short test."""
    return {}


@pytest.fixture
def db(fresh_database: FreshDatabase, opened: dict[str, Database]) -> Iterator[Database]:
    """A `Database` on a fresh database of this leg, as the program opens it (on PostgreSQL as `hub_app`)."""
    database = opened.get(fresh_database.url) or Database(fresh_database.url, synchronous="NORMAL")
    opened[fresh_database.url] = database
    yield database
    database.close()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty Redis; started when the first test asks for it."""
    server = _redis(request.config)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock at 2026-03-02 08:00 China time that moves only when told."""
    return ManualClock(BASE_TIME)
