"""The servers a test run needs (DECISIONS 25): given by environment, else started here, else an error that says what to install.

`python -m tests.support.servers` starts both, prints the two settings that make other runs use them, and stops at Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from sqlalchemy.engine import make_url

from tests.support.postgres import admin_url, start_postgres
from tests.support.processes import ServerProcess, ServersError
from tests.support.redis_server import redis_url, start_redis

POSTGRES_MINIMUM = 150000  # server_version_num of 15.0 (DESIGN section 5)
REDIS_MINIMUM = (6, 2)


@dataclass(frozen=True)
class PostgresServer:
    """Where the test PostgreSQL is; `admin_url` belongs to a user who may create roles and databases."""

    admin_url: str
    version: str
    process: ServerProcess | None = None


@dataclass(frozen=True)
class RedisServer:
    """Where the test Redis is. Its data are flushed between tests."""

    url: str
    version: str
    process: ServerProcess | None = None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL of `HUB_TEST_DATABASE_URL`, else one of our own for the length of the block."""
    given = os.environ.get("HUB_TEST_DATABASE_URL")
    with ExitStack() as stack:
        process = None if given else start_postgres(stack.enter_context(server_folder("postgres")))
        if process is not None:
            stack.callback(process.stop)
        url = given or admin_url(process.port if process else 0)
        yield PostgresServer(url, postgres_version(url), process)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """The Redis of `HUB_TEST_REDIS_URL`, else one of our own for the length of the block."""
    given = os.environ.get("HUB_TEST_REDIS_URL")
    with ExitStack() as stack:
        process = None if given else start_redis(stack.enter_context(server_folder("redis")))
        if process is not None:
            stack.callback(process.stop)
        url = given or redis_url(process.port if process else 0)
        yield RedisServer(url, redis_version(url), process)


@contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """A temporary folder directly below the system's: folders of pytest are closed to the account the server runs as."""
    folder = Path(tempfile.mkdtemp(prefix=f"hub-test-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def libpq_url(url: str) -> str:
    """The same address in the spelling psycopg takes."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def postgres_version(url: str) -> str:
    """`15.18`; raises ServersError when it cannot be reached or is older than 15."""
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=10) as connection:
            number, text = connection.info.server_version, connection.info.parameter_status("server_version")
    except psycopg.OperationalError as error:
        raise ServersError(f"PostgreSQL of HUB_TEST_DATABASE_URL does not answer: {error}") from error
    if number < POSTGRES_MINIMUM:
        raise ServersError(f"PostgreSQL 15 or newer is needed, this is {text}")
    return str(text)


def redis_version(url: str) -> str:
    """`7.0.15`; raises ServersError when it cannot be reached or is older than 6.2."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=10) as client:
            version = str(client.info("server")["redis_version"])
    except redis.RedisError as error:
        raise ServersError(f"Redis of HUB_TEST_REDIS_URL does not answer: {error}") from error
    if tuple(int(part) for part in version.split(".")[:2]) < REDIS_MINIMUM:
        raise ServersError(f"Redis 6.2 or newer is needed, this is {version}")
    return version


def main() -> None:
    """Run both servers until SIGINT or SIGTERM."""
    with postgres_server() as postgres, redis_server() as cache:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(f"# PostgreSQL {postgres.version}, Redis {cache.version}; Ctrl-C stops them")  # noqa: T201
        print(f"export HUB_TEST_DATABASE_URL={postgres.admin_url}\nexport HUB_TEST_REDIS_URL={cache.url}", flush=True)  # noqa: T201
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except ServersError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(0)
