"""Bodies that pass the contract and are still not what they should be: each gets its code, none an error of ours."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from charging_core.clock import china_text
from charging_core.orders.model import ChargeOrder
from partners.asking import Asked
from tests.partners.business.conftest import PARTNER, World

SEQ = f"{PARTNER}260302080000000001"


def start_body(world: World, **more: Any) -> dict[str, Any]:
    return {"StartChargeSeq": SEQ, "ConnectorID": world.connector, "QRCode": ""} | more


@pytest.mark.parametrize(
    ("interface", "body"),
    [
        ("query_start_charge", {"StartChargeSeq": f"{PARTNER}\x001", "QRCode": ""}),
        ("query_equip_charge_status", {"StartChargeSeq": "A\x00"}),
        ("query_station_status", {"StationIDs": ["S0001", "S\x00"]}),
    ],
)
def test_a_nul_in_an_id_never_reaches_the_database(world: World, interface: str, body: dict[str, Any]) -> None:
    """PostgreSQL refuses to bind one; the door says that such a text is no JSON of ours."""
    world.link()
    assert world.fake.call(interface, {"ConnectorID": world.connector} | body).ret == 4003


@pytest.mark.parametrize("text", ["A\n", "'; --", "%", "\U0001f600", "\u202e1", "9" * 64])
def test_strange_ids_are_simply_unknown(world: World, text: str) -> None:
    world.link()
    assert world.fake.call("query_equip_charge_status", {"StartChargeSeq": text}).ret == 4004
    assert world.ask("query_station_status", {"StationIDs": [text]})["StationStatusInfos"] == []
    assert world.ask("query_start_charge", start_body(world, ConnectorID=text))["FailReason"] == 1


def test_a_page_number_beyond_every_database_is_just_beyond_the_end(world: World) -> None:
    world.link()
    page = world.ask("query_stations_info", {"PageNo": 9_000_000_000_000_000_000, "PageSize": 100})
    assert (page["StationInfos"], page["ItemSize"]) == ([], 1)


@pytest.mark.parametrize(
    ("balance", "limit"),
    [
        (Decimal("10.999"), Decimal("10.99")),
        ("25", Decimal(25)),
        (9_000_000_000_000_000, None),  # more than any charge costs is no limit, and fits no column and no frame
        (Decimal("10000"), None),
    ],
)
def test_a_balance_of_any_size(world: World, balance: Any, limit: Decimal | None) -> None:
    world.link()
    assert world.ask("query_start_charge", start_body(world, Balance=balance))["SuccStat"] == 0
    assert world.order(SEQ).limit_yuan == limit


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+400", "abc", True, ["5"], {"a": 1}])
def test_an_amount_under_a_name_of_the_partners_own_is_checked_by_us(world: World, tmp_path: Path, amount: Any) -> None:
    link_with_own_limit(world, tmp_path)
    assert world.fake.call("query_start_charge", start_body(world, MaxYuan=amount)).ret == 4004
    with world.db.read(world.tenant) as session:
        assert session.query(ChargeOrder).count() == 0


@pytest.mark.parametrize("amount", ["", None])
def test_an_empty_amount_is_a_missing_one(world: World, tmp_path: Path, amount: Any) -> None:
    link_with_own_limit(world, tmp_path)
    world.ask("query_start_charge", start_body(world, MaxYuan=amount, Balance=7))
    assert world.order(SEQ).limit_yuan == Decimal(7)


def link_with_own_limit(world: World, folder: Path) -> None:
    path = folder / "own.yaml"
    head = "{id: own, version: '1', display_name: {zh: 自定, en: own}, status: partial, extends: textbook, "
    path.write_text(f"{head}start: {{limit_fields: [MaxYuan, Balance], plate_fields: [Car]}}}}", "utf-8")
    world.link(profile=str(path))


@pytest.mark.parametrize("plate", [{"a": "b"}, ["浙A1"], True, "浙A\n1", "浙A" * 20, 7.5])
def test_what_cannot_be_a_plate_is_ignored(world: World, tmp_path: Path, plate: Any) -> None:
    link_with_own_limit(world, tmp_path)
    assert world.ask("query_start_charge", start_body(world, Car=plate))["SuccStat"] == 0
    assert world.order(SEQ).plate is None


@pytest.mark.parametrize("text", ["2026-02-30 00:00:00", "2026-03-02T00:00:00", "yesterday", "0000-01-01 00:00:00"])
def test_a_last_query_time_that_is_no_time(world: World, text: str) -> None:
    world.link()
    assert world.fake.call("query_stations_info", {"LastQueryTime": text}).ret == 4004


def test_the_earliest_time_there_is(world: World) -> None:
    world.link()
    assert world.ask("query_stations_info", {"LastQueryTime": "0001-01-01 00:00:00"})["ItemSize"] == 1


def test_a_link_that_was_changed_shows_everything_again(world: World) -> None:
    """A station newly authorised has not changed itself; a partner that asks for changes must see it all the same."""
    world.link(stations=[])
    world.clock.advance(timedelta(hours=1))
    asked = {"LastQueryTime": china_text(world.clock.now())}
    world.clock.advance(timedelta(minutes=1))
    assert world.ask("query_stations_info", asked)["ItemSize"] == 0
    world.link(stations=["S0001"])
    assert world.ask("query_stations_info", asked)["ItemSize"] == 1
    asked = {"LastQueryTime": china_text(world.clock.now() + timedelta(seconds=1))}
    assert world.ask("query_stations_info", asked)["ItemSize"] == 0


def test_a_question_does_not_show_its_body_when_it_is_printed(world: World) -> None:
    link = world.link()
    asked = Asked(world.db, world.context, link, {"PlateNum": "浙AD12345"})
    assert "浙AD12345" not in repr(asked)
