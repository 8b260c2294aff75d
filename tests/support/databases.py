"""Fresh databases for tests: the schema is made once by the migrations, every test gets a copy of it.

On PostgreSQL the copy is `CREATE DATABASE … TEMPLATE`, used by the roles of production (DECISIONS 24); on SQLite a copied file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from hub.migrate import upgrade
from tests.support.servers import libpq_url

OWNER, APP = "hub_owner", "hub_app"
_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes: many times what all databases of a run hold."""


@dataclass(frozen=True)
class FreshDatabase:
    """One test's database: `url` as the program uses it, `owner_url` as `hub migrate` uses it (the same on SQLite)."""

    dialect: str
    url: str
    owner_url: str


class Databases(Protocol):
    """Makes and drops databases of one kind."""

    def fresh(self) -> FreshDatabase:
        """A database of its own with the present schema and no rows. Names of dropped ones come again."""
        ...

    def drop(self, database: FreshDatabase) -> None:
        """Remove it, whoever is still connected."""
        ...


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the machine has room for one, `otherwise` if not.

    A test writes as a hub does, and waits for the disk as it does: a disk that is busy with something else would stop the whole suite.
    """
    if not _IN_MEMORY.is_dir() or shutil.disk_usage(_IN_MEMORY).free < _ROOM or not os.access(_IN_MEMORY, os.W_OK):
        yield otherwise
        return
    with TemporaryDirectory(prefix="hub-test-", dir=_IN_MEMORY) as folder:
        yield Path(folder)


class SqliteDatabases:
    """Files in one folder, copied from a migrated one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.sqlite"
        self._numbers = count(1)
        self._free: list[Path] = []
        upgrade(f"sqlite:///{self._template}")

    def fresh(self) -> FreshDatabase:
        """A copied file."""
        path = self._free.pop() if self._free else self._folder / f"test-{next(self._numbers)}.sqlite"
        shutil.copy(self._template, path)
        return FreshDatabase("sqlite", f"sqlite:///{path}", f"sqlite:///{path}")

    def drop(self, database: FreshDatabase) -> None:
        """Delete the file with its write-ahead log; the next test may have its name."""
        path = Path(str(make_url(database.url).database))
        self._free.append(path)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


_SCHEMA = """
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
       (SELECT max(oid::bigint) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
       (SELECT max(oid::bigint) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
       (SELECT count(*) FROM pg_policy),
       (SELECT min(version_num) FROM alembic_version)
"""
"""A row that changes with the schema, or with what it is said to be."""
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
_OTHERS_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_RESTARTED = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
_KEPT = frozenset({"alembic_version"})


class PostgresDatabases:
    """Databases on one server, cloned from a migrated template that lives as long as this object.

    A clone takes a fifth of a second, so a database whose schema is still the template's is emptied and lent again.
    """

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        # Several runs may share one server (HUB_TEST_DATABASE_URL): every name carries this run's mark.
        self._prefix = f"hub_test_{uuid4().hex[:8]}"
        self._numbers = count(1)
        self._free: list[str] = []
        self._empty: list[str] = []
        self._template = f"{self._prefix}_template"
        with self._admin() as admin:
            ensure_roles(admin)
            _create(admin, self._template, "template0")
        upgrade(self._url(OWNER, self._template))
        with self._admin(self._template) as template:
            self._schema = template.execute(_SCHEMA).fetchone()

    def fresh(self) -> FreshDatabase:
        """A clone of the template, owned by `hub_owner`."""
        if self._empty:
            name = self._empty.pop()
        else:
            name = self._free.pop() if self._free else f"{self._prefix}_{next(self._numbers)}"
            with self._admin() as admin:
                _create(admin, name, self._template)
        return FreshDatabase("postgresql", self._url(APP, name), self._url(OWNER, name))

    def drop(self, database: FreshDatabase) -> None:
        """Empty it, or drop it when its schema was changed; sessions that are still there are ended. The next test may have its name."""
        name = str(make_url(database.url).database)
        if self._emptied(name):
            self._empty.append(name)
            return
        self._drop(name)
        self._free.append(name)

    def _emptied(self, name: str) -> bool:
        with self._admin(name) as inside:
            inside.execute(_OTHERS_END)
            if inside.execute(_SCHEMA).fetchone() != self._schema:
                return False
            tables = [sql.Identifier(table) for (table,) in inside.execute(_TABLES) if table not in _KEPT]
            rows = [sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {})").format(t.as_string(), t) for t in tables]
            used = [table for (table,) in inside.execute(sql.SQL(" UNION ALL ").join(rows))]
            # TRUNCATE makes new files for every table it reaches, a hundred here; the few rows of a test are deleted sooner.
            inside.execute("SET session_replication_role = replica")  # in any order: no foreign key is looked at
            inside.execute("; ".join([f"DELETE FROM {table}" for table in used]))
            inside.execute(_RESTARTED)
        return True

    def close(self) -> None:
        """Drop the template and what waits for the next test."""
        for name in (*self._empty, self._template):
            self._drop(name)

    def _drop(self, name: str) -> None:
        with self._admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin(self, database: str | None = None) -> psycopg.Connection:
        url = make_url(self._admin_url)
        chosen = url if database is None else url.set(database=database)
        return psycopg.connect(libpq_url(chosen.render_as_string(hide_password=False)), autocommit=True)

    def _url(self, role: str, name: str) -> str:
        url = make_url(self._admin_url).set(
            drivername="postgresql+psycopg", username=role, password=role, database=name
        )
        return url.render_as_string(hide_password=False)


def ensure_roles(admin: psycopg.Connection) -> None:
    """The two roles of production, without any right to bypass row-level security."""
    for role in (OWNER, APP):
        if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            command = "CREATE ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
            admin.execute(sql.SQL(command).format(sql.Identifier(role), sql.Literal(role)))


def _create(admin: psycopg.Connection, name: str, template: str) -> None:
    command = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    admin.execute(command.format(sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)))
