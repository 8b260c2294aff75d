"""The pile server's ports on the database: who may log in, who is listed, which tariff is pushed to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, update

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.monitoring.alarm import Alarm
from charging_core.piles.events import ConnectorSample, ConnectorStatus, PileCurrent, PileLogin, TariffVerified
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandKind
from charging_core.piles.store import refused
from charging_core.piles.store.commands import TableCommands
from charging_core.piles.store.directory import TablePileDirectory, TableTariffSource
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.piles.store.tariff_sweep import sweep_tariffs
from charging_core.stations.model import Pile, RefusedLogin, Station
from charging_core.tariffs.model import Tariff, TariffVersion
from tests.support.seed import PERIODS, Seeded, Wakes, order_context, seed_operator


class Yard:
    """A seeded operator and the ports."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.db, self.clock = db, clock
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.directory = TablePileDirectory(db, clock)
        self.tariffs = TableTariffSource(db, clock)
        self.commands = TableCommands(clock, Wakes())
        context, _ = order_context(clock)
        self.sink = TablePileEventSink(db, context)

    def login(self, code: str | None = None, address: str = "10.0.0.1:4000", **more: object) -> PileLogin:
        login = PileLogin(
            code or self.seeded.pile_code, new_id(), "ykc", "1.6", "V2.3.1", PileCurrent.DC, 2, None, address, self.clock.now()
        )  # fmt: skip
        return replace(login, **more)  # type: ignore[arg-type]

    def pile(self) -> Pile:
        with self.db.read(self.seeded.tenant_id) as session:
            return session.scalars(select(Pile)).one()

    def publish(self, **more: object) -> str:
        """A second version of the tariff, valid now."""
        with self.db.session(self.seeded.tenant_id) as session:
            version = TariffVersion(
                id=new_id(), tariff_id=session.scalars(select(Tariff.id)).one(), number=2, model_number="0002",
                valid_from=self.clock.now(), periods=PERIODS, created_at=self.clock.now(),
            )  # fmt: skip
            for name, value in more.items():
                setattr(version, name, value)
            session.add(version)
            return version.id

    def sweep(self) -> int:
        return sweep_tariffs(self.db, self.clock, self.commands)

    def refused(self) -> int:
        with self.db.read_system("test") as session:
            return session.scalar(select(func.count()).select_from(RefusedLogin)) or 0


@pytest.fixture
def yard(db: Database, manual_clock: ManualClock) -> Yard:
    return Yard(db, manual_clock)


def test_a_pile_logs_in_even_when_its_tariff_cannot_be_told(yard: Yard) -> None:
    two_pairs = [PERIODS[1], {**PERIODS[1], "start": "08:00", "elec_price": Decimal("0.9")}]
    yard.publish(periods=[{**two_pairs[0], "start": "00:00"}, two_pairs[1]])
    decision = yard.directory.login(yard.login())
    assert (decision.accepted, decision.tariff) == (True, None)
    assert yard.tariffs.for_pile(yard.seeded.pile_code) is None


@pytest.mark.parametrize("what", [Pile, Station])
def test_a_disabled_pile_and_one_of_a_disabled_station_are_refused(
    yard: Yard, what: type[Pile] | type[Station]
) -> None:
    with yard.db.session(yard.seeded.tenant_id) as session:
        session.execute(update(what).values(enabled=False))
    decision = yard.directory.login(yard.login())
    assert (decision.accepted, decision.reason) == (False, "disabled")
    assert yard.refused() == 1


def test_a_refused_pile_is_listed_once_per_address_whatever_its_port(yard: Yard) -> None:
    for port in (4000, 4001, 4002):
        assert not yard.directory.login(yard.login("99999999999999", f"10.0.0.1:{port}")).accepted
    with yard.db.read_system("test") as session:
        row = session.scalars(select(RefusedLogin)).one()
    assert (row.count, row.address, row.reason, row.firmware) == (3, "10.0.0.1", "unknown", "V2.3.1")


def test_the_list_of_refused_piles_ends(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused, "PER_ADDRESS", 3)
    monkeypatch.setattr(refused, "IN_ALL", 5)
    with yard.db.system("test") as session:
        session.execute(update(Pile).values(enabled=False))
    yard.directory.login(yard.login(address="10.9.9.9:1"))
    for number in range(10):
        yard.clock.advance(timedelta(seconds=1))
        yard.directory.login(yard.login(f"9999999999{number:04d}"))
    assert yard.refused() == 1 + 3
    for number in range(10):
        yard.clock.advance(timedelta(seconds=1))
        yard.directory.login(yard.login("88888888888888", f"10.0.1.{number}:1"))
    assert yard.refused() == 1 + 5
    with yard.db.read_system("test") as session:
        kept = session.scalars(select(RefusedLogin.address).order_by(RefusedLogin.last_at)).all()
    assert (kept[0], kept[-1]) == ("10.9.9.9", "10.0.1.9")


def test_an_unknown_connector_or_pile_changes_nothing_and_costs_nobody_the_batch(yard: Yard) -> None:
    known = ConnectorSample(
        yard.seeded.pile_code, 1, None, ConnectorStatus.FAULT, True, None, None, None, None, None, None, None, None, (),
        yard.clock.now(),
    )  # fmt: skip
    yard.sink.handle([replace(known, connector_no=99), replace(known, pile_code="99999999999999"), known])
    with yard.db.read(yard.seeded.tenant_id) as session:
        states = {connector.code: connector.state for connector in session.scalars(select(Pile)).one().connectors}
    assert states == {yard.seeded.connectors[0]: "fault", yard.seeded.connectors[1]: "plugged"}


def test_a_pile_without_a_model_is_no_mismatch_but_another_model_is(yard: Yard) -> None:
    def alarms() -> int:
        with yard.db.read(yard.seeded.tenant_id) as session:
            return session.scalar(select(func.count()).where(Alarm.cleared_at.is_(None))) or 0

    code, now = yard.seeded.pile_code, yard.clock.now()
    yard.sink.handle([TariffVerified(code, None, False, now)])
    assert alarms() == 0
    yard.sink.handle([TariffVerified(code, "0009", False, now), TariffVerified(code, "0009", False, now)])
    assert alarms() == 1
    yard.sink.handle([TariffVerified(code, "0001", True, now)])
    assert alarms() == 0


def test_a_new_tariff_is_pushed_once_and_again_only_after_a_while(yard: Yard) -> None:
    assert yard.sweep() == 0
    version = yard.publish()
    assert (yard.sweep(), yard.sweep()) == (1, 0)
    yard.clock.advance(timedelta(minutes=11))
    assert yard.sweep() == 1
    yard.tariffs.confirmed(yard.seeded.pile_code, "0002")
    assert yard.pile().confirmed_tariff_version_id == version
    yard.clock.advance(timedelta(minutes=11))
    assert yard.sweep() == 0
    with yard.db.read(yard.seeded.tenant_id) as session:
        assert set(session.scalars(select(PileCommand.kind))) == {CommandKind.PUSH_TARIFF}


def test_a_pile_that_never_confirmed_is_pushed_to_when_it_had_time_to_ask(yard: Yard) -> None:
    with yard.db.system("test") as session:
        session.execute(update(Pile).values(confirmed_tariff_version_id=None))
    yard.directory.login(yard.login())
    assert yard.sweep() == 0
    yard.clock.advance(timedelta(minutes=11))
    assert yard.sweep() == 1
