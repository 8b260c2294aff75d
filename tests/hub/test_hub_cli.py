"""The `hub` command as a person or a script meets it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from charging_core.errors import NotFound
from hub.container import ALL_ROLES, Container, Role
from hub.errors import ApplyError, HubError, NeedsServer, PortBusy
from hub.processes import HubProcess
from hub.settings import Settings
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, Result, build
from tests.support.databases import FreshDatabase
from tests.support.logs import plain_logs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example as a file."""
    path = tmp_path / "operator.yaml"
    path.write_text(example_text(), "utf-8")
    return path


@pytest.fixture
def cli(fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A runner whose environment points at a fresh database; leaves logging as it was."""
    environ = demo_environ() | {
        "HUB_DATABASE_URL": fresh_database.url,
        "HUB_DATABASE_OWNER_URL": fresh_database.owner_url,
        "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_WEB_PORT": "0",
        "HUB_PILE_PORT": "0",
        "HUB_OCPP_PORT": "0",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    plain_logs()


def run(cli: CliRunner, *words: str) -> Result:
    result = cli.invoke(build(), list(words))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def as_json(cli: CliRunner, *words: str) -> object:
    return json.loads(run(cli, *words, "--json").stdout)


def test_every_command_has_help(cli: CliRunner) -> None:
    assert "apply" in run(cli, "--help").output
    for words in (
        "apply",
        "order show",
        "link test",
        "token create",
        "run web",
        "simulate",
        "delivery list",
        "pile refused",
    ):
        assert "--help" in run(cli, *words.split(), "--help").output


def test_apply_shows_the_difference_then_nothing(cli: CliRunner, file: Path) -> None:
    assert "新增 create" in run(cli, "apply", str(file), "--dry-run").stdout
    assert "已应用" in run(cli, "apply", str(file), "--yes").stdout
    assert "没有变化" in run(cli, "apply", str(file)).stdout
    assert as_json(cli, "apply", str(file)) == {"applied": False, "changes": []}


def test_apply_refuses_a_wrong_file_with_lines(cli: CliRunner, file: Path) -> None:
    file.write_text(example_text().replace("bays:", "bais:"), "utf-8")
    result = cli.invoke(build(), ["apply", str(file)])
    assert isinstance(result.exception, ApplyError)
    assert "line" in str(result.exception)


def test_tokens_are_shown_once(cli: CliRunner, file: Path) -> None:
    run(cli, "apply", str(file), "--yes")
    plaintext = run(cli, "token", "create", "--tenant", "demo", "--scope", "console:read").stdout.strip()
    secret = plaintext.rsplit("_", 1)[1]
    listed = run(cli, "token", "list", "--json").stdout
    assert secret not in listed
    (row,) = json.loads(listed)
    run(cli, "token", "revoke", row["id"])
    (row,) = json.loads(run(cli, "token", "list", "--json").stdout)
    assert row["revoked_at"]
    assert isinstance(cli.invoke(build(), ["token", "revoke", "nothing"]).exception, NotFound)
    missing = cli.invoke(build(), ["token", "create", "--tenant", "nobody", "--scope", "app"])
    assert isinstance(missing.exception, NotFound)


def test_lists_for_people_and_machines(cli: CliRunner, file: Path) -> None:
    run(cli, "apply", str(file), "--yes")
    for words in (("pile", "list"), ("pile", "refused"), ("link", "list"), ("delivery", "list"), ("order", "list")):
        assert isinstance(as_json(cli, *words), list)
        assert run(cli, *words).stdout
    piles = as_json(cli, "pile", "list")
    assert isinstance(piles, list)
    assert [pile["code"][-1] for pile in piles] == ["1", "2", "3"]


def test_link_test_says_what_is_wrong(cli: CliRunner, file: Path) -> None:
    run(cli, "apply", str(file), "--yes")
    result = cli.invoke(build(), ["link", "test", "demo-partner"])
    assert result.exit_code == 1
    assert "✗" in result.stdout
    assert isinstance(cli.invoke(build(), ["link", "test", "nobody"]).exception, NotFound)


def test_settings_are_shown_masked(cli: CliRunner) -> None:
    shown = run(cli, "settings", "--json").stdout
    assert SECRET_KEY not in shown
    assert len(run(cli, "settings", "--generate-key").stdout.strip()) >= 32


def test_an_unknown_order_is_said_so(cli: CliRunner) -> None:
    assert isinstance(cli.invoke(build(), ["order", "show", "nothing"]).exception, NotFound)


@pytest.mark.sqlite("the refusal is about SQLite")
@pytest.mark.parametrize("role", ["web", "piles", "worker", "scheduler"])
def test_cluster_processes_refuse_sqlite(cli: CliRunner, role: str) -> None:
    assert isinstance(cli.invoke(build(), ["run", role]).exception, NeedsServer)


def test_a_busy_port_names_its_setting(hub_settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name in ("web_port", "pile_port", "ocpp_port"):
            with (
                pytest.raises(PortBusy, match=f"HUB_{name.upper()}"),
                HubProcess(hub_settings.model_copy(update={name: port})),
            ):
                pass


def test_the_embedded_hub_serves_and_stops(hub_settings: Settings) -> None:
    with HubProcess(hub_settings, ALL_ROLES) as process:
        process.serve_in_thread()
        ready = requests.get(f"{process.web_url}/readyz", timeout=10)
        assert ready.status_code == 200, ready.text
        assert set(ready.json()["checks"]) == {"database", "piles", "worker"}
        with socket.create_connection(("127.0.0.1", process.pile_port), 5):
            pass
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{process.web_url}/healthz", timeout=2)


def test_a_process_without_web_serves_its_probes(hub_settings: Settings) -> None:
    with HubProcess(hub_settings, {Role.SCHEDULER}) as process:
        process.serve_in_thread()
        assert requests.get(f"{process.web_url}/readyz", timeout=10).status_code == 200
        assert requests.get(f"{process.web_url}/docs", timeout=10).status_code == 404
        with pytest.raises(HubError):
            _ = process.pile_port


def test_facts_hold_no_secret(hub: Container) -> None:
    assert SECRET_KEY not in str(hub.facts())
