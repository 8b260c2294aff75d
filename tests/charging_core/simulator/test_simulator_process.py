"""Many piles in one process: the configuration file, the control endpoint, the frame log, the command."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from charging_core.clock import ManualClock
from charging_core.simulator.errors import ConfigError
from charging_core.simulator.runner import SimulatorProcess
from charging_core.simulator.settings import load_config, read_config
from tests.charging_core.simulator.simulator_platform import PILE, TRADE, Platform, run

OTHER = "31000199000018"
VIN = "LTEST000000000017"
CARD = "00000000E14C0A54"
PERIODS = {"real_reconnect_s": [0.02, 0.04]}
CONFIG = {
    "piles": [
        {"code": PILE, "type": "dc", "connectors": 2, "power_kw": 60, "periods": PERIODS},
        {"code": OTHER, "type": "ac", "power_kw": 7, "periods": PERIODS, "faults": {"late_record": 30}},
    ]
}


# --- configuration --------------------------------------------------------------------------------------------------


def test_a_yaml_file_describes_piles(tmp_path: Path) -> None:
    file = tmp_path / "piles.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    first, second = load_config(file).piles
    assert (first.code, first.connectors, second.type, second.faults.late_record) == (PILE, 2, "ac", 30)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"cod": "1"}, "piles.0.cod"),
        ({"code": "123"}, "piles.0.code"),
        ({"faults": {"late_recrod": 1}}, "piles.0.faults.late_recrod"),
        ({"connectors": 0}, "piles.0.connectors"),
        ({"auto_plug": [{"connector": 3}]}, "connector"),
        ({"code": OTHER}, "same code"),
    ],
)
def test_a_wrong_configuration_names_the_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        read_config({"piles": [{**CONFIG["piles"][0], **change}, CONFIG["piles"][1]]})


@pytest.mark.parametrize("content", ["[1, 2]", "piles: [", "piles: []"])
def test_an_unusable_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "piles.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError):
        load_config(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        load_config(tmp_path / "absent.yaml")


# --- control --------------------------------------------------------------------------------------------------------


def call(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request, blocking."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body if isinstance(body, str) else json.dumps(body or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Site:
    """A running simulator process (in this event loop) and its platform."""

    def __init__(self, platform: Platform, process: SimulatorProcess, control_port: int) -> None:
        self.platform, self.process, self._port = platform, process, control_port

    async def get(self) -> Any:
        return (await asyncio.to_thread(call, self._port, "GET", "/state"))[1]

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return await asyncio.to_thread(call, self._port, "POST", path, body)


def play(clock: ManualClock, story: Callable[[Site], Awaitable[None]], log: Path | None = None) -> None:
    async def told() -> None:
        platform = Platform()
        process = SimulatorProcess(read_config(CONFIG), clock, log_path=log)
        port = await process.start("127.0.0.1", await platform.open())
        try:
            await asyncio.wait_for(process.wait_ready(), 10)
            await platform.wait(0x05, 4)
            await story(Site(platform, process, port))
        finally:
            await process.stop()
            await platform.close()

    run(told())


def test_state_shows_every_pile(manual_clock: ManualClock) -> None:
    async def story(site: Site) -> None:
        state = await site.get()
        assert state["time"] == "2026-03-02T08:00:00.000+08:00"
        first, second = state["piles"]
        assert (first["code"], first["online"], first["model_number"], len(first["connectors"])) == (
            PILE,
            True,
            "0100",
            2,
        )
        assert second["faults"]["late_record"] == 30
        assert second["connectors"][0] == {
            "connector": 1,
            "phase": "free",
            "condition": "normal",
            "plugged": False,
            "vin": None,
            "trade_number": None,
            "energy_kwh": None,
            "amount_yuan": None,
            "soc": None,
            "meter_kwh": "1000",
        }

    play(manual_clock, story)


def test_people_act_at_piles_through_the_control_port(manual_clock: ManualClock) -> None:
    async def story(site: Site) -> None:
        car = {"connector": 2, "vin": VIN, "soc": 41, "battery_kwh": 60.5, "power_kw": 50}
        status, pile = await site.post(f"/piles/{PILE}/plug", car)
        assert (status, pile["connectors"][1]["plugged"], pile["connectors"][1]["vin"]) == (200, True, VIN)
        assert (await site.platform.wait(0x13, 1, lambda one: one.body[26] == 1)).body[16:24].hex() == PILE + "02"
        assert (await site.post(f"/piles/{PILE}/plug", car))[0] == 409
        assert (await site.post(f"/piles/{PILE}/stop", {"connector": 2}))[0] == 409
        assert (await site.post(f"/piles/{PILE}/unplug", {"connector": 2}))[0] == 200
        status, pile = await site.post(f"/piles/{PILE}/faults", {"duplicate_record": 2})
        assert (status, pile["faults"]["duplicate_record"], pile["faults"]["late_record"]) == (200, 2, 0)
        status, pile = await site.post(f"/piles/{PILE}/condition", {"condition": "emergency"})
        assert (status, pile["connectors"][0]["condition"]) == (200, "emergency")

    play(manual_clock, story)


def test_a_charge_is_stopped_through_the_control_port(manual_clock: ManualClock) -> None:
    async def story(site: Site) -> None:
        # the pile that connected last is the one the platform talks to
        code = next(one.body[:7].hex() for one in reversed(site.platform.all(0x01)))
        trade = code + TRADE[14:]
        await site.post(f"/piles/{code}/plug", {"soc": 10})
        site.platform.start(trade=trade, pile=code)
        await site.platform.wait(0x33)
        status, pile = await site.post(f"/piles/{code}/stop")
        assert (status, pile["connectors"][0]["phase"], pile["unconfirmed_records"]) == (200, "free", [trade])

    play(manual_clock, story)


def test_cards_and_outages_through_the_control_port(manual_clock: ManualClock) -> None:
    async def story(site: Site) -> None:
        for connector in (1, 2):
            await site.post(f"/piles/{PILE}/plug", {"connector": connector, "vin": VIN})
        await site.post(f"/piles/{PILE}/card", {"card": CARD, "password": "1234"})
        assert (await site.platform.wait(0x31)).body[10:18].hex().upper() == CARD
        await site.post(f"/piles/{PILE}/vin", {"connector": 2})
        assert (await site.platform.wait(0x31, 2)).body[8] == 3
        await site.post(f"/piles/{OTHER}/power", {"seconds": 60})
        status, pile = await site.post(f"/piles/{PILE}/link", {"seconds": 60})
        assert (status, pile["online"], pile["counters"]["link_losses"]) == (200, False, 1)

    play(manual_clock, story)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/piles/99999999999999/plug", {}, 404),
        (f"/piles/{PILE}/explode", {}, 404),
        (f"/piles/{PILE}", {}, 404),
        (f"/piles/{PILE}/plug", {"vin": "short"}, 400),
        (f"/piles/{PILE}/plug", {"speed": 1}, 400),
        (f"/piles/{PILE}/plug", "no json", 400),
        (f"/piles/{PILE}/plug", "[1]", 400),
        (f"/piles/{PILE}/unplug", {"connector": "one"}, 400),
        (f"/piles/{PILE}/unplug", {"connector": 9}, 409),
        (f"/piles/{PILE}/condition", {"condition": "sleepy"}, 400),
        (f"/piles/{PILE}/faults", {"late_record": -1}, 400),
        (f"/piles/{PILE}/card", {"card": "12"}, 400),
        (f"/piles/{PILE}/card", {"card": CARD}, 409),
        (f"/piles/{PILE}/vin", {}, 409),
        (f"/piles/{PILE}/parallel", {"connectors": [1], "card": CARD}, 400),
        (f"/piles/{PILE}/power", {"seconds": 0}, 400),
    ],
)
def test_wrong_requests_are_answered_with_their_reason(
    manual_clock: ManualClock, path: str, body: Any, status: int
) -> None:
    async def story(site: Site) -> None:
        answered, reason = await site.post(path, body)
        assert answered == status
        assert reason["error"]

    play(manual_clock, story)


def test_frame_log_holds_every_frame_of_both_directions(manual_clock: ManualClock, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "frames.jsonl"

    async def story(site: Site) -> None:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {(line["pile"], line["direction"]) for line in lines} == {
            (code, way) for code in (PILE, OTHER) for way in ("up", "down")
        }
        assert all(line["time"] == "2026-03-02T08:00:00.000+08:00" for line in lines)
        up = [bytes.fromhex(line["hex"]) for line in lines if line["direction"] == "up"]
        assert sorted(up) == sorted(one.raw for one in site.platform.got)

    play(manual_clock, story, log)


def test_many_piles_share_one_process(manual_clock: ManualClock) -> None:
    async def story() -> None:
        platform = Platform()
        piles = [{"code": f"310001990{number:05}", "periods": PERIODS} for number in range(200)]
        process = SimulatorProcess(read_config({"piles": piles}), manual_clock)
        await process.start("127.0.0.1", await platform.open())
        try:
            await asyncio.wait_for(process.wait_ready(), 30)
            assert len({one.body[:7] for one in platform.all(0x01)}) == 200
        finally:
            await process.stop()
            await platform.close()

    run(story())


# --- command --------------------------------------------------------------------------------------------------------


async def command(config: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "charging_core.simulator", "--config", str(config), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip


def test_command_says_when_it_is_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    config, log = tmp_path / "piles.yaml", tmp_path / "frames.jsonl"
    config.write_text(yaml.safe_dump(CONFIG))

    async def story() -> None:
        platform = Platform()
        port = await platform.open()
        clock = {"HUB_CLOCK": "2026-03-02T08:00:00+08:00@60"}
        process = await command(config, "--port", str(port), "--log", str(log), **clock)
        assert process.stdout is not None
        try:
            ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            assert ready["ready"] is True
            state = (await asyncio.to_thread(call, ready["control_port"], "GET", "/state"))[1]
            assert [pile["online"] for pile in state["piles"]] == [True, True]
            assert state["time"].startswith("2026-03-02T08:")
        finally:
            process.send_signal(signal.SIGTERM)
            rest, errors = await asyncio.wait_for(process.communicate(), 30)
            await platform.close()
        assert (process.returncode, rest) == (0, b"")
        assert b"Traceback" not in errors
        assert log.read_text().count('"direction": "up"') == len(platform.got)

    run(story())


def test_command_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    config = tmp_path / "piles.yaml"
    config.write_text("piles: [{code: abc}]")

    async def story() -> None:
        process = await command(config)
        output, errors = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, output) == (2, b"")
        assert "piles.0.code" in errors.decode()

    run(story())


def test_command_waits_for_a_platform_that_comes_later(tmp_path: Path) -> None:
    config = tmp_path / "piles.yaml"
    config.write_text(yaml.safe_dump(CONFIG))

    async def story() -> None:
        # bound but not listening: the port is ours, and whoever connects is refused
        reserved = socket.socket()
        reserved.bind(("127.0.0.1", 0))
        process = await command(config, "--port", str(reserved.getsockname()[1]))
        assert process.stdout is not None
        assert process.stderr is not None
        late = Platform()
        try:
            assert b"simulator_connect_failed" in await asyncio.wait_for(process.stderr.readline(), 30)
            await late.open(reserved)
            assert json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["ready"]
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 30)
            await late.close()
            reserved.close()
        assert process.returncode == 0

    run(story())
