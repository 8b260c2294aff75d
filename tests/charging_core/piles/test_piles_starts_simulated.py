"""Cards, VINs, parallel and off-line charges with the simulated pile, which shares no code with the server (DECISIONS 31)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal

import pytest

from charging_core.clock import ScaledClock
from charging_core.db import Database
from charging_core.members.catalog import CardSpec
from charging_core.orders.starts.groups import sweep_groups
from charging_core.piles.store.cards import CardDesk
from charging_core.piles.store.device import Asked
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import Periods, PileSettings
from tests.charging_core.members.members_support import (
    NUMBER,
    PHYSICAL,
    PIN,
    SECOND,
    SECOND_PHYSICAL,
    VIN,
    account,
    enrol,
)
from tests.charging_core.piles.starts_support import Yard, yard_of
from tests.conftest import BASE_TIME

RATE = 120
"""Ten minutes take 5 s."""
PERIODS = Periods(real_reconnect_s=(0.1, 0.2))
CARDS = (CardSpec(NUMBER, PHYSICAL, offline=True), CardSpec(SECOND, SECOND_PHYSICAL, pin=PIN))


@pytest.fixture
def yard(db: Database) -> Iterator[Yard]:
    with yard_of(db, ScaledClock(BASE_TIME, RATE)) as yard:
        enrol(yard.db, yard.clock, yard.tenant, cards=CARDS)
        yield yard


async def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.02)


def played(yard: Yard, story: Callable[[SimulatedPile], Awaitable[None]]) -> None:
    """The story with a pile that is logged in, has its tariff, and a car at both connectors."""
    settings = PileSettings.model_validate({"code": yard.code, "connectors": 2, "periods": PERIODS})

    async def whole() -> None:
        pile = SimulatedPile(settings, yard.clock)
        try:
            await pile.start("127.0.0.1", yard.port)
            await pile.wait_logged_in()
            await until(lambda: pile.model is not None, "the tariff reaches the pile")
            pile.plug(1, vin=VIN, soc=20)
            pile.plug(2, soc=20)
            await story(pile)
        finally:
            await pile.stop()

    asyncio.run(whole())


def states(yard: Yard) -> list[str]:
    return [order.state for order in yard.orders()]


def counted(yard: Yard) -> Decimal:
    """kWh that the first order's samples told of."""
    orders = yard.orders()
    return Decimal((orders[0].sample or {}).get("energy_kwh", 0)) if orders else Decimal(0)


def taken(yard: Yard) -> Decimal:
    """What the account paid, which is what the bills say."""
    balance, _ = account(yard.db, yard.tenant)
    paid = 100 - balance
    assert paid == sum(order.total_fee or 0 for order in yard.orders())
    return paid


def test_a_card_with_its_pin_begins_and_ends_a_charge(yard: Yard) -> None:
    async def story(pile: SimulatedPile) -> None:
        pile.present_card(1, SECOND_PHYSICAL, "000000")
        await until(lambda: pile.starts.refusals == [7], "the wrong PIN is refused")
        pile.present_card(1, SECOND_PHYSICAL, PIN)
        await until(lambda: counted(yard) > 1, "charging")
        pile.present_card(1, SECOND_PHYSICAL)
        await until(lambda: states(yard) == ["settled"], "the bill")

    played(yard, story)
    order = yard.orders()[0]
    assert (order.card, order.review, taken(yard) > 0) == (SECOND, None, True)


def test_a_vehicle_is_known_by_its_vin(yard: Yard) -> None:
    async def story(pile: SimulatedPile) -> None:
        pile.present_vin(1)
        await until(lambda: states(yard) == ["charging"], "charging")
        pile.unplug(1)
        await until(lambda: states(yard) == ["settled"], "the bill")

    played(yard, story)
    assert (yard.orders()[0].vin, yard.orders()[0].stop_reason) == (VIN, "unplugged")
    taken(yard)


def test_a_parallel_charge_ends_as_one(yard: Yard) -> None:
    async def story(pile: SimulatedPile) -> None:
        pile.present_parallel([1, 2], PHYSICAL)
        await until(lambda: states(yard) == ["charging"] * 2, "both charge")
        assert len({order.group_id for order in yard.orders()}) == 1
        pile.press_stop(2)
        await until(lambda: states(yard)[1] == "settled", "the bill of the one")
        assert sweep_groups(yard.db, yard.context) == 1
        await until(lambda: states(yard) == ["settled"] * 2, "the bill of the other")

    played(yard, story)
    taken(yard)


def test_a_charge_without_a_link_is_paid_by_the_card_of_the_list(yard: Yard) -> None:
    async def story(pile: SimulatedPile) -> None:
        with yard.db.session(yard.tenant) as session:
            CardDesk(yard.clock, yard.wakes).sync(session, yard.code, Asked("cli:li"))
        await until(lambda: pile.equipment.cards == {PHYSICAL: NUMBER}, "the card is on the list")
        pile.lose_link(120)
        await until(lambda: not pile.online, "the link is gone")
        pile.present_card(1, PHYSICAL)
        await until(lambda: Decimal(pile.state()["connectors"][0].get("energy_kwh") or 0) > 1, "charging off-line")
        pile.press_stop(1)
        await until(lambda: states(yard) == ["settled"], "the bill")
        await until(lambda: not pile.records.unconfirmed, "the acknowledgement")

    played(yard, story)
    order = yard.orders()[0]
    assert (order.card, order.link_id, taken(yard) > 0) == (NUMBER, None, True)
