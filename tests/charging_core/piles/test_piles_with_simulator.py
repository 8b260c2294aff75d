"""The server and the simulated pile, which share no code, hold one whole charge together over real TCP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ScaledClock
from charging_core.piles.events import (
    ConnectorSample,
    ConnectorStatus,
    PileOffline,
    StartAnswered,
    StopAnswered,
    StopCategory,
    TradeRecord,
)
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import Periods, PileSettings
from tests.charging_core.piles.piles_support import PILE, START, TRADE, House, running

RATE = 60
PERIODS = Periods(real_reconnect_s=(0.1, 0.2))
HOUR = timedelta(hours=1)


async def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.01)


def charging(house: House) -> bool:
    return any(
        sample.status is ConnectorStatus.CHARGING and sample.trade_number == TRADE and (sample.energy_kwh or 0) > 1
        for sample in house.sink.of(ConnectorSample)
    )


async def charge(house: House, pile: SimulatedPile) -> None:
    """Log in, plug, start, charge, stop, until the record is acknowledged."""
    await pile.start("127.0.0.1", house.port)
    await pile.wait_logged_in()
    await until(lambda: pile.model is not None, "the tariff reaches the pile")
    pile.plug(1, vin="LTEST000000000017", soc=20)
    house.command(CommandKind.START, lasts=HOUR)
    await until(lambda: charging(house), "charging")
    house.command(CommandKind.STOP, "c2", lasts=HOUR)
    await until(lambda: bool(house.sink.of(TradeRecord)), "the record")
    await until(lambda: not pile.records.unconfirmed, "the acknowledgement")


@pytest.mark.parametrize("faults", [{}, {"reversed_crc": True}, {"split_writes": True}, {"glued_writes": True}])
def test_a_whole_charge(faults: dict[str, Any]) -> None:
    with running(clock=ScaledClock(START, RATE)) as house:
        settings = PileSettings.model_validate({"code": PILE, "periods": PERIODS, "faults": faults})

        async def story() -> None:
            pile = SimulatedPile(settings, house.clock)
            try:
                await charge(house, pile)
            finally:
                await pile.stop()

        asyncio.run(story())
        assert {house.commands.states[id_] for id_ in ("c1", "c2")} == {CommandState.ACKNOWLEDGED}
        assert [event.ok for event in house.sink.of(StartAnswered)] == [True]
        assert [event.trade_number for event in house.sink.of(StopAnswered)] == [TRADE]
        record = house.sink.of(TradeRecord)[0]
        assert (record.trade_number, record.stop_category, record.vin) == (
            TRADE,
            StopCategory.REMOTE,
            "LTEST000000000017",
        )
        assert record.complete
        assert sum((rate.energy_kwh for rate in record.rates), Decimal(0)) == record.total_energy_kwh
        assert record.total_energy_kwh is not None
        assert record.total_energy_kwh > 1


def test_a_charge_survives_the_loss_of_its_link() -> None:
    with running(clock=ScaledClock(START, RATE)) as house:
        faults = {"link_loss_after": 60, "link_loss_for": 30}
        settings = PileSettings.model_validate({"code": PILE, "periods": PERIODS, "faults": faults})

        async def story() -> None:
            pile = SimulatedPile(settings, house.clock)
            try:
                await pile.start("127.0.0.1", house.port)
                await pile.wait_logged_in()
                await until(lambda: pile.model is not None, "the tariff reaches the pile")
                pile.plug(1, soc=20)
                house.command(CommandKind.START, lasts=HOUR)
                await until(lambda: len(house.directory.logins) == 2, "the pile comes back")
                house.command(CommandKind.STOP, "c2", lasts=HOUR)
                await until(lambda: bool(house.sink.of(TradeRecord)), "the record")
            finally:
                await pile.stop()

        asyncio.run(story())
        assert len(house.sink.of(PileOffline)) >= 1
        assert {record.trade_number for record in house.sink.of(TradeRecord)} == {TRADE}
