"""Engines, sessions and the tenant scope.

`Database` hands out sessions that are already scoped: `session(tenant)` writes in one transaction, `read(tenant)` reads,
`system(reason)` and `read_system(reason)` are the only way out of the scope (pile login, relay, ledger, administration). The scope
is applied here, to every ORM statement, and on PostgreSQL a second time by row-level security (migrations).

Errors never show bound values: they may be plates, phones or secrets.

SQLite has one writer: write sessions begin IMMEDIATE behind one lock per process, reads run beside them on read-only connections.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, Engine, MetaData, String, create_engine, event, make_url, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    with_loader_criteria,
)

from charging_core.errors import ScopeError

WRITER_WAIT_S = 30.0
"""How long a thread waits for SQLite's single writer before it says so."""

Mark = tuple[int, int]
"""What `Database.mark` tells; to be compared, not to be read."""

_BUSY_TIMEOUT_MS = 15_000
_SCOPE_SQL = text("SELECT set_config('hub.tenant', :tenant, :local), set_config('hub.system', :system, :local)")


class Base(DeclarativeBase):
    """Root of all tables; constraint names follow one pattern so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class TenantScoped:
    """Mixin of every business row: the tenant it belongs to, filled in and enforced by the session."""

    tenant_id: Mapped[str] = mapped_column(String(64), index=True)


class HubSession(Session):
    """A session that knows its scope (`info["tenant"]` or `info["system"]`)."""

    @property
    def tenant_id(self) -> str:
        """The tenant of this session. Raises `ScopeError` in a system session."""
        tenant = self.info.get("tenant")
        if tenant is None:
            raise ScopeError("a system session has no tenant")
        return str(tenant)

    @property
    def dialect_name(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.get_bind().dialect.name

    def on_commit(self, action: Callable[[], None]) -> None:
        """Run `action` after this transaction has committed (wake somebody, drop a cache); not after a rollback."""
        self.info.setdefault("on_commit", []).append(action)


class Database:
    """The database behind one URL: SQLite (WAL) or PostgreSQL."""

    def __init__(self, url: str, *, synchronous: Literal["FULL", "NORMAL"] = "FULL", pool_size: int = 20) -> None:
        self.url = url
        self.dialect = make_url(url).get_backend_name()
        self._writer = threading.Lock() if self.dialect == "sqlite" else None
        if self.dialect == "sqlite":
            self._write_engine = _sqlite_engine(url, synchronous, "BEGIN IMMEDIATE", read_only=False)
            self._read_engine = _sqlite_engine(url, synchronous, "BEGIN", read_only=True)
            self._marks: _SqliteMarks | None = _SqliteMarks(make_url(url).database or "")
        else:
            self._marks = None
            self._write_engine = create_engine(
                url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, hide_parameters=True
            )
            self._read_engine = self._write_engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations and maintenance only."""
        return self._write_engine

    @contextmanager
    def session(self, tenant_id: str) -> Iterator[HubSession]:
        """One write transaction in the scope of `tenant_id`; commits at the end, rolls back on an exception."""
        with self._write({"tenant": tenant_id}) as session:
            yield session

    @contextmanager
    def system(self, reason: str) -> Iterator[HubSession]:
        """One write transaction over all tenants. `reason` says who needs it (it is kept on the session)."""
        with self._write({"system": reason}) as session:
            yield session

    @contextmanager
    def read(self, tenant_id: str) -> Iterator[HubSession]:
        """Reads in the scope of `tenant_id`; never writes."""
        with self._read({"tenant": tenant_id}) as session:
            yield session

    @contextmanager
    def read_system(self, reason: str) -> Iterator[HubSession]:
        """Reads over all tenants."""
        with self._read({"system": reason}) as session:
            yield session

    def ping(self) -> None:
        """One trivial read; raises SQLAlchemy's `DBAPIError` when the database is away."""
        with self._read_engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def mark(self) -> Mark | None:
        """Something that is another as soon as anything was committed, by whatever process; None where that costs as much as looking.

        What was read after a mark was taken is still right while the mark is the same.
        """
        return None if self._marks is None else self._marks.now()

    def close(self) -> None:
        """Close every pooled connection."""
        if self._marks is not None:
            self._marks.close()
        self._write_engine.dispose()
        self._read_engine.dispose()

    @contextmanager
    def _write(self, info: dict[str, Any]) -> Iterator[HubSession]:
        session = HubSession(self._write_engine, info=info, expire_on_commit=False)
        with self._single_writer(), session, session.begin():
            yield session
        for action in session.info.get("on_commit", ()):
            action()

    @contextmanager
    def _read(self, info: dict[str, Any]) -> Iterator[HubSession]:
        with HubSession(
            self._read_engine, info=info | {"read": True}, autoflush=False, expire_on_commit=False
        ) as session:
            yield session

    @contextmanager
    def _single_writer(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=WRITER_WAIT_S):
            raise TimeoutError(f"the SQLite writer was busy for {WRITER_WAIT_S:.0f} s")
        try:
            yield
        finally:
            self._writer.release()


class _SqliteMarks:
    """SQLite counts, for each connection, the commits of all others; this connection commits nothing, so it sees every one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened = 0

    def now(self) -> Mark:
        with self._lock:
            if self._connection is None:
                self._opened += 1  # another connection counts anew
                self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            return self._opened, int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _sqlite_engine(url: str, synchronous: str, begin: str, *, read_only: bool) -> Engine:
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000},
        pool_size=20,
        max_overflow=40,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(raw: Any, _record: object) -> None:
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@event.listens_for(HubSession, "after_begin")
def _tell_postgresql_the_scope(session: HubSession, _transaction: object, connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    scope = {
        "tenant": session.info.get("tenant") or "",
        "system": "on" if session.info.get("system") else "",
        "local": not session.info.get("read"),
    }
    connection.execute(_SCOPE_SQL, scope)


@event.listens_for(HubSession, "do_orm_execute")
def _apply_scope(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_column_load or state.is_relationship_load:
        return
    tenant = state.session.info.get("tenant")
    if tenant is not None:
        state.statement = state.statement.options(
            with_loader_criteria(TenantScoped, lambda cls: cls.tenant_id == tenant, include_aliases=True)
        )
    elif not state.session.info.get("system"):
        raise ScopeError("this session has neither a tenant nor a system reason")


@event.listens_for(HubSession, "before_flush")
def _own_new_rows(session: HubSession, _context: object, _instances: object) -> None:
    tenant = session.info.get("tenant")
    for row in [*session.new, *session.dirty]:
        if not isinstance(row, TenantScoped):
            continue
        owner: str | None = row.tenant_id
        if owner is None and tenant is not None:
            row.tenant_id = owner = tenant
        if owner is None:
            raise ScopeError(f"{type(row).__name__} has no tenant")
        if tenant is not None and owner != tenant:
            raise ScopeError(f"{type(row).__name__} belongs to another tenant than the session")
