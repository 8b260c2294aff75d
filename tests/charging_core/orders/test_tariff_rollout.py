"""A changed tariff reaches connected piles without a new log-in, and running orders keep theirs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.piles.model import PileCommand
from charging_core.piles.store.commands import TableCommands
from charging_core.piles.store.directory import TableTariffSource
from charging_core.piles.store.tariff_sweep import sweep_tariffs
from charging_core.stations.model import Pile
from charging_core.tariffs.model import TariffVersion
from tests.support.seed import PERIODS, Seeded, Wakes, seed_operator


def _new_version(db: Database, clock: ManualClock, seeded: Seeded) -> str:
    with db.session(seeded.tenant_id) as session:
        first = session.scalars(select(TariffVersion)).one()
        dearer = [{**row, "elec_price": row["elec_price"] + Decimal("0.1")} for row in PERIODS]  # type: ignore[operator]
        version = TariffVersion(
            id=new_id(), tariff_id=first.tariff_id, number=2, model_number="0002",
            valid_from=clock.now() + timedelta(hours=1), periods=dearer, created_at=clock.now(),
        )  # fmt: skip
        session.add(version)
        return version.id


def test_a_pile_that_runs_an_old_version_is_told_once_it_is_valid(db: Database, manual_clock: ManualClock) -> None:
    seeded = seed_operator(db, manual_clock.now())
    wakes = Wakes()
    commands = TableCommands(manual_clock, wakes)
    version_id = _new_version(db, manual_clock, seeded)
    assert sweep_tariffs(db, manual_clock, commands) == 0
    manual_clock.advance(timedelta(hours=1))
    assert sweep_tariffs(db, manual_clock, commands) == 1
    assert sweep_tariffs(db, manual_clock, commands) == 0
    assert wakes.piles == [seeded.pile_code]
    with db.read(seeded.tenant_id) as session:
        assert session.scalars(select(PileCommand.kind)).all() == ["push_tariff"]
    source = TableTariffSource(db, manual_clock)
    told = source.for_pile(seeded.pile_code)
    assert told is not None
    source.confirmed(seeded.pile_code, told.model_number)
    with db.read(seeded.tenant_id) as session:
        assert session.scalars(select(Pile.confirmed_tariff_version_id)).one() == version_id
    manual_clock.advance(timedelta(hours=1))
    assert sweep_tariffs(db, manual_clock, commands) == 0


def test_a_pile_that_did_not_take_it_is_told_again_later(db: Database, manual_clock: ManualClock) -> None:
    seeded = seed_operator(db, manual_clock.now())
    commands = TableCommands(manual_clock, Wakes())
    _new_version(db, manual_clock, seeded)
    manual_clock.advance(timedelta(hours=1))
    sweep_tariffs(db, manual_clock, commands)
    with db.system("test") as session:
        for command in session.scalars(select(PileCommand)):
            command.state = "failed"
    manual_clock.advance(timedelta(minutes=11))
    assert sweep_tariffs(db, manual_clock, commands) == 1
