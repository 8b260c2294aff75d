"""The soak itself: customers at every connector, each charge with a random fault and a random end, until so many were started."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random

from sqlalchemy import func, select

from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OPEN_STATES
from charging_core.simulator.connector import Connector
from charging_core.simulator.faults import Faults
from charging_core.simulator.host import Phase
from charging_core.simulator.messages import Condition
from charging_core.simulator.pile import SimulatedPile
from tests.charging_core.soak.soak_troubles import ENDINGS, NOT_OFFLINE, RECONNECTING, SWITCHES, WAYS, pick
from tests.charging_core.soak.soak_yard import SoakYard, shown_at

_LOOK_EVERY_S = 10
_START_TRIES = 200
_STAFF_AFTER = 60
"""Ten minutes of refusals: longer than any record takes, so one was lost for good."""
_CHARGING_WITHIN_S = 150
_ANSWER_WITHIN_S = 60
_STOPS_WITHIN_S = 3600
"""A charge over a few yuan takes minutes at a DC pile, half an hour at an AC one."""
_END_WITHIN_S = 4 * 3600
_PLUGS_LATE = 0.15
"""Share of the app's customers who start first and plug in within the minute."""
_LAST_RECORDS = 600
"""Steps for what is late when nobody charges any more: more than the longest resend (30 s x 3 + 5 min)."""
_CLOCK_OFF = timedelta(hours=5)


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to one charge."""

    trouble: str
    way: str
    ending: str

    def __str__(self) -> str:
        """For a failure's text."""
        return f"{self.way}, {self.trouble}, {self.ending}"


@dataclass
class SoakRun:
    """Plays `charges` charges in a yard, and counts what they went through."""

    yard: SoakYard
    charges: int
    stories: dict[str, Story] = field(default_factory=dict)
    """By trade number."""
    closed_by_staff: int = 0
    progress: Callable[[int], None] = lambda _begun: None
    """Told after each step how many charges were begun."""
    refused: int = 0
    """Starts that had to be tried again: the hub had not seen everything of the last charge yet."""

    @property
    def random(self) -> Random:
        """One for everything: the same seed plays the same troubles, if not in the same interleaving."""
        return self.yard.random

    def counted(self, part: str) -> Counter[str]:
        """How often each trouble, way or ending was gone through."""
        return Counter(str(getattr(story, part)) for story in self.stories.values())

    async def play(self) -> None:
        """All charges, to the last record."""
        await self.yard.open()
        try:
            customers = [
                asyncio.ensure_future(Customer(self, pile, connector).come_again())
                for pile in self.yard.piles
                for connector in pile.connectors.values()
            ]
            everybody = asyncio.gather(*customers)
            while not everybody.done():
                await self.yard.step()
                self.progress(len(self.stories))
            await everybody
            await self._wind_up()
        finally:
            await self.yard.close()

    def open_orders(self) -> int:
        """Orders that are not at an end, by the hub's own table."""
        with self.yard.db.read(self.yard.seeded.tenant_id) as session:
            query = select(func.count()).select_from(ChargeOrder).where(ChargeOrder.state.in_(OPEN_STATES))
            return session.scalars(query).one()

    async def _wind_up(self) -> None:
        """Nobody charges any more: what is late comes, what is missing is given up."""
        for pile in self.yard.piles:
            pile.faults = Faults()
        for _ in range(_LAST_RECORDS):
            await self.yard.step()
            if not self.open_orders() and not any(pile.records.unconfirmed for pile in self.yard.piles):
                return


