"""The simulated piles of a stage: a process of their own, controlled over HTTP, with a log of every frame they saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.operator_file import PILE_POWER_KW
from tests.e2e.programs import HOST, START_S, STOP_S, get, post
from tests.support.processes import LAUNCHER
from tests.support.waiting import wait_until

LOGIN, RECORD, RECORD_CONFIRMED = 0x01, 0x3B, 0x40
_TYPE_AT = 5
"""Byte of a frame that carries its type: 0x68, length, sequence (2), encryption, type."""


@dataclass
class SimulatedPiles:
    """`python -m charging_core.simulator` against the hub's pile port."""

    folder: Path
    codes: list[str]
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _control: str = field(default="", init=False)

    def start(self) -> None:
        """Start the process; the piles knock until the hub is there."""
        config, said = self.folder / "piles.json", self.folder / "piles.out"
        config.write_text(json.dumps({"piles": [_pile(code) for code in self.codes]}))
        arguments = ["--host", HOST, "--port", str(self.port), "--config", str(config), "--log", str(self.frame_log)]
        command = [sys.executable, "-m", "charging_core.simulator", *arguments]
        clock = {"HUB_CLOCK": f"file:{self.folder / 'clock.json'}"}
        with said.open("wb") as out, (self.folder / "piles.err").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(LAUNCHER), "", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env={**os.environ, **clock},
            )

    def wait_ready(self) -> None:
        """Until every pile has logged in."""
        line = wait_until(
            lambda: (self.folder / "piles.out").read_text().strip(), "all simulated piles to log in", START_S, 0.05
        )
        self._control = f"http://{HOST}:{json.loads(line)['control_port']}"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_S)

    @property
    def frame_log(self) -> Path:
        """Every frame, as the piles sent and received it."""
        return self.folder / "frames.jsonl"

    def plug(self, connector: str, **vehicle: Any) -> None:
        """A car comes."""
        self._act(connector[:14], "plug", {"connector": int(connector[14:]), **vehicle})

    def unplug(self, connector: str) -> None:
        """The car leaves."""
        self._act(connector[:14], "unplug", {"connector": int(connector[14:])})

    def faults(self, connector: str, **switches: Any) -> None:
        """Set fault switches of the pile."""
        self._act(connector[:14], "faults", switches)

    def state(self, connector: str) -> dict[str, Any]:
        """The pile as it sees itself."""
        found = get(f"{self._control}/state").json()["piles"]
        pile: dict[str, Any] = next(pile for pile in found if pile["code"] == connector[:14])
        return pile

    def frames(self, frame_type: int, containing: str) -> int:
        """How many frames of this type, sent or received by the piles, carry the hex text (a trade number, say)."""
        lines = self.frame_log.read_text().rpartition("\n")[0].splitlines()
        frames = [bytes.fromhex(json.loads(line)["hex"]) for line in lines]
        wanted = bytes.fromhex(containing)
        return sum(1 for frame in frames if frame[_TYPE_AT] == frame_type and wanted in frame)

    def _act(self, code: str, action: str, body: dict[str, Any]) -> None:
        answer = post(f"{self._control}/piles/{code}/{action}", body)
        assert answer.status_code == 200, answer.text


def _pile(code: str) -> dict[str, Any]:
    # Back on the line sooner than the usual 3-5 real seconds: the tests cut it often.
    periods = {"real_reconnect_s": [0.3, 0.6]}
    return {"code": code, "type": "dc", "connectors": 1, "power_kw": PILE_POWER_KW, "periods": periods}
