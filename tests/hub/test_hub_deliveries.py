"""Deliveries as the operator's staff meet them: found, understood and repaired, by command and by console, each change recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.events import DomainEvent
from charging_core.ids import new_id
from hub.cli import deliveries, screen
from hub.container import Container
from municipal.model import RegulatorLink
from partners.model import PartnerLink
from tests.hub.conftest import Stage
from tests.support.cli import CliRunner, Result, build
from worker.errors import NotRepairable
from worker.model import DeliveryAttempt, DeliveryRow, DestinationState

PLATE, ORDER = "浙A12345", "notification_charge_order_info"
PATH = "/api/console/v1/deliveries"
PARTNER, REGULATOR = "partner:demo-partner", "regulator:demo-regulator"


@pytest.fixture
def cli(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner whose commands use the composed hub of the stage: composing one takes longer than any of them."""

    @contextmanager
    def already_open() -> Iterator[Container]:
        yield stage.hub

    monkeypatch.setattr(deliveries, "opened", already_open)
    monkeypatch.setattr(screen.out, "_width", 200)
    return CliRunner()


@pytest.fixture
def ids(stage: Stage) -> dict[str, str]:
    """Fresh deliveries of `demo`: to the partner one dead, one rejected, one waiting, one delivered; a dead one to the regulator."""
    now = stage.hub.clock.now()
    with stage.hub.db.session("demo") as session:
        for table in (DeliveryAttempt, DeliveryRow, DestinationState):
            session.execute(delete(table).where(table.tenant_id == "demo"))
        session.execute(delete(DomainEvent).where(DomainEvent.type.startswith("deliver")))
        link, regulator = session.scalars(select(PartnerLink)).one(), session.scalars(select(RegulatorLink)).one()
        for kind, key in (("partner", link.id), ("regulator", regulator.id)):
            session.add(DestinationState(kind=kind, destination_id=key))
        made = {}
        for hours, state in enumerate(("dead", "rejected", "waiting", "delivered")):
            made[state] = _delivery(session, "partner", link.id, state, now - timedelta(hours=hours))
        made["regulator"] = _delivery(session, "regulator", regulator.id, "dead", now)
    return made


def _delivery(session: Any, kind: str, destination: str, state: str, at: Any) -> str:
    open_state = state == "waiting"
    row = DeliveryRow(
        id=new_id(), destination_kind=kind, destination_id=destination, interface=ORDER, object_key=new_id(), object_version=1,
        lane_order=1, priority=1, state=state, next_attempt_at=at, snapshot={}, body={"PlateNum": PLATE, "Fee": "1.20"},
        policy_name="p", policy_version="1", occurred_at=at, created_at=at, attempt_count=1, outcome="timeout",
        finished_at=None if open_state else at + timedelta(seconds=2), deadline_at=at + timedelta(seconds=60),
    )  # fmt: skip
    session.add(row)
    session.add(
        DeliveryAttempt(
            id=new_id(), delivery_id=row.id, number=1, started_at=at, duration_ms=12, outcome="timeout", worker="w",
            error="timeout",
        )
    )  # fmt: skip
    return row.id


def run(cli: CliRunner, *words: str) -> Result:
    whose = [] if words[0] == "discard" else ["--tenant", "demo"]  # the other tenant has links of the same names
    result = cli.invoke(build(), ["delivery", *words, *whose], terminal_width=250)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def as_json(cli: CliRunner, *words: str) -> Any:
    return json.loads(run(cli, *words, "--json").stdout)


def refused(cli: CliRunner, *words: str) -> BaseException | None:
    result = cli.invoke(build(), ["delivery", *words])
    assert result.exit_code != 0
    return result.exception


