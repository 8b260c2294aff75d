"""Brings a database to the schema of this program, and says whether it is there (`hub migrate`, `/readyz`).

Every process asks the second question, at its start and for each `/readyz`. It is answered without alembic, whose import and reading
of scripts would be a tenth of a start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from charging_core.clock import SystemClock
from hub.errors import NotMigrated
from hub.migrations.models import is_ours, load_models, scoped_tables
from hub.migrations.partitions import prepare_history
from hub.migrations.rls import protect_all
from worker.history import REST

if TYPE_CHECKING:
    from alembic.config import Config

_NAMED = re.compile(r'^(revision|down_revision)(?:: [^=]+)? = ["\'](\w+)["\']', re.MULTILINE)
_LOCK_KEY = 0x48554242  # any fixed number: two `hub migrate` at once wait for each other on PostgreSQL


def upgrade(database_url: str, revision: str = "head") -> str | None:
    """Run every missing migration and (PostgreSQL) row-level security; returns the revision reached. Idempotent.

    `database_url` belongs to the owner of the tables (`hub_owner`).
    """
    from alembic import command

    with _engine(database_url) as engine, engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        command.upgrade(_config(connection), revision)
        prepare_history(connection, SystemClock().now())
        protect_all(connection, [*scoped_tables(), REST])
        return current(connection)


def make_revision(database_url: str, message: str, directory: str | None = None) -> None:
    """Write a new migration from the difference between the models and the database (for developers)."""
    from alembic import command

    with _engine(database_url) as engine, engine.begin() as connection:
        command.revision(_config(connection, directory), message=message, autogenerate=True)


@cache
def head() -> str | None:
    """The newest revision this program knows, the one that no other builds on; None when it has no migrations."""
    known: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for script in resources.files("hub.migrations.versions").iterdir():
        if script.name.endswith(".py"):
            for name, revision in _NAMED.findall(script.read_text("utf-8")):
                known[name].add(revision)
    return max(known["revision"] - known["down_revision"], default=None)


def current(connection: Connection) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def require_head(engine: Engine) -> None:
    """Raise `NotMigrated` unless the database is at head."""
    with engine.connect() as connection:
        found = current(connection)
    wanted = head()
    if found != wanted:
        raise NotMigrated(found, wanted)


def differences(connection: Connection) -> list[Any]:
    """What the models have and the database has not, or the other way round; empty when they agree."""
    opts = {"compare_type": True, "include_name": is_ours}
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts=opts)
    return list(compare_metadata(context, load_models()))


def _config(connection: Connection | None, version_directory: str | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("hub.migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if version_directory:
        config.set_main_option("version_locations", version_directory)
    config.attributes["connection"] = connection
    return config


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url, poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()
