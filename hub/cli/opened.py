"""The hub as commands use it: composed from the environment, nothing started, closed at the end."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from charging_core.db import HubSession
from hub import migrate
from hub.container import Container
from hub.logging_setup import configure_logging
from hub.settings import load_settings


@contextmanager
def opened() -> Iterator[Container]:
    """A composed hub on a migrated database. Raises `SettingsError`, `NotMigrated`."""
    settings = load_settings()
    configure_logging(settings.model_copy(update={"log_level": "warning"}))
    container = Container(settings)
    try:
        migrate.require_head(container.db.engine)
        yield container
    finally:
        container.stop()


@contextmanager
def looking(container: Container, tenant: str | None) -> Iterator[HubSession]:
    """Reads of one tenant, or of all when none is named."""
    scope = container.db.read(tenant) if tenant else container.db.read_system("hub command")
    with scope as session:
        yield session


def acting(given: str | None) -> str:
    """Who does something, as records of actions keep it: `cli:` and the name that was given, else the system's user."""
    return f"cli:{given or getpass.getuser()}"
