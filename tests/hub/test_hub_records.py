"""`hub record|reservation|alarm …`: parked records find their order by hand, connectors are kept for somebody, alarms are seen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from charging_core.errors import Conflict, NotFound
from charging_core.ids import new_id
from charging_core.monitoring.alarm import raise_alarm
from charging_core.orders.guard import GuardPolicy, OverLimit
from charging_core.orders.model import Origin
from charging_core.orders.rules import MissingRecord
from charging_core.orders.service import StartRequest, start_order
from charging_core.piles.events import RateClass, RateReading, StopCategory, TradeRecord
from charging_core.piles.store.records import take_record
from charging_core.stations.model import Connector, ConnectorState
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.container import Container
from tests.hub.conftest import settings_for
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, build
from tests.support.databases import Databases
from tests.support.logs import plain_logs

CONNECTOR, OTHER = "3201060000000101", "3201060000000102"
ALARM = "桩充电中故障; fault while it charges"


@pytest.fixture(scope="module")
def shared(databases: Databases) -> Iterator[tuple[dict[str, str], str]]:
    """One hub with the example applied, an order, a parked record and an alarm; its environment and the order's id."""
    fresh = databases.fresh()
    hub = Container(settings_for(fresh))
    Applier(hub.db, hub.clock, hub.box).apply(read_document(example_text(), Surroundings(demo_environ(), Path())))
    now = hub.clock.now()
    zero = Decimal(0)
    flat = RateReading(RateClass.FLAT, Decimal("1.1"), Decimal(10), zero, Decimal(11))
    record = TradeRecord(
        new_id(), CONNECTOR[:14], 1, now - timedelta(hours=1), now, (flat,), zero, zero, Decimal(10), zero, Decimal(11),
        "LTEST000000000017", 1, 0x40, StopCategory.REMOTE, None, None, True, "68", now,
    )  # fmt: skip
    with hub.db.session("demo") as session:
        for row in session.query(Connector):
            row.state = ConnectorState.IDLE
        request = StartRequest(
            connector_code=CONNECTOR, origin=Origin.APP, link_id="app:demo", start_charge_seq="S1",
            limit_yuan=Decimal(20), limit_minutes=90,
        )  # fmt: skip
        order = start_order(session, hub.order_context, request).order
        assert order is not None
        take_record(session, hub.order_context, record, "demo")
        raise_alarm(session, "demo", "charge_interrupted", order.id, ALARM, now)
    hub.stop()
    environ = demo_environ() | {
        "HUB_DATABASE_URL": fresh.url, "HUB_DATABASE_OWNER_URL": fresh.owner_url, "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_WEB_PORT": "0", "HUB_PILE_PORT": "0", "HUB_OCPP_PORT": "0",
    }  # fmt: skip
    yield environ, order.id
    databases.drop(fresh)


@pytest.fixture
def cli(shared: tuple[dict[str, str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    for name, value in shared[0].items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    plain_logs()


def run(cli: CliRunner, *words: str) -> Any:
    result = cli.invoke(build(), [*words, "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refused(cli: CliRunner, *words: str) -> BaseException | None:
    result = cli.invoke(build(), list(words))
    assert result.exit_code != 0
    return result.exception


def seen(cli: CliRunner, *words: str) -> str:
    result = cli.invoke(build(), list(words))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_a_parked_record_is_found_looked_at_put_away_and_attached_after_all(
    cli: CliRunner, shared: tuple[dict[str, str], str]
) -> None:
    order_id = shared[1]
    (parked,) = run(cli, "record", "list", "--state", "parked")
    assert (parked["connector"], parked["problem"]) == (CONNECTOR, "no order has this trade number")
    told = run(cli, "record", "show", parked["id"])
    assert (told["total_energy_kwh"], told["vin"], told["told"]["rates"][0]["energy_kwh"]) == (
        "10", "LT*************17", "10",
    )  # fmt: skip
    assert "flat" in seen(cli, "record", "show", parked["id"])
    assert parked["id"] in seen(cli, "record", "list")
    put_away = run(cli, "record", "dismiss", parked["id"], "--reason", "调试充电", "--as", "li")
    assert (put_away["state"], put_away["problem"]) == ("dismissed", "cli:li: 调试充电")
    assert run(cli, "record", "list", "--state", "parked") == []
    assert isinstance(refused(cli, "record", "dismiss", parked["id"], "--reason", "again"), Conflict)
    assert isinstance(refused(cli, "record", "dismiss", "nothing", "--reason", "none"), NotFound)
    why = ("--reason", "车主提供照片", "--as", "li")
    attached = run(cli, "record", "attach", parked["id"], "--order", order_id, *why)
    assert (attached["state"], attached["order_id"], attached["matched_by"]) == ("applied", order_id, "staff")
    explained = run(cli, "order", "explain", order_id)
    assert [(a["action"], a["by"], a["reason"]) for a in explained["actions"]] == [("attach", "cli:li", "车主提供照片")]
    assert isinstance(refused(cli, "record", "attach", parked["id"], "--order", order_id, *why), Conflict)
    assert isinstance(refused(cli, "record", "show", "nothing"), NotFound)


def test_the_limits_of_an_order_are_shown(cli: CliRunner, shared: tuple[dict[str, str], str]) -> None:
    limits = run(cli, "order", "show", shared[1])["order"]["limits"]
    assert limits == {"yuan": "20.0000", "kwh": None, "minutes": 90, "soc": None, "over": "full"}
    assert "90 min" in seen(cli, "order", "show", shared[1])


def test_a_connector_is_kept_and_given_back(cli: CliRunner) -> None:
    made = run(cli, "reservation", "make", OTHER, "--minutes", "15", "--plate", "浙A12345", "--as", "li")
    assert (made["state"], made["plate"], made["asked_by"]) == ("held", "浙A***45", "cli:li")
    assert isinstance(refused(cli, "reservation", "make", OTHER, "--minutes", "15"), Conflict)
    assert made["id"] in seen(cli, "reservation", "list", "--state", "held")
    assert "cancelled" in seen(cli, "reservation", "cancel", made["id"], "--as", "wu")
    (line,) = run(cli, "reservation", "list")
    assert (line["state"], line["ended_by"]) == ("cancelled", "cli:wu")
    assert isinstance(refused(cli, "reservation", "cancel", made["id"]), Conflict)
    for words in (("make", "nothing", "--minutes", "5"), ("cancel", "nothing")):
        assert isinstance(refused(cli, "reservation", *words), NotFound)


def test_the_rules_of_limits_and_missing_records_are_settings(databases: Databases) -> None:
    fresh = databases.fresh()
    changed = {
        "guard_margin_yuan": Decimal("0.20"), "guard_sample_s": 30, "guard_stop_s": 8, "over_limit": "capped",
        "missing_record": "refuse",
    }  # fmt: skip
    hub = Container(settings_for(fresh).model_copy(update=changed))
    context = hub.order_context
    hub.stop()
    databases.drop(fresh)
    assert context.guard == GuardPolicy(Decimal("0.20"), 30, 8, OverLimit.CAPPED)
    assert context.missing_record is MissingRecord.REFUSE


def test_alarms_that_are_open_are_listed(cli: CliRunner) -> None:
    assert "charge_interrupted" in seen(cli, "alarm", "list", "--all")
    alarms = run(cli, "alarm", "list", "--all")
    assert [(alarm["kind"], alarm["text"]) for alarm in alarms] == [("charge_interrupted", ALARM)]
