"""Weekends and holidays reach piles as versions at midnight; running orders keep the day they began with."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import CHINA, ManualClock, china_text
from charging_core.db import Database
from charging_core.errors import InvalidInput
from charging_core.events import DomainEvent
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import StartRequest, start_order
from charging_core.piles.store.commands import TableCommands
from charging_core.piles.store.directory import TableTariffSource
from charging_core.piles.store.tariff_sweep import sweep_tariffs
from charging_core.stations.model import Pile
from charging_core.tariffs.calendar import Calendar, DayRule
from charging_core.tariffs.catalog import TariffSpec, save_tariff
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.schedule import follow_calendars
from charging_core.tariffs.service import current_version
from charging_core.tariffs.terms import Terms
from tests.support.seed import PERIODS, Seeded, Wakes, order_context, seed_operator

WEEKEND = DayPeriods.from_rows(
    [{"start": "00:00", "class": "valley", "elec_price": Decimal("0.2"), "service_price": Decimal("0.1")}]
)
HOLIDAY = DayPeriods.from_rows(
    [{"start": "00:00", "class": "flat", "elec_price": Decimal("0.1"), "service_price": Decimal("0.1")}]
)
RULES = [
    DayRule.from_row({"day": "holiday", "dates": ["2026-03-06"]}),
    DayRule.from_row({"day": "weekend", "weekdays": ["sat", "sun"]}),
]
MIDNIGHT = timedelta(hours=16)
"""From the clock's Monday 08:00 to the next midnight."""


def spec(valid_from: datetime | None = None, terms: Terms | None = None, dearer: str = "0") -> TariffSpec:
    rows = [{**row, "elec_price": row["elec_price"] + Decimal(dearer)} for row in PERIODS]  # type: ignore[operator]
    calendar = Calendar({"weekend": WEEKEND, "holiday": HOLIDAY}, RULES)
    return TariffSpec("day", "日间", DayPeriods.from_rows(rows), valid_from, calendar, terms or Terms())


def save(db: Database, clock: ManualClock, wanted: TariffSpec) -> int:
    with db.session("green") as session:
        return len(save_tariff(session, clock, wanted))


def held(db: Database, clock: ManualClock) -> TariffVersion:
    with db.read("green") as session:
        tariff = session.scalars(select(Tariff)).one()
        return current_version(session, tariff.id, clock.now())


@pytest.fixture
def seeded(db: Database, manual_clock: ManualClock) -> Seeded:
    return seed_operator(db, manual_clock.now())


def test_each_midnight_has_the_version_of_its_day(db: Database, manual_clock: ManualClock, seeded: Seeded) -> None:
    assert save(db, manual_clock, spec()) == 1
    assert save(db, manual_clock, spec()) == 0
    days = []
    manual_clock.advance(MIDNIGHT)
    for _day in range(7):  # Tuesday to Monday; the scheduler looks once a day
        follow_calendars(db, manual_clock)
        version = held(db, manual_clock)
        days.append((version.day, version.model_number, china_text(version.valid_from)[:10]))
        manual_clock.advance(timedelta(days=1))
    assert [day for day, _, _ in days] == ["base", "base", "base", "holiday", "weekend", "weekend", "base"]
    assert [since for _, _, since in days[3:]] == ["2026-03-06", "2026-03-07", "2026-03-07", "2026-03-09"]
    assert days[0][1] == days[6][1], "the same prices are the same model for a pile"
    assert len({number for _, number, _ in days}) == 3
    assert save(db, manual_clock, spec()) == 0, "days that were written since are no change of the declaration"
    with db.read("green") as session:
        told = session.scalars(
            select(DomainEvent).where(DomainEvent.type == "tariff.published").order_by(DomainEvent.version)
        ).all()
        assert [event.version for event in told] == list(range(2, 2 + len(told)))
        assert all(event.snapshot["periods"] for event in told)


def test_a_scheduler_that_stood_still_catches_up_to_today(
    db: Database, manual_clock: ManualClock, seeded: Seeded
) -> None:
    save(db, manual_clock, spec())
    manual_clock.advance(MIDNIGHT + timedelta(days=39))  # Saturday, 11 April
    before = held(db, manual_clock).number
    assert follow_calendars(db, manual_clock) == 2  # today, and Monday
    assert (held(db, manual_clock).day, held(db, manual_clock).number) == ("weekend", before + 1)
    assert follow_calendars(db, manual_clock) == 0


