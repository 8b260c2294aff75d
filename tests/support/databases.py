"""Fresh databases for tests: the schema is made once by the migrations, every test gets a copy of it.

On PostgreSQL the copy is `CREATE DATABASE … TEMPLATE`, used by the roles of production (DECISIONS 24); on SQLite a copied file.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from hub.migrate import upgrade
from tests.support.servers import libpq_url

OWNER, APP = "hub_owner", "hub_app"


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


class PostgresDatabases:
    """Databases on one server, cloned from a migrated template that lives as long as this object."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        # Several runs may share one server (HUB_TEST_DATABASE_URL): every name carries this run's mark.
        self._prefix = f"hub_test_{uuid4().hex[:8]}"
        self._numbers = count(1)
        self._free: list[str] = []
        self._template = f"{self._prefix}_template"
        with self._admin() as admin:
            ensure_roles(admin)
            _create(admin, self._template, "template0")
        upgrade(self._url(OWNER, self._template))

    def fresh(self) -> FreshDatabase:
        """A clone of the template, owned by `hub_owner`."""
        name = self._free.pop() if self._free else f"{self._prefix}_{next(self._numbers)}"
        with self._admin() as admin:
            _create(admin, name, self._template)
        return FreshDatabase("postgresql", self._url(APP, name), self._url(OWNER, name))

    def drop(self, database: FreshDatabase) -> None:
        """Drop it; sessions that are still there are ended by the server. The next test may have its name."""
        name = str(make_url(database.url).database)
        self._drop(name)
        self._free.append(name)

    def close(self) -> None:
        """Drop the template."""
        self._drop(self._template)

    def _drop(self, name: str) -> None:
        with self._admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(libpq_url(self._admin_url), autocommit=True)

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
