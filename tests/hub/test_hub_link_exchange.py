"""`hub link exchange`: what went over a link, opened and masked, with the check that failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from hub.container import Container
from hub.settings import load_settings
from partners.tcec102 import envelope
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import NoLimit
from partners.tcec102.receive import receive
from partners.tcec102.visit import InboundCall
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, build
from tests.support.databases import Databases, FreshDatabase
from tests.support.logs import plain_logs

ENVIRON = demo_environ()
KEYS = KeySet(
    ENVIRON["HUB_DEMO_PARTNER_IN_OPERATOR_SECRET"],
    ENVIRON["HUB_DEMO_PARTNER_IN_DATA_SECRET"],
    ENVIRON["HUB_DEMO_PARTNER_IN_DATA_IV"],
    ENVIRON["HUB_DEMO_PARTNER_IN_SIG_SECRET"],
)
LINK, PARTNER, BASE = "demo-partner", "MA5PARTN1", "/demo/evcs/v1/"


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[FreshDatabase]:
    fresh = databases.fresh()
    yield fresh
    databases.drop(fresh)


@pytest.fixture(scope="module")
def cli(database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliRunner]:
    """A runner on a fresh database with the example applied and three calls of the partner on record."""
    environ = ENVIRON | {
        "HUB_DATABASE_URL": database.url,
        "HUB_DATABASE_OWNER_URL": database.owner_url,
        "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_WEB_PORT": "0",
        "HUB_PILE_PORT": "0",
        "HUB_OCPP_PORT": "0",
    }
    patches = pytest.MonkeyPatch()
    for name, value in environ.items():
        patches.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    path = tmp_path_factory.mktemp("exchange") / "operator.yaml"
    path.write_text(example_text(), "utf-8")
    runner = CliRunner()
    assert runner.invoke(build(), ["apply", str(path), "--yes"]).exit_code == 0
    _call_the_hub()
    yield runner
    patches.undo()
    root.handlers[:], root.level = handlers, level
    plain_logs()


def _call_the_hub() -> None:
    container = Container(load_settings())
    try:
        container.partners.book.refresh()
        door = container.partners.door(NoLimit())
        for body, sig in (
            ({"OperatorID": PARTNER, "OperatorSecret": KEYS.operator_secret}, ""),
            ({"OperatorID": PARTNER}, "0" * 32),
        ):
            sealed = envelope.seal_request(body, PARTNER, KEYS, "20260302080000", "0001")
            raw = orjson.dumps(sealed | ({"Sig": sig} if sig else {}))
            receive(InboundCall(BASE, "query_token", raw, None, "192.0.2.7"), door)
        sealed = envelope.seal_request({"StationIDs": ["1"]}, PARTNER, KEYS, "20260302080000", "0002")
        receive(InboundCall(BASE, "query_station_status", orjson.dumps(sealed), None, "192.0.2.7"), door)
        container.partners.recorder.flush()
    finally:
        container.stop()


def shown(cli: CliRunner, *words: str) -> str:
    result = cli.invoke(build(), ["link", "exchange", *words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def listed(cli: CliRunner, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shown(cli, *words, "--json"))
    return found


def test_the_last_exchanges_newest_first_with_the_failing_check(cli: CliRunner) -> None:
    found = listed(cli, LINK)
    assert [(one["interface"], one["ret"], one["failed_check"]) for one in found] == [
        ("query_station_status", 4002, "token"),
        ("query_token", 4001, "signature"),
        ("query_token", 0, None),
    ]
    assert KEYS.operator_secret not in json.dumps(found)
    assert '"OperatorSecret":"***"' in found[2]["request_body"].replace(" ", "")


def test_only_what_went_wrong_or_one_interface_or_one_direction(cli: CliRunner) -> None:
    assert [one["ret"] for one in listed(cli, LINK, "--failed")] == [4002, 4001]
    assert len(listed(cli, LINK, "--interface", "query_token")) == 2
    assert listed(cli, LINK, "--direction", "out") == []
    assert len(listed(cli, LINK, "--limit", "1")) == 1


def test_people_read_who_called_what_failed_and_both_bodies(cli: CliRunner) -> None:
    text = shown(cli, LINK)
    assert "they called" in text
    assert "failing check: signature" in text
    assert "(未解密 / not opened)" in text
    assert "TokenAvailableTime" in text
    assert "没有往来记录" in shown(cli, LINK, "--direction", "out")


def test_an_unknown_link_is_told(cli: CliRunner) -> None:
    assert cli.invoke(build(), ["link", "exchange", "nobody"]).exit_code != 0