class Customer:
    """Comes to one connector again and again."""

    def __init__(self, run: SoakRun, pile: SimulatedPile, connector: Connector) -> None:
        self._run, self._pile, self._connector = run, pile, connector
        self._yard, self._random = run.yard, run.random
        self._card, _, self._vin = shown_at(pile.settings.code, connector.number)

    async def come_again(self) -> None:
        """Until enough charges were begun by all customers together."""
        await self._yard.pause(self._random.randrange(30))
        while len(self._run.stories) < self._run.charges:
            story = await self._prepare()
            late = story.way == "app" and self._random.random() < _PLUGS_LATE
            if not late:
                self._plug(story)
            trade = await self._start(story)
            if trade is not None:
                self._run.stories[trade] = story
                if late:
                    await self._yard.pause(self._random.randrange(10, 50))
                    self._plug(story)
                await self._charge(trade, story)
            await self._leave()

    async def _prepare(self) -> Story:
        """A trouble for the next charge; with a neighbour charging at the same pile, the one that is on already."""
        pile = self._pile
        await self._until(lambda: pile.online, _END_WITHIN_S)
        way, ending = self._random.choice(WAYS), self._random.choice(ENDINGS)
        if any(other.phase is not Phase.FREE for other in pile.connectors.values()):
            return Story("neighbour's", "app" if way == "off-line card" else way, ending)
        trouble = pick(self._random)
        if way == "off-line card" and trouble in NOT_OFFLINE:
            way = "app"
        pile.faults = Faults(**SWITCHES[trouble])
        if trouble == "deaf clock":
            pile.device.offset = self._random.choice((_CLOCK_OFF, -_CLOCK_OFF))
        if trouble in RECONNECTING:
            pile.lose_link(1)
            await self._yard.pause(_LOOK_EVERY_S)
            await self._until(lambda: pile.online, _END_WITHIN_S)
        return Story(trouble, way, ending)

    def _plug(self, story: Story) -> None:
        if self._connector.vehicle is not None:
            return
        nearly = story.ending == "full"
        battery, soc = (20, 98) if nearly else (self._random.randrange(30, 90), self._random.randrange(5, 60))
        self._pile.plug(self._connector.number, vin=self._vin, soc=soc, battery_kwh=Decimal(battery))

    # -- starts

    async def _start(self, story: Story) -> str | None:
        """The trade number; a start that is refused is tried again, for the hub may not know yet that the last charge is over."""
        connector = f"{self._pile.settings.code}{self._connector.number:02d}"
        for number in range(_START_TRIES):
            if number % _STAFF_AFTER == _STAFF_AFTER - 1:
                self._run.closed_by_staff += self._yard.close_given_up(connector)
            trade = await self._try(story)
            if trade is not None:
                return trade
            if len(self._run.stories) >= self._run.charges:
                return None
            self._run.refused += 1
            await self._yard.pause(_LOOK_EVERY_S)
        raise AssertionError(f"{self._pile.settings.code}: no start was ever accepted, {story}")

    async def _try(self, story: Story) -> str | None:
        connector, pile = self._connector, self._pile
        if story.way == "app":
            limit = Decimal(self._random.randrange(1, 4)) if story.ending == "balance" else None
            made = self._yard.start(f"{pile.settings.code}{connector.number:02d}", limit)
            return None if made is None else made[1]
        if story.way == "off-line card":
            pile.lose_link(self._random.randrange(60, 400))
        if pile.online != (story.way != "off-line card") or not connector.ready:
            return None
        before = connector.last_trade_number
        if story.way == "vin":
            pile.present_vin(connector.number)
        else:
            pile.present_card(connector.number, self._card)
        await self._until(lambda: connector.trade_number or connector.last_trade_number != before, _ANSWER_WITHIN_S)
        failed_at_once = connector.last_trade_number if connector.last_trade_number != before else None
        return connector.trade_number or failed_at_once

    # -- ends

    async def _charge(self, trade: str, story: Story) -> None:
        connector = self._connector
        began = await self._until(lambda: connector.phase is Phase.CHARGING, _CHARGING_WITHIN_S)
        if not began:
            return
        by_itself = story.ending == "balance" and story.way == "app"
        if not by_itself and (story.ending != "full" or self._pile.settings.type == "ac"):
            await self._yard.pause(self._random.randrange(20, 130))
            if connector.trade_number == trade:
                self._end(trade, story)
        await self._until(lambda: connector.trade_number != trade, _STOPS_WITHIN_S)
        if connector.trade_number == trade:  # a stop that nobody could hear
            connector.press_stop()

    def _end(self, trade: str, story: Story) -> None:
        connector = self._connector
        match story.ending:
            case "stop" | "twice stopped":
                order_id = self._yard.order_of(trade)
                for _ in range(1 + (story.ending == "twice stopped")):
                    if order_id is not None:
                        self._yard.stop(order_id)
            case "emergency":
                connector.set_condition(Condition.EMERGENCY)
            case "module":
                connector.set_condition(Condition.MODULE_FAULT)
            case "power cut":
                self._pile.cut_power(self._random.randrange(20, 200))
            case "unplug" | "full":  # an AC pile knows no SOC: its driver comes back
                connector.unplug()
            case _ if story.way.endswith("card"):
                self._pile.present_card(connector.number, self._card)
            case _:
                connector.press_stop()

    async def _leave(self) -> None:
        connector = self._connector
        await self._until(lambda: connector.phase is Phase.FREE, _END_WITHIN_S)
        if connector.condition is not Condition.NORMAL:
            connector.set_condition(Condition.NORMAL)
        if connector.vehicle is not None:
            connector.unplug()
        await self._yard.pause(self._random.randrange(5, 20))

    async def _until(self, true: Callable[[], object], within_s: int) -> bool:
        for _ in range(within_s // _LOOK_EVERY_S):
            if true():
                return True
            await self._yard.pause(_LOOK_EVERY_S)
        return bool(true())
