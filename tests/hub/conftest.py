"""A composed hub on the leg's database, the example applied for two tenants, tokens of both, and an HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from charging_core.access import Scope, create_token
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.container import Container, Role
from hub.edge import build_edge
from hub.settings import Settings
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text, other_tenant_text
from tests.support.databases import Databases, FreshDatabase


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of the example."""
    return demo_environ()


@pytest.fixture
def hub_settings(fresh_database: FreshDatabase) -> Settings:
    """Settings on a fresh database."""
    return settings_for(fresh_database)


def settings_for(fresh_database: FreshDatabase) -> Settings:
    """Settings on this database, every port chosen by the system."""
    return Settings(
        secret_key=SecretStr(SECRET_KEY),
        database_url=fresh_database.url,
        database_owner_url=fresh_database.owner_url,
        web_port=0,
        pile_port=0,
        ocpp_port=0,
        sqlite_synchronous="NORMAL",
        drain_s=5,
    )


@pytest.fixture
def hub(hub_settings: Settings) -> Iterator[Container]:
    """A composed hub; nothing of it runs until a test starts it."""
    container = Container(hub_settings)
    yield container
    container.stop()


@pytest.fixture
def apply_text(hub: Container, environ: dict[str, str], tmp_path: Path) -> Callable[..., list[object]]:
    """`apply_text(yaml, dry_run=…, prune=…)`: what `hub apply` does."""

    def run(text: str, *, dry_run: bool = False, prune: bool = False) -> list[object]:
        declaration = read_document(text, Surroundings(environ, tmp_path))
        return list(Applier(hub.db, hub.clock, hub.box).apply(declaration, dry_run=dry_run, prune=prune))

    return run


@dataclass(frozen=True)
class Stage:
    """A running web application with both tenants declared, shared by the tests of a module."""

    hub: Container
    client: TestClient
    tokens: Tokens


@pytest.fixture(scope="module")
def stage(databases: Databases) -> Iterator[Stage]:
    """Built once per module: composing connexion takes longer than most tests."""
    fresh = databases.fresh()
    hub = Container(settings_for(fresh))
    applier = Applier(hub.db, hub.clock, hub.box)
    for text in (example_text(), other_tenant_text()):
        applier.apply(read_document(text, Surroundings(demo_environ(), Path())))
    with TestClient(build_edge(hub, {Role.WEB}), raise_server_exceptions=False) as client:
        yield Stage(hub, client, make_tokens(hub))
    databases.drop(fresh)


@dataclass(frozen=True)
class Tokens:
    """API tokens as headers."""

    demo: dict[str, str]
    other: dict[str, str]
    reader: dict[str, str]


@pytest.fixture
def tokens(hub: Container, apply_text: Callable[..., list[object]]) -> Tokens:
    """Both tenants declared; one token with all scopes for each, and one of `demo` that may only read the console."""
    apply_text(example_text())
    apply_text(other_tenant_text())
    return make_tokens(hub)


def make_tokens(hub: Container) -> Tokens:
    """Tokens of two declared tenants."""
    every = [Scope.CONSOLE_WRITE, Scope.APP]
    return Tokens(_header(hub, "demo", every), _header(hub, "other", every), _header(hub, "demo", [Scope.CONSOLE_READ]))


def _header(hub: Container, tenant: str, scopes: list[Scope]) -> dict[str, str]:
    with hub.db.session(tenant) as session:
        _row, text = create_token(session, "test", scopes, hub.clock.now())
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def client(hub: Container) -> Iterator[TestClient]:
    """The whole web application, as a web process serves it."""
    with TestClient(build_edge(hub, {Role.WEB}), raise_server_exceptions=False) as started:
        yield started