def test_a_pile_is_told_at_midnight_and_a_running_order_keeps_its_day(
    db: Database, manual_clock: ManualClock, seeded: Seeded
) -> None:
    save(db, manual_clock, spec())
    commands, source = TableCommands(manual_clock, Wakes()), TableTariffSource(db, manual_clock)
    confirm(source, seeded)
    manual_clock.set(datetime(2026, 3, 5, 23, 50, tzinfo=CHINA))
    follow_calendars(db, manual_clock)
    assert sweep_tariffs(db, manual_clock, commands) == 0
    order_id = started(db, manual_clock, seeded)
    manual_clock.advance(timedelta(minutes=11))
    assert sweep_tariffs(db, manual_clock, commands) == 1
    assert running_by(db, order_id) == "base"
    confirm(source, seeded)
    with db.read("green") as session:
        confirmed = session.scalars(select(Pile.confirmed_tariff_version_id)).one()
        assert session.get_one(TariffVersion, confirmed).day == "holiday"
    assert running_by(db, order_id) == "base"


def test_a_model_that_also_holds_later_confirms_the_version_of_now(
    db: Database, manual_clock: ManualClock, seeded: Seeded
) -> None:
    save(db, manual_clock, spec())
    manual_clock.set(datetime(2026, 3, 5, 12, tzinfo=CHINA))
    follow_calendars(db, manual_clock)
    now = held(db, manual_clock)
    manual_clock.set(datetime(2026, 3, 8, 12, tzinfo=CHINA))
    follow_calendars(db, manual_clock)  # Monday's version has the model number of the days before
    source = TableTariffSource(db, manual_clock)
    source.confirmed(seeded.pile_code, now.model_number)
    with db.read("green") as session:
        assert session.scalars(select(Pile.confirmed_tariff_version_id)).one() == now.id


def test_a_tariff_for_later_lets_the_present_one_follow_its_days_until_then(
    db: Database, manual_clock: ManualClock, seeded: Seeded
) -> None:
    save(db, manual_clock, spec())
    later = datetime(2026, 3, 16, tzinfo=CHINA)
    save(db, manual_clock, spec(later, dearer="0.5"))
    assert save(db, manual_clock, spec(later, dearer="0.5")) == 0
    seen = {}
    for day in (3, 6, 7, 9, 14, 16, 21):
        manual_clock.set(datetime(2026, 3, day, 12, tzinfo=CHINA))
        follow_calendars(db, manual_clock)
        version = held(db, manual_clock)
        seen[day] = (version.day, version.periods[0]["elec_price"])
    assert seen == {
        3: ("base", Decimal("0.3")), 6: ("holiday", Decimal("0.1")), 7: ("weekend", Decimal("0.2")),
        9: ("base", Decimal("0.3")), 14: ("weekend", Decimal("0.2")), 16: ("base", Decimal("0.8")),
        21: ("weekend", Decimal("0.2")),
    }  # fmt: skip


def test_the_loss_is_published_and_notice_has_a_limit(db: Database, manual_clock: ManualClock, seeded: Seeded) -> None:
    save(db, manual_clock, spec(terms=Terms(loss_percent=Decimal(10))))
    assert held(db, manual_clock).periods[0]["elec_price"] == Decimal("0.33")
    with pytest.raises(InvalidInput, match="400 days"):
        save(db, manual_clock, spec(manual_clock.now() + timedelta(days=401), dearer="1"))


def confirm(source: TableTariffSource, seeded: Seeded) -> None:
    told = source.for_pile(seeded.pile_code)
    assert told is not None
    source.confirmed(seeded.pile_code, told.model_number)


def started(db: Database, clock: ManualClock, seeded: Seeded) -> str:
    context, _wakes = order_context(clock)
    with db.session("green") as session:
        request = StartRequest(connector_code=seeded.connectors[0], origin=Origin.APP)
        order = start_order(session, context, request).order
        assert order is not None
        return order.id


def running_by(db: Database, order_id: str) -> str | None:
    with db.read("green") as session:
        order = session.get_one(ChargeOrder, order_id)
        return session.get_one(TariffVersion, order.tariff_version_id).day
