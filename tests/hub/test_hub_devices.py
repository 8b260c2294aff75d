"""Commands to piles from end to end: a running hub with a real socket to a pile, the console over HTTP, and the command line."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from charging_core.access import Scope, create_token
from charging_core.piles.protocols.ykc.codec import Frame
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.cli.ykc import WatchRefused
from hub.container import Role
from hub.processes import HubProcess
from hub.redis_adapters import RedisRoutes, WakeListener, connect, wake_stream
from hub.watching import FrameForwarder, RedisWatching
from tests.charging_core.piles.piles_support import LOGIN, PILE, Pile, frame_of
from tests.charging_core.piles.piles_support import running as running_piles
from tests.hub.conftest import settings_for
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, build
from tests.support.databases import Databases
from tests.support.logs import plain_logs
from tests.support.waiting import wait_until

CODE = "32010600000001"
ANSWERS = {0x52: (0x51, b"\1"), 0x92: (0x91, b"\1"), 0x94: (0x93, b"\0"), 0x58: (0x57, b"\1"), 0xF0: (0xF1, b"\0")}


class ObedientPile(threading.Thread):
    """Answers everything it is asked, and remembers it; `refuses` holds frame types it says no to."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = Pile(port, code=CODE)
        self.asked: list[Frame] = []
        self.refuses: set[int] = set()
        body = bytes.fromhex(CODE) + LOGIN[13:-2]
        self.socket.raw(frame_of(0x01, body))
        assert self.socket.expect(0x02).fields["result"] == 0

    def run(self) -> None:
        while (frame := self.socket.receive()) is not None:
            self.asked.append(frame)
            if frame.type == 0x62:
                self.socket.raw(
                    frame_of(0x63, bytes.fromhex(CODE) + bytes((frame.fields["connector_no"], 1)) + bytes(4))
                )
            elif frame.type == 0x56:
                self.socket.send(0x55, {"time": frame.fields["time"]})
            elif frame.type in ANSWERS:
                kind, result = ANSWERS[frame.type]
                refused = bytes((result[0] ^ 1,)) if frame.type in self.refuses else result
                self.socket.raw(frame_of(kind, bytes.fromhex(CODE) + refused))

    def hang_up(self) -> None:
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.close()

    def heard(self, frame_type: int) -> Frame:
        """The last frame of this type."""
        frames = [frame for frame in self.asked if frame.type == frame_type]
        return frames[-1]


@dataclass
class Yard:
    """A running hub with its pile."""

    hub: HubProcess
    pile: ObedientPile
    token: str
    environ: Mapping[str, str]

    def call(self, method: str, path: str, body: Any = None, code: int = 200) -> Any:
        url = f"{self.hub.web_url}/api/console/v1{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.status_code == code, answer.text
        return answer.json()

    def state(self, command: str) -> str:
        return str(self.call("get", f"/commands/{command}")["state"])


@pytest.fixture(scope="module")
def yard(databases: Databases) -> Iterator[Yard]:
    fresh = databases.fresh()
    settings = settings_for(fresh)
    with HubProcess(settings, {Role.WEB, Role.PILES}) as process:
        hub = process.container
        Applier(hub.db, hub.clock, hub.box).apply(read_document(example_text(), Surroundings(demo_environ(), Path())))
        with hub.db.session("demo") as session:
            _, token = create_token(session, "test", [Scope.CONSOLE_WRITE], hub.clock.now())
        process.serve_in_thread()
        pile = ObedientPile(process.pile_port)
        pile.start()
        environ = demo_environ() | {
            "HUB_DATABASE_URL": fresh.url, "HUB_DATABASE_OWNER_URL": fresh.owner_url, "HUB_SECRET_KEY": SECRET_KEY,
            "HUB_WEB_PORT": "0", "HUB_PILE_PORT": "0", "HUB_OCPP_PORT": "0", "HUB_URL": process.web_url, "HUB_TOKEN": token,
        }  # fmt: skip
        yield Yard(process, pile, token, environ)
        pile.hang_up()
    databases.drop(fresh)


