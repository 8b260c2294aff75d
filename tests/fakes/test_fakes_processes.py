"""The fakes as programs: ready line, log file, initial fault, orderly end, clear refusals; and what they do not import."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.calling import get_json, link_config, post
from tests.support.logs import plain_logs
from tests.support.waiting import wait_until

CONFIGS: dict[str, dict[str, Any]] = {
    "partners.fake": link_config(),
    "municipal.fake": link_config(),
    "parking.fake.isecure": {"app_key": "27310001", "app_secret": "secret", "parks": [{"code": "park-1"}]},
    "parking.fake.camera": {"password": "Gate#2024", "lanes": [{"lane": 1, "direction": "exit"}]},
}
LINE_WITHIN_S = 20


@contextmanager
def running(module: str, config: Path, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, "--config", str(config), "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environ
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["ready"] is True
    return f"http://127.0.0.1:{said['port']}"


Refused = Callable[..., str]


# A fake that another test has imported is run again from its beginning, which is what is wanted here.
_AGAIN = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Refused]:
    """`refused(module, config, *options)`: the program ends with 2 before it serves; what it said. Run in this process."""

    def run(module: str, config: Path, *options: str) -> str:
        monkeypatch.setattr(sys, "argv", [module, "--config", str(config), "--port", "0", *options])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__")
        assert ended.value.code == 2
        return capsys.readouterr().err

    yield run
    plain_logs()  # the program has set them up with an output that is gone


@pytest.fixture(params=sorted(CONFIGS))
def module(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(module: str, tmp_path: Path) -> Path:
    path = tmp_path / "fake.json"
    path.write_text(json.dumps(CONFIGS[module]))
    return path


def test_a_fake_serves_logs_and_ends_on_sigterm(module: str, config: Path, tmp_path: Path) -> None:
    log = tmp_path / "fake.jsonl"
    with running(module, config, "--log", str(log), HUB_CLOCK="2026-03-02T07:20:00+08:00@1") as process:
        url = ready(process)
        post(f"{url}/evcs/v1/anything", b"{}")
        assert get_json(f"{url}/control/summary")["received"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(LINE_WITHIN_S) == 0
    [line] = log.read_text().splitlines()
    assert json.loads(line)["time"].startswith("2026-03-02T07:2"), "the log tells the shared clock's time"


def test_a_fault_from_the_start(module: str, config: Path) -> None:
    with running(module, config, "--fault", "500") as process:
        url = ready(process)
        answers = [post(f"{url}/evcs/v1/x", b"{}", {"Authorization": "Digest x"}).status_code for _ in range(3)]
        assert answers == [500, 500, 500]


def test_a_fake_ends_when_its_parent_is_gone(module: str, config: Path) -> None:
    with running(module, config, "--parent", str(os.getpid() + 1)) as process:
        ready(process)
        assert process.wait(LINE_WITHIN_S) == 0


@_AGAIN
@pytest.mark.parametrize("options", [("--fault", "earthquake"), ("--fault", "hang=long")])
def test_an_unknown_fault_is_refused_at_the_start(
    module: str, config: Path, options: tuple[str, str], refused: Refused
) -> None:
    said = refused(module, config, *options)
    assert module in said
    assert "Traceback" not in said


@_AGAIN
def test_a_wrong_configuration_is_refused_with_the_member(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "fake.yaml"
    path.write_text("operator_id: MA00OTHER\nhub_operator_id: short\nkeyz: {}\n")
    said = refused("partners.fake", path)
    for member in ("hub_operator_id", "keys", "keyz"):
        assert member in said


def test_a_taken_port_names_itself_and_its_option(tmp_path: Path) -> None:
    path = tmp_path / "fake.json"
    path.write_text(json.dumps(CONFIGS["partners.fake"]))
    with running("partners.fake", path) as first:
        port = ready(first).rsplit(":", 1)[1]
        with running("partners.fake", path, "--port", port) as second:
            _, said = second.communicate(timeout=LINE_WITHIN_S)
    assert second.returncode == 2
    assert port in said
    assert "--port" in said


def test_a_hanging_request_does_not_delay_the_end(tmp_path: Path) -> None:
    path = tmp_path / "fake.json"
    path.write_text(json.dumps(CONFIGS["partners.fake"]))
    with running("partners.fake", path, "--fault", "hang=120") as process:
        url = ready(process)
        port = url.rsplit(":", 1)[1]
        client = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import http.client as h; h.HTTPConnection('127.0.0.1', {port}).request('GET', '/x')",
            ]
        )
        with client:
            client.wait(LINE_WITHIN_S)
        process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: process.poll() is not None, "the fake ends", LINE_WITHIN_S)
        assert process.returncode == 0


def test_fakes_import_nothing_of_the_hub_but_the_clock() -> None:
    """DECISIONS 31: a fake that shares code with the hub would forgive the hub's mistakes."""
    program = """
        import importlib, pkgutil, sys
        for name in ("partners.fake", "municipal.fake", "parking.fake"):
            package = importlib.import_module(name)
            for module in pkgutil.iter_modules(package.__path__, name + "."):
                importlib.import_module(module.name)
        rooms = ("charging_core", "worker", "partners", "municipal", "parking", "hub", "openapi")
        print("\\n".join(m for m in sys.modules if m.split(".")[0] in rooms and "fake" not in m.split(".")))
    """
    shown = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    assert set(shown.stdout.split()) == {"charging_core", "charging_core.clock", "partners", "municipal", "parking"}