def test_deliveries_are_found_by_the_names_people_know(cli: CliRunner, ids: dict[str, str]) -> None:
    def found(*words: str) -> set[str]:
        return {line["id"] for line in as_json(cli, "list", *words)}

    assert found("--state", "dead") == {ids["dead"], ids["regulator"]}
    assert found("-d", "demo-partner", "--state", "dead") == found("-d", PARTNER, "--state", "dead") == {ids["dead"]}
    assert found("-d", PARTNER, "--since", "90m") == {ids["dead"], ids["rejected"]}
    assert found("--until", "90m", "--outcome", "timeout") == {ids["waiting"], ids["delivered"]}
    assert found("--interface", "another") == found("--outcome", "ok") == set()
    assert {line["destination"] for line in as_json(cli, "list")} == {PARTNER, REGULATOR}
    assert ids["waiting"] in run(cli, "list").stdout
    assert isinstance(refused(cli, "list", "-d", "nobody"), NotFound)
    assert isinstance(refused(cli, "list", "--state", "gone"), InvalidInput)
    assert isinstance(refused(cli, "list", "--since", "yesterday"), InvalidInput)


def test_a_delivery_is_shown_whole_but_masked(cli: CliRunner, ids: dict[str, str]) -> None:
    found = as_json(cli, "show", ids["dead"])
    assert found["destination"] == PARTNER
    assert [attempt["error"] for attempt in found["attempts"]] == ["timeout"]
    assert found["body"]["Fee"] == "1.20"
    assert PLATE not in run(cli, "show", ids["dead"]).stdout + json.dumps(found, ensure_ascii=False)


def test_what_was_given_up_is_counted_first_and_sent_again(cli: CliRunner, ids: dict[str, str], stage: Stage) -> None:
    selection = ("replay", "-d", PARTNER, "--since", "1d")
    assert as_json(cli, *selection, "--dry-run") == {"count": 2, "dry_run": True}
    assert states(stage, ids) == {"dead": "dead", "rejected": "rejected", "waiting": "waiting", "delivered": "delivered",
                                  "regulator": "dead"}  # fmt: skip
    assert as_json(cli, *selection, "--as", "li") == {"count": 2, "dry_run": False}
    assert states(stage, ids)["dead"] == states(stage, ids)["rejected"] == "waiting"
    assert as_json(cli, *selection, "--state", "delivered") == {"count": 1, "dry_run": False}
    assert as_json(cli, *selection, "--state", "waiting", "--dry-run")["count"] == 0
    assert as_json(cli, "recover", "demo-regulator", "--since", "2h", "--dry-run") == {"count": 1, "dry_run": True}
    assert "1" in run(cli, "recover", "demo-regulator", "--since", "2h", "--yes").stdout
    assert states(stage, ids)["regulator"] == "waiting"
    assert isinstance(refused(cli, "replay"), InvalidInput)
    assert isinstance(refused(cli, "replay", ids["dead"], "--since", "1d"), InvalidInput)
    for whose in (("replay", "--since", "1d"), ("recover", "demo-partner", "--since", "1d")):
        assert isinstance(refused(cli, *whose), Conflict), "two tenants have this name"
    newest, *_ = as_json(cli, "log", "--about", REGULATOR)
    assert (newest["action"], newest["subject"], newest["facts"]["count"]) == ("deliveries.recovered", REGULATOR, 1)


def test_single_deliveries_are_repaired_and_the_record_says_by_whom(
    cli: CliRunner, ids: dict[str, str], stage: Stage
) -> None:
    waiting, dead = ids["waiting"], ids["dead"]
    run(cli, "hold", waiting, "--why", "wait for their fix", "--as", "wang")
    assert states(stage, ids)["waiting"] == "held"
    run(cli, "release", waiting, "--as", "wang")
    run(cli, "discard", waiting, "--why", "sent by mail", "--as", "li")
    (done,) = as_json(cli, "replay", dead, "--as", "zhao")
    assert done == {"id": dead, "state": "waiting", "reason": None}
    assert isinstance(refused(cli, "discard", waiting, "--why", "again"), NotRepairable)
    assert isinstance(refused(cli, "replay", new_id()), NotFound)
    assert refused(cli, "discard", dead) is not None, "a reason is needed"
    log = [(line["by"], line["action"]) for line in as_json(cli, "log", "--about", waiting)]
    assert log == [("cli:li", "delivery.discarded"), ("cli:wang", "delivery.released"), ("cli:wang", "delivery.held")]
    assert "sent by mail" in run(cli, "show", waiting).stdout
    assert "zhao" in run(cli, "log").stdout


