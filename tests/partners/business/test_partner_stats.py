"""Energy of a station over days, as partners ask for it; stations and prices, as profiles have them pushed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from charging_core.events import record_event
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.snapshot import station_snapshot
from charging_core.tariffs.catalog import TariffSpec, save_tariff
from charging_core.tariffs.model import Tariff
from charging_core.tariffs.periods import DayPeriods, RateClass
from tests.partners.business.conftest import World

STATS = "query_station_stats"
INFO, FEE = "notification_stationInfo", "notification_stationFee"


def ask(world: World, first: str = "2026-03-02", last: str = "2026-03-02", station: str = "S0001") -> dict[str, Any]:
    return dict(world.ask(STATS, {"StationID": station, "StartTime": first, "EndTime": last})["StationStats"])


def test_every_settled_charge_counts_on_the_day_of_its_end(world: World) -> None:
    world.link()
    world.play()
    stats = ask(world)
    (equipment,) = stats["EquipmentStatsInfos"]
    assert (stats["StationID"], stats["StartTime"], stats["EndTime"]) == ("S0001", "2026-03-02", "2026-03-02")
    assert stats["StationElectricity"] == equipment["EquipmentElectricity"] == Decimal("30.5")
    assert [one["ConnectorElectricity"] for one in equipment["ConnectorStatsInfos"]] == [
        Decimal("30.5"),
        Decimal("0.0"),
    ]
    assert ask(world, "2026-03-01", "2026-03-01")["StationElectricity"] == 0
    assert ask(world, "2026-03-01", "2026-03-03")["StationElectricity"] == Decimal("30.5")
    assert world.fake.summary()["violations"] == []


def test_every_level_is_the_sum_of_the_level_below(world: World) -> None:
    world.link()
    for code, energy in zip(world.seeded.connectors, ("10.0400", "10.0400"), strict=True):
        charge_on(world, code, energy)
    stats = ask(world)
    (equipment,) = stats["EquipmentStatsInfos"]
    shares = [one["ConnectorElectricity"] for one in equipment["ConnectorStatsInfos"]]
    assert sum(shares) == equipment["EquipmentElectricity"] == stats["StationElectricity"] == Decimal("20.1")


def charge_on(world: World, code: str, energy: str) -> None:
    seq = f"MA5PARTN1{code}"
    answer = world.ask("query_start_charge", {"StartChargeSeq": seq, "ConnectorID": code, "QRCode": ""})
    assert answer["SuccStat"] == 0
    world.clock.advance(timedelta(seconds=10))
    world.reading(seq)
    world.record(seq, {RateClass.FLAT: energy})


def test_full_date_times_are_taken_by_their_day(world: World) -> None:
    world.link()
    assert ask(world, "2026-03-02 00:00:00", "2026-03-02 23:59:59")["EndTime"] == "2026-03-02"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"StartTime": "2026-03-03"}, "EndTime"),
        ({"StartTime": "2026-01-01"}, "EndTime"),
        ({"StartTime": "2026-02-30"}, "StartTime"),
        ({"StartTime": "yesterday"}, "StartTime"),
        ({"StationID": "NOWHERE"}, "StationID"),
    ],
)
def test_wrong_questions_are_4004_with_the_member(world: World, body: dict[str, str], field: str) -> None:
    world.link()
    whole = {"StationID": "S0001", "StartTime": "2026-03-02", "EndTime": "2026-03-02"} | body
    answer = world.fake.call(STATS, whole)
    assert (answer.ret, field in answer.msg) == (4004, True), answer.msg


def test_a_station_that_the_link_may_not_see_has_no_statistics(world: World) -> None:
    world.link(stations=["S0002"])
    answer = world.fake.call(STATS, {"StationID": "S0001", "StartTime": "2026-03-02", "EndTime": "2026-03-02"})
    assert answer.ret == 4004


def test_a_connector_out_of_service_keeps_the_energy_it_gave(world: World) -> None:
    world.link()
    world.play()
    with world.db.session(world.tenant) as session:
        session.query(Connector).filter(Connector.code == world.connector).one().enabled = False
        session.query(Pile).one().enabled = False
    assert ask(world)["StationElectricity"] == Decimal("30.5")


# ------------------------------------------------------------------------------------------------------------ dialects


@pytest.fixture
def telling(tmp_path: Path) -> str:
    """A profile that has both pushes switched on."""
    path = tmp_path / "telling.yaml"
    head = "{id: telling, version: '1', display_name: {zh: 推, en: telling}, status: partial, extends: textbook, "
    path.write_text(f"{head}interfaces: {{{INFO}: {{when: 'true'}}, {FEE}: {{when: 'true'}}}}}}", "utf-8")
    return str(path)


def rename(world: World, name: str) -> None:
    with world.db.session(world.tenant) as session:
        station = session.query(Station).one()
        station.name, station.version, station.changed_at = name, station.version + 1, world.clock.now()
        session.flush()
        snapshot = station_snapshot(session, station, world.clock.now())
        record_event(session, "station.changed", station.id, station.version, snapshot, world.clock.now())


def bodies(world: World, interface: str) -> list[dict[str, Any]]:
    return [dict(row.body or {}) for row in world.deliveries(interface)]


def test_without_the_switch_nothing_is_planned(world: World) -> None:
    world.link()
    rename(world, "新名")
    world.deliver()
    assert bodies(world, INFO) + bodies(world, FEE) == []


def test_a_changed_station_is_told_with_its_prices(world: World, telling: str) -> None:
    world.link(profile=telling)
    rename(world, "新名")
    world.deliver()
    (info,) = bodies(world, INFO)
    assert info["StationInfo"]["StationName"] == "新名"
    (fee,) = bodies(world, FEE)
    lines = fee["StationFee"]["ChargeFeeDetail"]
    assert [(one["StartTime"], one["EndTime"]) for one in lines][-1] == ("14:00", "24:00")
    assert lines[0] == {
        "StartTime": "00:00", "EndTime": "07:00", "ElectricityFee": Decimal("0.3000"), "ServiceFee": Decimal("0.3000"),
        "EquipmentType": 3,
    }  # fmt: skip


def test_a_published_tariff_is_told_when_it_becomes_valid(world: World, telling: str) -> None:
    world.link(profile=telling)
    rename(world, "新名")
    world.deliver()
    publish(world, in_hours=10)
    rename(world, "再改")
    world.deliver()
    # The price of the future waits, and does not stand in for today's.
    assert [row.attempt_count > 0 for row in world.deliveries(FEE)] == [True, False, True]
    world.clock.advance(timedelta(hours=10))
    world.deliver()
    told = [len(body["StationFee"]["ChargeFeeDetail"]) for body in bodies(world, FEE)]
    assert told == [5, 1, 5]


def publish(world: World, in_hours: int) -> None:
    """One price for the whole day, from then on."""
    rows = [{"start": "00:00", "class": "flat", "elec_price": Decimal("0.90000"), "service_price": Decimal("0.10000")}]
    with world.db.session(world.tenant) as session:
        tariff = session.query(Tariff).one()
        spec = TariffSpec(
            code=tariff.code, name=tariff.name, periods=DayPeriods.from_rows(rows),
            valid_from=world.clock.now() + timedelta(hours=in_hours),
        )  # fmt: skip
        save_tariff(session, world.clock, spec)
