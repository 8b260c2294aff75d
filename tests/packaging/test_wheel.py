"""The wheel is complete: installed beside its dependencies, far from the source, it plays the whole demo (DECISIONS 3, 31)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("charging_core", "hub", "municipal", "openapi", "parking", "partners", "worker")
DEMO_S = 150
"""The demo takes half a minute, on a busy machine a whole one."""
FAILING = ("--fault", "partner=500", "--patience", "15")
"""A partner that never confirms is not waited for as long as one that may."""
PUSHES = {
    "partner": {
        "notification_stationStatus",
        "notification_start_charge_result",
        "notification_equip_charge_status",
        "notification_stop_charge_result",
        "notification_charge_order_info",
    },
    "regulator": {"station_info", "connector_status", "charge_status", "order", "realtime_power"},
}

pytestmark = [
    pytest.mark.sqlite(reason="the demo brings its own SQLite; nothing here depends on the leg's database"),
    pytest.mark.timeout(300),
]


@dataclass(frozen=True)
class Told:
    """How a run of the demo ended."""

    code: int
    result: dict[str, Any]
    errors: str


@dataclass(frozen=True)
class Runs:
    """The demo as it should be, and with a partner that answers 500."""

    healthy: Told
    failing: Told


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel in it, and the dependencies of the one we run in."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    home = folder / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    # A line with a folder adds that folder, but not what its own .pth files name: the source tree stays out of sight.
    site = _run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _run(
        sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)
    )  # fmt: skip
    return home


@pytest.fixture(scope="module")
def runs(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Both runs side by side: each waits most of the time."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with demo(installed, elsewhere / "healthy") as one, demo(installed, elsewhere / "failing", *FAILING) as other:
        return Runs(_told(one), _told(other))


@contextmanager
def demo(home: Path, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`hub demo --once --json` of the installed wheel, in `folder`."""
    folder.mkdir()
    command = [str(home / "bin" / "hub"), "demo", "--once", "--json", *options]
    with subprocess.Popen(
        command, cwd=folder, env=_plain(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_wheel_is_what_runs(installed: Path) -> None:
    listed = f"import {', '.join(ROOMS)}; print(*(m.__path__[0] for m in ({', '.join(ROOMS)})), sep='\\n')"
    folders = _run(str(installed / "bin" / "python"), "-c", listed, cwd=installed).splitlines()
    assert len(folders) == len(ROOMS)
    assert all(Path(folder).is_relative_to(installed) for folder in folders)


def test_the_demo_of_the_wheel_is_confirmed_by_everybody(runs: Runs) -> None:
    healthy = runs.healthy
    assert healthy.code == 0, healthy.errors
    result = healthy.result
    assert result["confirmed"]
    assert result["missing"] == []
    for party, names in PUSHES.items():
        assert result[party]["confirm_result"] == 0
        assert set(result[party]["pushes"]) == names
        assert all(push["accepted"] > 0 for push in result[party]["pushes"].values())
    assert result["parking"]["granted"]
    assert result["parking"]["gate_opened"]


def test_the_money_of_the_demo_adds_up(runs: Runs) -> None:
    result = runs.healthy.result
    lines = result["order"]["details"]
    assert len(lines) == 2, "the charge crosses one border of the tariff"
    money = sum(Decimal(line["elec_yuan"]) + Decimal(line["service_yuan"]) for line in lines)
    assert money == Decimal(result["total_yuan"]) == Decimal(result["order"]["total_yuan"])
    energy = sum(Decimal(line["energy_kwh"]) for line in lines)
    assert round(energy, 2) == Decimal(result["energy_kwh"]) > 10


def test_a_partner_that_fails_makes_the_demo_fail(runs: Runs) -> None:
    failing = runs.failing
    assert failing.code != 0
    result = failing.result
    assert not result["confirmed"]
    assert "partner order ConfirmResult 0" in result["missing"]
    assert result["partner"]["confirm_result"] is None
    # The others are served all the same.
    assert result["order"]["state"] == "settled"
    assert result["regulator"]["confirm_result"] == 0


def _told(process: subprocess.Popen[str]) -> Told:
    out, errors = process.communicate(timeout=DEMO_S)
    try:
        return Told(process.returncode, json.loads(out), errors)
    except ValueError as error:
        raise AssertionError(f"no JSON object on standard output ({process.returncode}):\n{out}\n{errors}") from error


def _plain() -> dict[str, str]:
    """The environment without what would lead back to the source, or set the hub up."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PYTHON", "PYTEST"))}


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=_plain(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