def test_a_destination_is_held_and_released_by_name(cli: CliRunner, ids: dict[str, str]) -> None:
    assert f"held: {PARTNER}" in run(cli, "hold", "demo-partner", "--why", "maintenance", "--as", "li").stdout
    (line,) = as_json(cli, "stats", "-d", PARTNER, "--window", "24h")
    assert (line["held"], line["waiting"]) == ("maintenance", 1)
    assert "maintenance" in run(cli, "stats").stdout
    again = refused(cli, "hold", PARTNER, "--why", "again", "--tenant", "demo")
    assert isinstance(again, NotRepairable)
    assert PARTNER in str(again)
    run(cli, "release", PARTNER, "--as", "li")
    assert [line["action"] for line in as_json(cli, "log", "--about", PARTNER)][:2] == [
        "destination.released",
        "destination.held",
    ]
    assert isinstance(refused(cli, "hold", "nobody", "--why", "x"), NotFound)


def test_stats_tell_what_waits_how_long_and_how_punctual(cli: CliRunner, ids: dict[str, str]) -> None:
    (line,) = as_json(cli, "stats", "-d", PARTNER, "--window", "24h")
    assert line["oldest_s"] == pytest.approx(7200, abs=60)
    assert (line["p50_s"], line["p99_s"], line["in_time"]) == (2.0, 2.0, 1.0)
    assert line["outcomes"] == {"timeout": 4}
    assert line["ended"] == {"dead": 1, "rejected": 1, "delivered": 1}
    assert "100.0%" in run(cli, "stats", "--window", "24h").stdout
    assert isinstance(refused(cli, "stats", "--window", "long"), InvalidInput)


def test_the_console_repairs_and_records_the_token(stage: Stage, ids: dict[str, str]) -> None:
    ask = {"headers": stage.tokens.demo}
    selection = {"destination": PARTNER, "interface": ORDER, "dry_run": True}
    assert stage.client.post(f"{PATH}/replay", json=selection, **ask).json() == {"count": 2, "dry_run": True}
    assert stage.client.post(f"{PATH}/replay", json={}, **ask).status_code == 422
    held = stage.client.post(f"{PATH}/{ids['waiting']}/hold", json={"why": "their fix"}, **ask)
    assert (held.status_code, held.json()["state"]) == (202, "held")
    assert stage.client.post(f"{PATH}/{ids['waiting']}/hold", json={"why": "again"}, **ask).status_code == 409
    assert stage.client.post(f"{PATH}/{ids['waiting']}/discard", json={}, **ask).status_code == 400
    recovered = {"destination": REGULATOR, "since": "2026-01-01T00:00:00+08:00"}
    assert stage.client.post(f"{PATH}/recover", json=recovered, **ask).json()["count"] == 1
    items = stage.client.get(f"{PATH}/actions", **ask).json()["items"]
    assert [(item["by"], item["action"], item["subject"]) for item in items[:2]] == [
        ("token:test", "deliveries.recovered", REGULATOR),
        ("token:test", "delivery.held", ids["waiting"]),
    ]
    listed = stage.client.get(f"{PATH}?destination=demo-partner&state=held&outcome=timeout", **ask).json()["items"]
    assert [item["id"] for item in listed] == [ids["waiting"]]
    assert listed[0]["destination"] == PARTNER
    stats = stage.client.get(f"{PATH}/stats?window_minutes=1440", **ask).json()["items"]
    assert {line["destination"]: line["waiting"] for line in stats} == {PARTNER: 1, REGULATOR: 1}
    one = stage.client.get(f"{PATH}/{ids['waiting']}", **ask)
    assert one.json()["actions"][0]["by"] == "token:test"
    assert PLATE not in one.text


def states(stage: Stage, ids: dict[str, str]) -> dict[str, str]:
    with stage.hub.db.read("demo") as session:
        found = {row.id: row.state for row in session.scalars(select(DeliveryRow))}
    return {name: found[key] for name, key in ids.items()}
