"""What a web process does not do at its start, and how it makes up for that afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from hub.container import Container, Role
from hub.edge import build_edge
from hub.migrate import head
from hub.web.asgi import Deferred

LATE = ("alembic", "connexion", "flask", "werkzeug", "jinja2")
"""Together more than a third of a start."""


def test_the_start_of_a_web_process_loads_no_web_framework_and_no_migrations() -> None:
    code = f"import sys, hub.lazy, hub.container, hub.web.app; print([name for name in {LATE} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_newest_revision_is_the_one_that_alembic_knows() -> None:
    from alembic.script import ScriptDirectory

    from hub.migrate import _config

    assert head() == ScriptDirectory.from_config(_config(None)).get_current_head()


def test_what_is_deferred_is_built_once_for_all_who_wait() -> None:
    built: list[int] = []
    several = threading.Barrier(4)

    def build() -> ASGIApp:
        built.append(1)
        return PlainTextResponse("here")

    app = Deferred(build)
    answers: list[str] = []

    def ask() -> None:
        several.wait()
        answers.append(TestClient(app).get("/").text)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    app.begin()
    for caller in callers:
        caller.join()
    assert (answers, built, app.problem) == (["here"] * 4, [1], "")


def test_contracts_that_cannot_be_built_make_the_process_unready(
    hub: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_container: Container) -> ASGIApp:
        raise ValueError("openapi/console.yaml is not a mapping")

    monkeypatch.setattr("hub.web.app._contracts", broken)
    with TestClient(build_edge(hub, {Role.WEB}), raise_server_exceptions=False) as client:
        assert client.get("/api/console/orders").status_code == 500
        ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["contracts: ValueError: openapi/console.yaml is not a mapping"]
