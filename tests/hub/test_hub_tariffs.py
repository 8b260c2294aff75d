"""Tariffs and bills as the staff meets them: `hub tariff …`, `hub order explain|review|refund …`, and what `hub apply` refuses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from charging_core.clock import CHINA, write_clock_file
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.orders.facts import TradeFacts
from charging_core.orders.model import Origin
from charging_core.orders.service import StartRequest, start_order
from charging_core.orders.settlement import settle
from charging_core.stations.model import Connector, ConnectorState
from charging_core.tariffs.periods import RateClass
from hub.apply.document import read_document, read_tariffs
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.container import Container
from hub.errors import ApplyError
from hub.settings import load_settings
from tests.hub.conftest import settings_for
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, Result, build
from tests.support.databases import Databases
from tests.support.logs import plain_logs

CONNECTOR = "3201060000000101"
HOLIDAY = '"2026-10-01..2026-10-07"'


@pytest.fixture(scope="module")
def shared(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One hub with the example applied, on a Tuesday at ten; the environment to reach it."""
    clock = tmp_path_factory.mktemp("clock") / "clock.json"
    write_clock_file(clock, datetime(2026, 11, 10, 10, tzinfo=CHINA), 1)
    fresh = databases.fresh()
    hub = Container(settings_for(fresh))
    Applier(hub.db, hub.clock, hub.box).apply(read_document(example_text(), Surroundings(demo_environ(), Path())))
    with hub.db.session("demo") as session:
        for row in session.query(Connector):
            row.state = ConnectorState.IDLE
    hub.stop()
    yield demo_environ() | {
        "HUB_DATABASE_URL": fresh.url,
        "HUB_DATABASE_OWNER_URL": fresh.owner_url,
        "HUB_SECRET_KEY": SECRET_KEY,
        "HUB_WEB_PORT": "0",
        "HUB_PILE_PORT": "0",
        "HUB_OCPP_PORT": "0",
        "HUB_CLOCK": f"file:{clock}",
    }
    databases.drop(fresh)