@pytest.fixture
def cli(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    for name, value in yard.environ.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    plain_logs()


def run(cli: CliRunner, *words: str, code: int = 0) -> Any:
    result = cli.invoke(build(), [*words, "--json"])
    assert result.exit_code == code, result.output + repr(result.exception)
    return json.loads(result.stdout) if result.stdout else None


def test_a_request_over_the_console_reaches_the_pile_and_its_answer_comes_back(yard: Yard) -> None:
    body = {"kind": "set_work", "parameters": {"out_of_service": True, "max_power_percent": 50}, "reason": "检修"}
    asked = yard.call("post", f"/piles/{CODE}/commands", body, 202)
    wait_until(lambda: yard.state(asked["id"]) == "acknowledged", "the pile answers")
    fields = yard.pile.heard(0x52).fields
    assert (fields["out_of_service"], fields["max_power"]) == (1, 50)
    found = yard.call("get", f"/piles/{CODE}/commands")["items"]
    line = next(one for one in found if one["id"] == asked["id"])
    assert (line["reason"], line["asked_by"].split(":")[0]) == ("检修", "token")


@pytest.mark.parametrize(
    "body", [{"kind": "sync_time"}, {"kind": "set_qr", "parameters": {"prefix": "https://q.example/"}}]
)
def test_time_and_qr_prefix_are_acknowledged(yard: Yard, body: dict[str, Any]) -> None:
    asked = yard.call("post", f"/piles/{CODE}/commands", body, 202)
    wait_until(lambda: yard.state(asked["id"]) == "acknowledged", "the pile answers")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "start"}, 400),
        ({"kind": "lock", "parameters": {"raise": True}}, 404),
        ({"kind": "reboot", "connector": 1}, 404),
        ({"kind": "set_work"}, 422),
        ({"kind": "reboot", "parameters": {"prefix": "x"}}, 422),
        ({"kind": "set_qr", "parameters": {"prefix": "码"}}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(yard: Yard, body: dict[str, Any], code: int) -> None:
    yard.call("post", f"/piles/{CODE}/commands", body, code)


def test_the_command_line_asks_waits_and_says_what_became_of_it(yard: Yard, cli: CliRunner) -> None:
    (reboot,) = run(cli, "pile", "reboot", CODE, "--now", "--as", "li", "--reason", "卡死")
    assert (reboot["state"], reboot["asked_by"], reboot["reason"]) == ("acknowledged", "cli:li", "卡死")
    assert yard.pile.heard(0x92).fields["when"] == 1
    (lock,) = run(cli, "pile", "lock", f"{CODE}02", "--raise")
    assert (lock["state"], lock["connector"], yard.pile.heard(0x62).fields["command"]) == (
        "acknowledged",
        f"{CODE}02",
        0x55,
    )
    yard.pile.refuses = {0x52}
    (refused,) = run(cli, "pile", "set", CODE, "--power", "60", code=1)
    yard.pile.refuses = set()
    assert (refused["state"], refused["detail"]) == ("failed", "the pile refused (result 0)")
    away = run(cli, "pile", "set", "32010600000002", "--wait", "0")
    assert away[0]["state"] == "pending"
    listed = cli.invoke(build(), ["pile", "commands", CODE])
    assert (listed.exit_code, "li" in listed.output) == (0, True)


def test_piles_on_an_old_tariff_are_listed_and_told(yard: Yard, cli: CliRunner) -> None:
    behind = {line["pile"]: line for line in yard.call("get", "/tariff-rollout")["items"]}
    assert behind[CODE]["confirmed_version"] is None
    (pushed,) = run(cli, "pile", "tariff", CODE)
    assert pushed["state"] == "acknowledged"
    wait_until(lambda: CODE not in [line["pile"] for line in run(cli, "pile", "tariff")], "the pile has confirmed")
    body = {"piles": [CODE], "reason": "调价"}
    (again,) = yard.call("post", "/tariff-rollout", body, 202)["items"]
    wait_until(lambda: yard.state(again["id"]) == "acknowledged", "told again")


def test_firmware_goes_out_group_by_group_and_its_password_is_never_shown(yard: Yard, cli: CliRunner) -> None:
    hub = yard.hub.container
    begun = run(
        cli, "pile", "update", "start", CODE, "32010600000003", "--name", "V3", "--server", "10.1.2.3", "--path", "fw.bin",
        "--user", "ftp", "--password", "hunter2", "--groups", "1", "--now",
    )  # fmt: skip
    wait_until(lambda: any(frame.type == 0x94 for frame in yard.pile.asked), "the pile is asked")
    assert yard.pile.heard(0x94).fields["password"] == "hunter2"
    shown = yard.call("get", f"/firmware-rollouts/{begun['id']}")
    command = next(pile["command_id"] for pile in shown["piles"] if pile["pile_code"] == CODE)
    wait_until(lambda: yard.state(command) == "acknowledged", "the pile has updated")
    hub.firmware.sweep(hub.db)
    moved = run(cli, "pile", "update", "show", begun["id"])
    assert [pile["state"] for pile in moved["piles"]] == ["done", "asked"]
    paused = yard.call("post", f"/firmware-rollouts/{begun['id']}/state", {"state": "paused", "reason": "看一晚"})
    assert (paused["state"], paused["history"][-1]["reason"]) == ("paused", "看一晚")
    assert run(cli, "pile", "update", "cancel", begun["id"])["state"] == "cancelled"
    commands = yard.call("get", f"/piles/{CODE}/commands")
    for answer in (begun, shown, moved, commands, yard.call("get", "/firmware-rollouts")):
        assert "hunter2" not in json.dumps(answer)


def test_a_ground_lock_that_reports_is_listed(yard: Yard, cli: CliRunner) -> None:
    yard.pile.socket.raw(frame_of(0x61, bytes.fromhex(CODE) + bytes((1, 0x55, 0xFF, 80, 0)) + bytes(4)))
    wait_until(lambda: bool(yard.call("get", "/ground-locks")["items"]), "the lock is known")
    (lock,) = run(cli, "pile", "locks")
    assert (lock["connector_code"], lock["position"], lock["occupied"]) == (f"{CODE}01", "raised", True)


def test_a_piles_traffic_can_be_watched_live(yard: Yard, cli: CliRunner) -> None:
    assert yard.call("get", f"/piles/{CODE}/frames")["items"] == []
    yard.pile.socket.heartbeat()
    first = yard.call("get", f"/piles/{CODE}/frames?wait_s=5")
    seen = first["items"]
    while len(seen) < 2:
        first = yard.call("get", f"/piles/{CODE}/frames?wait_s=5&after={first['next']}")
        seen += first["items"]
    assert [(frame["direction"], frame["type"]) for frame in seen] == [("up", "0x03"), ("down", "0x04")]
    yard.call("get", f"/piles/{CODE}/frames?after=nonsense", code=422)
    assert [line["type"] for line in watched(cli, "--count", "2")] == ["0x03", "0x04"]
    (short,) = watched(cli, "--count", "1", "--hex")
    assert short.keys() == {"at", "direction", "hex"}


def watched(cli: CliRunner, *words: str) -> list[dict[str, Any]]:
    """What the command printed; the hub of this process writes its log between."""
    result = cli.invoke(build(), ["ykc", "watch", CODE, *words])
    assert result.exit_code == 0, repr(result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_watching_needs_a_hub_a_pile_and_the_right_to_change(yard: Yard, cli: CliRunner) -> None:
    for words in (["--token", "hub_guess"], ["--url", "http://127.0.0.1:1"]):
        result = cli.invoke(build(), ["ykc", "watch", CODE, "--seconds", "1", *words])
        assert isinstance(result.exception, WatchRefused)
    with yard.hub.container.db.session("demo") as session:
        _, reader = create_token(session, "reader", [Scope.CONSOLE_READ], yard.hub.container.clock.now())
    refused = cli.invoke(build(), ["ykc", "watch", CODE, "--token", reader])
    assert isinstance(refused.exception, WatchRefused)
    assert "403" in str(refused.exception)
    assert isinstance(cli.invoke(build(), ["ykc", "watch", "99999999999999"]).exception, WatchRefused)


def test_in_a_cluster_frames_come_from_the_shard_that_holds_the_pile(redis_url: str) -> None:
    redis = connect(redis_url)
    routes = RedisRoutes(redis, "shard-w")
    routes.announce([PILE])
    watching = RedisWatching(redis, routes.shard_of, wake_stream)
    with running_piles() as house, house.login() as pile:
        watch = house.server.watch
        listener = WakeListener(redis, "shard-w", house.server.wake, watch.watch)
        forwarder = FrameForwarder(redis, watch)
        listener.start()
        forwarder.start()
        wait_until(lambda: bool(watching.read(PILE, None, 0.0)) or watch.active, "the shard was asked to watch")
        pile.expect_silence()
        seen = watching.read(PILE, None, 10.0)
        while len(seen) < 2:
            seen += watching.read(PILE, seen[-1].cursor, 10.0)
        listener.stop()
        forwarder.stop()
        listener.join()
        forwarder.join()
    assert [frame.up for frame in seen] == [True, False]
    assert [frame.raw[5] for frame in seen] == [0x03, 0x04]
    with pytest.raises(ValueError, match="nonsense"):
        watching.read(PILE, "nonsense", 0.0)
    redis.close()


def test_without_redis_nothing_is_seen_and_nothing_fails() -> None:
    redis = connect("redis://127.0.0.1:1/0")
    assert RedisWatching(redis, lambda _pile: "shard", wake_stream).read(PILE, None, 0.0) == []
    redis.close()
