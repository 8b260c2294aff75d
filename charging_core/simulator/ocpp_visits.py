"""Drivers at simulated OCPP piles, beside a scenario: plug in, show a card, charge a while, leave; again until nobody comes any more."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from charging_core.clock import Clock
from charging_core.simulator.charge import Vehicle
from charging_core.simulator.ocpp_parts import OcppSettings
from charging_core.simulator.ocpp_pile import OcppPile
from charging_core.simulator.steps import card_of

_FIRST = 32_029_900_000_001
"""Codes of OCPP piles are counted up from here: far from those of the built-in scenarios."""
_POWER_KW = Decimal(60)
# seconds of the clock: before a car comes, before its driver has found the card, a charge, before the car leaves
_ARRIVES, _SHOWS, _CHARGES, _LEAVES = (5, 120), (3, 20), (60, 600), (3, 30)


class OcppVisits:
    """`count` piles with one connector each. Use inside a running event loop: `start`, `live`, `stop`."""

    def __init__(self, count: int, clock: Clock, seed: int) -> None:
        self.piles = [OcppPile(OcppSettings(code, power_kw=_POWER_KW), clock) for code in ocpp_codes(count)]
        self.begun = 0
        self._clock = clock
        self._seed = seed

    async def start(self, url: str) -> None:
        """Connect all; returns when the platform has accepted every boot."""
        for pile in self.piles:
            pile.start(url)
        await asyncio.gather(*(pile.wait_booted() for pile in self.piles))

    async def live(self, closing: asyncio.Event) -> None:
        """Until `closing`: whoever charges then stops and leaves."""
        await asyncio.gather(*(self._drivers(pile, closing) for pile in self.piles))

    async def stop(self) -> None:
        """Disconnect all."""
        await asyncio.gather(*(pile.stop() for pile in self.piles))

    @property
    def waiting(self) -> int:
        """Messages about charges that the platform has not confirmed."""
        return sum(pile.queued for pile in self.piles)

    async def _drivers(self, pile: OcppPile, closing: asyncio.Event) -> None:
        random = Random(f"{self._seed}/{pile.settings.identity}")  # noqa: S311 - the same story again, not a secret
        while not closing.is_set():
            await self._pause(random, _ARRIVES, closing)
            pile.plug(1, Vehicle(soc=random.randint(10, 60), power_kw=_POWER_KW))
            await self._pause(random, _SHOWS, closing)
            if pile.connector(1).charge is None:
                pile.present_card(1, card_of(pile.settings.identity, 1))
            self.begun += 1
            await self._pause(random, _CHARGES, closing)
            pile.press_stop(1)
            await self._pause(random, _LEAVES, closing)
            pile.unplug(1)

    async def _pause(self, random: Random, span: tuple[float, float], closing: asyncio.Event) -> None:
        """Somewhere in the span, on the clock; at once when it closes."""
        try:
            await asyncio.wait_for(closing.wait(), self._clock.real_seconds(random.uniform(*span)))
        except TimeoutError:
            return


def ocpp_codes(count: int) -> Iterator[str]:
    """The identities of the OCPP piles."""
    return (str(_FIRST + number) for number in range(count))