@pytest.fixture
def cli(shared: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A runner on that hub; leaves logging as it was."""
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    plain_logs()


@pytest.fixture
def order(shared: dict[str, str], cli: CliRunner) -> str:
    """A charge of 10 kWh at a flat price of 1.1043 yuan, for which the pile wants 20 yuan."""
    hub = Container(load_settings())
    now = hub.clock.now()
    with hub.db.session("demo") as session:
        request = StartRequest(
            connector_code=CONNECTOR, origin=Origin.APP, link_id="app:demo", start_charge_seq=new_id()
        )
        made = start_order(session, hub.order_context, request).order
        assert made is not None
        made.started_at = now
        record = TradeFacts(
            {RateClass.FLAT: Decimal(10)}, now + timedelta(hours=1, minutes=10), now + timedelta(hours=2), Decimal(0),
            Decimal(0), Decimal(10), Decimal(20), 0x40, None, None, now,
        )  # fmt: skip
        made.started_at = now + timedelta(hours=1, minutes=10)
        settle(session, hub.order_context, made.id, record)
    hub.stop()
    return made.id


def run(cli: CliRunner, *words: str) -> Result:
    result = cli.invoke(build(), list(words))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def as_json(cli: CliRunner, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(cli, *words, "--json").stdout)
    return found


def refused(cli: CliRunner, *words: str) -> BaseException:
    result = cli.invoke(build(), list(words))
    assert result.exception is not None, result.output
    return result.exception


def test_a_bill_is_explained_reviewed_corrected_and_refunded(cli: CliRunner, order: str) -> None:
    told = as_json(cli, "order", "explain", order)
    (slot,) = told["slots"]
    assert (slot["class"], slot["elec_exact"], slot["elec_fee"]) == ("flat", "6.54300", "6.5400")
    text = run(cli, "order", "explain", order).stdout
    for words in ("city-2026", "6.543000 → 6.54", "11.04", "20", "✗"):
        assert words in text
    queue = json.loads(run(cli, "order", "review", "list", "--json").stdout)
    assert (order, "20.0000") in [(line["id"], line["pile_amount"]) for line in queue]
    assert "pile says" in run(cli, "order", "review", "show", order).stdout
    assert isinstance(refused(cli, "order", "review", "accept", order, "--reason", " "), InvalidInput)
    run(cli, "order", "review", "accept", order, "--reason", "桩固件截断小数", "--as", "li")
    assert isinstance(refused(cli, "order", "review", "show", order), NotFound)
    run(cli, "order", "resettle", order, "--energy", "flat=9.5", "--reason", "电表", "--as", "li")
    done = as_json(cli, "order", "refund", order, "--amount", "2.50", "--reason", "补偿", "--as", "li")
    assert [(a["action"], a["by"]) for a in done["actions"]] == [
        ("accept", "cli:li"), ("resettle", "cli:li"), ("refund", "cli:li"),
    ]  # fmt: skip
    versions = as_json(cli, "order", "explain", order)["bills"]
    assert [(v["kind"], v["total_fee"], v["difference"]) for v in versions] == [
        ("record", "11.0400", None), ("resettled", "10.5000", "-0.5400"), ("refund", "8.0000", "-2.5000"),
    ]  # fmt: skip
    assert "补偿" in run(cli, "order", "explain", order).stdout
    seen = [entry["what"] for entry in as_json(cli, "order", "show", order)["timeline"]]
    assert [what for what in seen if "staff" in what] == [
        f"人工 / staff: {done}" for done in ("accept", "resettle", "refund")
    ]
    assert "账单 / bill v3 (refund)" in seen


def test_what_cannot_be_done_is_said(cli: CliRunner, order: str) -> None:
    assert isinstance(refused(cli, "order", "end", order, "--reason", "x"), Conflict)
    assert isinstance(refused(cli, "order", "close", order, "--reason", "x"), Conflict)
    assert isinstance(refused(cli, "order", "refund", order, "--amount", "12", "--reason", "x"), InvalidInput)
    assert isinstance(refused(cli, "order", "refund", order, "--amount", "NaN", "--reason", "x"), InvalidInput)
    assert isinstance(refused(cli, "order", "resettle", order, "--energy", "noon=1", "--reason", "x"), InvalidInput)
    assert isinstance(refused(cli, "order", "explain", "nothing"), NotFound)


def test_a_quote_now_and_on_a_holiday_with_its_discount(cli: CliRunner) -> None:
    now = as_json(cli, "tariff", "quote", "330106001", "--energy", "30")
    assert (now["total_fee"], now["day"], now["power_kw"]) == ("55.40", "base", "120.0000")
    assert now["starts_at"] < now["ends_at"]
    words = ("tariff", "quote", "330106001", "--energy", "30", "--at", "2027-01-01T12:00", "--stay", "35")
    holiday = as_json(cli, *words)
    assert (holiday["day"], holiday["total_fee"], holiday["occupancy_fee"]) == ("holiday", "29.70", "10.00")
    assert "29.70" in run(cli, *words).stdout
    assert isinstance(refused(cli, "tariff", "quote", "nowhere", "--energy", "30"), NotFound)
    assert isinstance(refused(cli, "tariff", "quote", "330106001", "--energy", "0"), InvalidInput)


def test_the_calendar_of_the_next_weeks(cli: CliRunner) -> None:
    (line,) = json.loads(run(cli, "tariff", "list", "--json").stdout)
    assert (line["code"], line["day"]) == ("city-2026", "base")
    found = as_json(cli, "tariff", "show", "city-2026")
    assert len(found["days"]) == 14
    assert "2026-10-01..2026-10-07" in str(found["plan"])
    text = run(cli, "tariff", "show", "city-2026").stdout + run(cli, "tariff", "list").stdout
    assert "holiday" in text


def test_past_orders_by_a_file_and_by_a_stored_tariff(cli: CliRunner, order: str, tmp_path: Path) -> None:
    dearer = tmp_path / "dearer.yaml"
    dearer.write_text(example_text().replace("0.65430", "0.75430"), "utf-8")
    found = as_json(
        cli,
        "tariff",
        "simulate",
        str(dearer),
        "--since",
        "1d",
        "--until",
        "2026-11-11",
        "--station",
        "330106001",
        "--limit",
        "200",
    )
    line = next(line for line in found["items"] if line["order_id"] == order)
    assert (line["old_fee"], line["new_fee"], line["difference"]) == ("11.0400", "12.04", "1.0000")
    words = run(cli, "tariff", "simulate", str(dearer), "--since", "1d", "--until", "2026-11-11").stdout
    assert "+" in words
    same = as_json(cli, "tariff", "simulate", "city-2026", "--since", "1d", "--until", "2026-11-11")
    line = next(line for line in same["items"] if line["order_id"] == order)
    assert Decimal(line["difference"]) == 0
    assert isinstance(refused(cli, "tariff", "simulate", "nothing"), NotFound)
    only_new = tmp_path / "new.yaml"
    period = '{start: "00:00", class: flat, elec_price: 1, service_price: 0}'
    only_new.write_text(f"tariffs: [{{code: new, name: 新, periods: [{period}]}}]", "utf-8")
    tried = as_json(cli, "tariff", "simulate", str(only_new), "--since", "1d", "--until", "2026-11-11")
    assert all(Decimal(line["new_fee"]) == Decimal(line["energy_kwh"]) for line in tried["items"])


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        (HOLIDAY, '"2026-10-32"', "tariffs[0]"),
        ("{day: holiday, dates", "{day: fair, dates", "tariffs[0]"),
        ("loss_percent: 0 ", "loss_percent: 101 ", "tariffs[0].loss_percent"),
        ("origins: [app]", "origins: [partner]", "tariffs[0].discounts[0].origins[0]"),
        ('"07:30", class: flat', '"07:45", class: flat', "tariffs[0].days.holiday"),
        ("free_minutes: 15", "free_minutes: -1", "tariffs[0].occupancy.free_minutes"),
    ],
)
def test_a_wrong_calendar_is_refused_at_its_line(before: str, after: str, path: str) -> None:
    text = example_text()
    assert before in text
    with pytest.raises(ApplyError) as error:
        read_document(text.replace(before, after), Surroundings(demo_environ(), Path()))
    assert [problem.path for problem in error.value.problems] == [path]
    assert all(problem.line > 0 for problem in error.value.problems)


@pytest.mark.parametrize("text", ["tenant: {id: x}\n", "tariffs: [{code: a}]\n", "- 1\n"])
def test_a_file_without_tariffs_is_said_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ApplyError):
        read_tariffs(path)
    with pytest.raises(ApplyError):
        read_tariffs(tmp_path / "absent.yaml")


def test_a_calendar_is_applied_once_and_shown(apply_text: Callable[..., list[object]]) -> None:
    (tariff,) = [change for change in apply_text(example_text()) if getattr(change, "kind", "") == "tariff"]
    assert {"periods", "periods (holiday)", "calendar", "discount"} <= {
        field.name for field in getattr(tariff, "fields", ())
    }
    assert apply_text(example_text()) == []
    (changed,) = apply_text(example_text().replace(HOLIDAY, '"2026-10-01..2026-10-08"'))
    assert getattr(changed, "kind", "") == "tariff"
