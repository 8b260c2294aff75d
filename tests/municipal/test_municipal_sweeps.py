"""What the clock asks for: periods in China time, none replayed; and the hourly look for what no event told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import CHINA, ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.stations.model import Connector, Pile
from charging_core.tariffs.model import Tariff, TariffVersion
from municipal.sweeps import PeriodSweep, period_begin
from tests.municipal.regulator_bench import Bench, benches, bodies, china
from tests.support.seed import PERIODS, seed_operator


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Iterator[Bench]:
    yield from benches(db, manual_clock)


def times(bench: Bench, interface: str) -> list[str]:
    """When the pushes of one kind were due, on the Chinese wall clock."""
    return [f"{row.occurred_at.astimezone(CHINA):%H:%M:%S}" for row in bench.deliveries(interface)]


def until(bench: Bench, text: str) -> None:
    """Tick until that time of the Chinese day."""
    while bench.clock.now() < china(bench.clock, text):
        bench.tick()


@pytest.mark.parametrize(
    ("instant", "seconds", "begin"),
    [
        ("08:07:00", 300, "08:05:00"),
        ("08:05:00", 300, "08:05:00"),
        ("08:04:59", 900, "08:00:00"),
        ("00:00:00", 900, "00:00:00"),
        ("23:59:59", 7200, "22:00:00"),
    ],
)
def test_periods_begin_at_multiples_of_the_chinese_clock(instant: str, seconds: int, begin: str) -> None:
    day = datetime(2026, 3, 2, tzinfo=CHINA)
    moment = datetime.combine(day, datetime.strptime(instant, "%H:%M:%S").time(), CHINA)  # noqa: DTZ007
    found = period_begin(moment.astimezone(UTC), seconds)
    assert (f"{found.astimezone(CHINA):%H:%M:%S}", found.tzinfo) == (begin, UTC)


def test_the_first_sample_goes_at_once_and_then_every_five_minutes_on_the_clock(bench: Bench) -> None:
    fake = bench.regulator()
    until(bench, "08:02")
    bench.clock.advance(timedelta(seconds=17))
    order = bench.charging()
    bench.pump()
    for _ in range(14):
        bench.tell(bench.sample(order))
        bench.tick()
    assert times(bench, "charge_status") == ["08:02:17", "08:05:00", "08:10:00", "08:15:00"]
    pushed = [body["PushTimeStamp"][11:] for body in bodies(fake, "charge_status")]
    assert pushed == ["08:02:17", "08:05:00", "08:10:00", "08:15:00"]
    assert fake.findings() == []


def test_the_clock_goes_on_across_midnight(bench: Bench) -> None:
    bench.regulator()
    bench.clock.set(china(bench.clock, "23:56"))
    order = bench.charging()
    for _ in range(10):
        bench.tell(bench.sample(order))
        bench.tick()
    assert times(bench, "charge_status") == ["23:56:00", "00:00:00", "00:05:00"]
    assert times(bench, "realtime_power") == ["00:00:00"]


def test_a_sample_older_than_five_minutes_is_not_told(bench: Bench) -> None:
    bench.regulator()
    until(bench, "08:04")
    order = bench.charging()
    until(bench, "08:20")
    bench.tell(bench.sample(order))
    bench.tick()
    until(bench, "08:26")
    assert times(bench, "charge_status") == ["08:04:00", "08:05:00", "08:25:00"]


def test_a_missed_period_is_not_replayed(bench: Bench) -> None:
    bench.regulator()
    bench.settle_in()
    order = bench.charging()
    bench.clock.set(china(bench.clock, "08:48"))
    bench.tell(bench.sample(order))
    bench.tick()
    assert times(bench, "charge_status") == ["08:00:15"]
    assert times(bench, "realtime_power") == []
    until(bench, "09:00")
    assert times(bench, "realtime_power") == ["09:00:00"]


def test_looking_twice_plans_once_also_after_a_restart(bench: Bench, db: Database, manual_clock: ManualClock) -> None:
    bench.regulator()
    bench.charging()
    until(bench, "08:05")
    bench.jobs["regulator_periods"](manual_clock.now())
    assert PeriodSweep(db, manual_clock).run(manual_clock.now()) == 0
    bench.pump()
    assert times(bench, "charge_status") == ["08:00:00", "08:05:00"]


def test_power_tells_all_stations_and_idle_connectors_with_0(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    order = bench.charging()
    until(bench, "08:14")
    bench.tell(bench.sample(order))
    until(bench, "08:15")
    body = bodies(fake, "realtime_power")[-1]
    (station,) = body["SupStationPowerInfos"]
    (equipment,) = station["EquipmentPowerInfos"]
    assert [row["ConnectorRealTimePower"] for row in equipment["ConnectorPowerInfos"]] == [Decimal("39.5353"), 0]
    assert station["StationRealTimePower"] == equipment["EquipRealTimePower"] == Decimal("39.5353")
    assert {station["DataTime"], equipment["DataTime"]} == {"2026-03-02 08:15:00"}
    assert fake.findings("violation") == []


def test_a_connector_whose_reading_is_old_draws_nothing(bench: Bench) -> None:
    fake = bench.regulator()
    bench.charging()
    until(bench, "08:15")
    (station,) = bodies(fake, "realtime_power")[-1]["SupStationPowerInfos"]
    assert station["StationRealTimePower"] == 0


def test_only_the_newest_power_is_worth_telling(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    fake.faults.replace([{"kind": "close", "interface": fake.names["realtime_power"], "times": None}])
    until(bench, "08:31")
    assert [row.state for row in bench.deliveries("realtime_power")] == ["dead", "dead", "waiting"]
    bench.jobs["regulator_periods"](bench.clock.now() + timedelta(minutes=14))
    assert [row.state for row in bench.deliveries("realtime_power")] == ["dead", "dead", "superseded", "waiting"]


def test_each_tenant_is_told_of_its_own(bench: Bench) -> None:
    seed_operator(bench.db, bench.clock.now(), tenant_id="blue", number=2)
    fake = bench.regulator()
    bench.settle_in()
    until(bench, "08:15")
    (station,) = bodies(fake, "realtime_power")[-1]["SupStationPowerInfos"]
    assert [equipment["EquipmentID"] for equipment in station["EquipmentPowerInfos"]] == [bench.seeded.pile_code]


# -- the hourly look for news


def look(bench: Bench) -> None:
    bench.jobs["regulator_news"](bench.clock.now())
    bench.settle_in()


def test_nothing_new_plans_nothing(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    fake.reset()
    bench.clock.advance(timedelta(hours=1))
    look(bench)
    assert fake.received() == []
    assert len(bench.deliveries("station_info")) == 1


def test_a_tariff_that_came_into_force_is_news(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    tomorrow = bench.clock.now() + timedelta(hours=2)
    with bench.db.session(bench.seeded.tenant_id) as session:
        tariff = session.scalars(select(Tariff)).one()
        dearer = [period | {"elec_price": Decimal(str(period["elec_price"])) + 1} for period in PERIODS]
        session.add(
            TariffVersion(
                id=new_id(), tariff_id=tariff.id, number=2, model_number="0002", valid_from=tomorrow, periods=dearer,
                created_at=bench.clock.now(),
            )
        )  # fmt: skip
    look(bench)
    assert len(bodies(fake, "station_info")) == 1
    bench.clock.set(tomorrow + timedelta(hours=1))
    look(bench)
    look(bench)
    prices = [body["PolicyInfos"][0]["ElecFee"] for body in bodies(fake, "station_info")]
    assert prices == [Decimal("0.3000"), Decimal("1.3000")]


def test_a_connector_that_was_added_is_told(bench: Bench) -> None:
    fake = bench.regulator()
    bench.settle_in()
    with bench.db.session(bench.seeded.tenant_id) as session:
        pile = session.scalars(select(Pile)).one()
        session.add(
            Connector(
                id=new_id(), code=f"{pile.code}03", pile_id=pile.id, number=3, kind="dc_plug", voltage_upper_v=750,
                voltage_lower_v=200, current_a=250, power_kw=Decimal(120),
            )
        )  # fmt: skip
    look(bench)
    told = bodies(fake, "connector_status")
    assert [(body["ConnectorID"][-1], body["Status"]) for body in told] == [("1", 2), ("2", 2), ("3", 0)]
    assert len(bodies(fake, "station_info")[-1]["EquipmentInfos"][0]["ConnectorInfos"]) == 3


def test_what_was_refused_is_not_told_again_as_it_is(bench: Bench) -> None:
    fake = bench.regulator()
    fake.faults.replace([{"kind": "ret", "interface": fake.names["station_info"], "value": 4004}])
    bench.pump()
    assert bench.delivery("station_info").state == "dead"
    bench.clock.advance(timedelta(hours=1))
    look(bench)
    assert bench.delivery("station_info").state == "dead"
