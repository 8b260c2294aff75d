"""`hub reconcile …` and its operations in the console, as the bookkeeper meets them."""

from __future__ import annotations

import getpass
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from charging_core.db import Database
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from partners.model import ExchangeRow, PartnerLink
from partners.reconcile.disputes import Contest, contest
from tests.hub.conftest import Stage
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, Result, build
from tests.support.databases import Databases, FreshDatabase
from tests.support.logs import plain_logs

NOW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[FreshDatabase]:
    fresh = databases.fresh()
    yield fresh
    databases.drop(fresh)


@pytest.fixture(scope="module")
def cli(database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliRunner]:
    """A runner on a fresh database with the example applied."""
    environ = demo_environ() | {
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
    runner = CliRunner()
    path = tmp_path_factory.mktemp("reconcile") / "operator.yaml"
    path.write_text(example_text(), "utf-8")
    run(runner, "apply", str(path), "--yes")
    yield runner
    patches.undo()
    root.handlers[:], root.level = handlers, level
    plain_logs()


@pytest.fixture
def dispute(cli: CliRunner, database: FreshDatabase) -> str:
    """A contested order of the demo's partner."""
    db = Database(database.url)
    with db.session("demo") as session:
        link = session.query(PartnerLink).one()
        case = Contest(
            link_id=link.id, start_charge_seq="S" * 27, source="statement", reason_code=2, total_yuan="33.55"
        )
        made = contest(session, case, NOW).id
    db.close()
    return made


def run(cli: CliRunner, *words: str) -> Result:
    result = cli.invoke(build(), list(words))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def as_json(cli: CliRunner, *words: str) -> Any:
    return json.loads(run(cli, *words, "--json").stdout)


def test_a_day_is_sent_listed_and_shown(cli: CliRunner) -> None:
    assert "已生成" in run(cli, "reconcile", "send", "demo-partner", "2026-03-02").stdout
    (statement,) = as_json(cli, "reconcile", "list", "--link", "demo-partner", "--direction", "out")
    assert (statement["link"], statement["check_seq"], statement["state"]) == (
        "demo-partner",
        "MA5DEMO01000000000020260302",
        "planned",
    )
    assert as_json(cli, "reconcile", "show", statement["id"])["lines"] == []
    assert "明细" in run(cli, "reconcile", "show", statement["id"]).stdout
    again = cli.invoke(build(), ["reconcile", "send", "demo-partner", "2026-03-02"])
    assert isinstance(again.exception, Conflict)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["send", "nobody", "2026-03-02"], NotFound),
        (["send", "demo-partner", "02.03.2026"], InvalidInput),
        (["show", "NOTHING"], NotFound),
        (["dispute", "NOTHING"], NotFound),
        (["explain", "NOTHING", "x"], NotFound),
        (["close", "NOTHING", "forgotten"], InvalidInput),
    ],
)
def test_what_cannot_be_done_is_told(cli: CliRunner, words: list[str], kind: type[Exception]) -> None:
    assert isinstance(cli.invoke(build(), ["reconcile", *words]).exception, kind)


def test_a_case_from_open_to_closed(cli: CliRunner, dispute: str) -> None:
    assert [one["id"] for one in as_json(cli, "reconcile", "disputes", "--state", "open")] == [dispute]
    assert "争议" in run(cli, "reconcile", "disputes").stdout
    run(cli, "reconcile", "explain", dispute, "电量以电表为准", "--as", "li")
    assert isinstance(cli.invoke(build(), ["reconcile", "repush", dispute]).exception, Conflict)  # it has no bill
    closed = as_json(cli, "reconcile", "close", dispute, "accepted", "--note", "按对方金额")
    found = as_json(cli, "reconcile", "dispute", dispute)
    assert closed == found
    assert (found["state"], found["explanation"]) == ("accepted", "电量以电表为准")
    assert [entry["what"] for entry in found["history"]] == ["contested_in_statement", "explained", "accepted"]
    assert [entry.get("who") for entry in found["history"]] == [None, "cli:li", f"cli:{getpass.getuser()}"]
    assert "经过" in run(cli, "reconcile", "dispute", dispute).stdout


# -------------------------------------------------------------------------------------------------------- the console


def contested(stage: Stage, seq: str) -> str:
    with stage.hub.db.session("demo") as session:
        link = session.query(PartnerLink).one()
        case = Contest(link_id=link.id, start_charge_seq=seq, source="statement", reason_code=2, total_yuan="33.55")
        return contest(session, case, NOW).id


def test_a_case_in_the_console_keeps_who_did_what(stage: Stage) -> None:
    one, api = contested(stage, "C" * 27), "/api/console/v1/disputes"
    explained = stage.client.post(f"{api}/{one}/explain", json={"text": " 以电表为准 "}, headers=stage.tokens.demo)
    assert (explained.status_code, explained.json()["state"]) == (200, "explained")
    again = stage.client.post(f"{api}/{one}/repush", headers=stage.tokens.demo)
    assert (again.status_code, "没有可重推" in again.text) == (409, True)
    closed = stage.client.post(f"{api}/{one}/close", json={"outcome": "corrected"}, headers=stage.tokens.demo)
    assert [(entry["what"], entry.get("who")) for entry in closed.json()["history"]] == [
        ("contested_in_statement", None),
        ("explained", "token:test"),
        ("corrected", "token:test"),
    ]
    late = stage.client.post(f"{api}/{one}/explain", json={"text": "x"}, headers=stage.tokens.demo)
    assert late.status_code == 409
    listed = stage.client.get(f"{api}?state=corrected", headers=stage.tokens.demo).json()["items"]
    assert [found["id"] for found in listed] == [one]


@pytest.mark.parametrize(("day", "status"), [("2999-01-01", 422), ("2026-02-30", 422), ("gestern", 400)])
def test_a_day_that_cannot_be_stated_is_refused(stage: Stage, day: str, status: int) -> None:
    body = {"link": "demo-partner", "day": day}
    assert stage.client.post("/api/console/v1/statements", json=body, headers=stage.tokens.demo).status_code == status


def test_exchanges_can_be_narrowed_to_what_went_wrong_one_way(stage: Stage) -> None:
    with stage.hub.db.session("demo") as session:
        link = session.query(PartnerLink).one()
        for number, (direction, ret) in enumerate((("in", 0), ("in", 4001), ("out", None))):
            session.add(
                ExchangeRow(
                    id=new_id(), kind="partner", link_id=link.id, direction=direction, interface="query_token", at=NOW,
                    duration_ms=number, path="/demo/evcs/v1/query_token", ret=ret, failed_check="signature" if ret else None,
                )
            )  # fmt: skip

    def found(query: str) -> list[int]:
        answer = stage.client.get(f"/api/console/v1/exchanges?link=demo-partner&{query}", headers=stage.tokens.demo)
        return [one["duration_ms"] for one in answer.json()["items"]]

    assert found("") == [2, 1, 0]
    assert found("failed=true") == [2, 1]
    assert found("failed=true&direction=in") == [1]
