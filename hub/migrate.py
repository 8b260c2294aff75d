"""Brings a database to the schema of this program, and says whether it is there (`hub migrate`, `/readyz`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from hub.errors import NotMigrated
from hub.migrations.models import load_models, scoped_tables
from hub.migrations.rls import protect_all

_LOCK_KEY = 0x48554242  # any fixed number: two `hub migrate` at once wait for each other on PostgreSQL


def upgrade(database_url: str, revision: str = "head") -> str | None:
    """Run every missing migration and (PostgreSQL) row-level security; returns the revision reached. Idempotent.

    `database_url` belongs to the owner of the tables (`hub_owner`).
    """
    with _engine(database_url) as engine, engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        command.upgrade(_config(connection), revision)
        protect_all(connection, scoped_tables())
        return MigrationContext.configure(connection).get_current_revision()


def make_revision(database_url: str, message: str, directory: str | None = None) -> None:
    """Write a new migration from the difference between the models and the database (for developers)."""
    with _engine(database_url) as engine, engine.begin() as connection:
        command.revision(_config(connection, directory), message=message, autogenerate=True)


def head() -> str | None:
    """The newest revision this program knows; None when it has no migrations."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def current(connection: Connection) -> str | None:
    """The revision the database is at."""
    return MigrationContext.configure(connection).get_current_revision()


def require_head(engine: Engine) -> None:
    """Raise `NotMigrated` unless the database is at head."""
    with engine.connect() as connection:
        found = current(connection)
    wanted = head()
    if found != wanted:
        raise NotMigrated(found, wanted)


def differences(connection: Connection) -> list[Any]:
    """What the models have and the database has not, or the other way round; empty when they agree."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, load_models()))


def _config(connection: Connection | None, version_directory: str | None = None) -> Config:
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
