"""Plays a scenario: brings the piles up, lets each connector live through its stories, and counts what happened to whom."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from random import Random

from charging_core.clock import Clock
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.connector import Connector
from charging_core.simulator.errors import ActionError
from charging_core.simulator.faults import Faults
from charging_core.simulator.framelog import FrameKeeper
from charging_core.simulator.host import Phase
from charging_core.simulator.measures import Meter
from charging_core.simulator.ocpp_visits import OcppVisits
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.scenario import PileGroup, Scenario, Span, Story
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.steps import ACTS, Visit, card_of

_DONE_LOOK_S = 0.05
"""Real seconds between two looks whether everything is over."""


class Seat:
    """One connector and the visits to it."""

    def __init__(self, play: "ScenarioPlay", pile: SimulatedPile, connector: Connector, kind: str) -> None:
        self.pile, self.connector = pile, connector
        self.changed = asyncio.Event()
        self._play = play
        self._kind = kind
        # a rehearsal wants the same story again, not a secret
        self.random = Random(f"{play.scenario.seed}/{pile.settings.code}/{connector.number}")  # noqa: S311

    async def live(self) -> None:
        """One story after the other, until nobody comes any more."""
        fitting = [story for story in self._play.scenario.stories if story.piles in (None, self._kind)]
        weights = [story.weight for story in fitting]
        while fitting and not self._play.closing.is_set():
            story = self.random.choices(fitting, weights)[0]
            self._play.stories[story.name] += 1
            await self._visit(story)

    async def _visit(self, story: Story) -> None:
        if all(one.phase is Phase.FREE for one in self.pile.connectors.values()):
            self._play.draw_faults(self)
        visit = Visit(self.pile, self.connector, self.random, self._play.scenario.vehicles, self.wait_for, self.pause)
        for step in story.steps:
            if step.probability < 1 and self.random.random() >= step.probability:
                continue
            name = step.named()[0]
            if name == "wait" and self._play.closing.is_set():
                break
            try:
                if not await ACTS[name](visit, step):
                    self._play.given_up[name] += 1
                    break
            except ActionError:
                self._play.impossible[name] += 1
        await self._clear()

    async def _clear(self) -> None:
        """Whatever the story left behind: the next visitor finds a free connector that is well."""
        if self.connector.phase in (Phase.CHARGING, Phase.STARTING):
            self.connector.press_stop()
        if self.connector.vehicle is not None:
            self.connector.unplug()
        await self.pause((1, 5))

    async def wait_for(self, true: Callable[[], object], seconds: float) -> bool:
        """Until it holds (looked at whenever something happened here), but not longer than `seconds` of the clock."""
        over: list[bool] = []

        def late() -> None:
            over.append(True)
            self.changed.set()

        timer = self.pile.agenda.after(timedelta(seconds=seconds), late)
        while not true() and not over:
            self.changed.clear()
            await self.changed.wait()
        timer.cancel()
        return bool(true())

    async def pause(self, span: Span) -> None:
        """Between the two bounds, of the clock."""
        await self.wait_for(lambda: False, self.random.uniform(*span))


class ScenarioPlay:
    """Use inside a running event loop: `start`, `run`, `stop`; the counts may be read at any time."""

    def __init__(
        self, scenario: Scenario, clock: Clock, frame_log: FrameKeeper | None = None, ocpp_piles: int = 0
    ) -> None:
        self.scenario = scenario
        self.ocpp = OcppVisits(ocpp_piles, clock, scenario.seed)
        self.clock = clock
        self.meter = Meter()
        self.stories: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.impossible: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.closing = asyncio.Event()
        self.began_at = clock.now()
        self._agenda = Agenda(clock)
        self._ended: dict[str, tuple[SimulatedPile, tuple[str, ...]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.piles: list[SimulatedPile] = []
        self._seats: dict[tuple[str, int], Seat] = {}
        for group in scenario.piles:
            self.piles += self._group(group, frame_log)

    async def start(self, host: str, port: int, ocpp_port: int | None = None) -> None:
        """Let the piles connect, so many in a second; returns when all have logged in."""
        self._agenda.start()
        for number, pile in enumerate(self.piles, start=1):
            await pile.start(host, port)
            if number % max(1, self.scenario.logins_per_second // 20) == 0:
                await asyncio.sleep(1 / 20)
        await asyncio.gather(*(pile.wait_logged_in() for pile in self.piles))
        await self.ocpp.start(f"ws://{host}:{ocpp_port}/ocpp")
        self.began_at = self.clock.now()

    async def run(self) -> None:
        """The scenario's duration, then until everything has ended and is confirmed, or `settle` is over."""
        self._tasks = [asyncio.ensure_future(seat.live()) for seat in self._seats.values()]
        self._tasks.append(asyncio.ensure_future(self.ocpp.live(self.closing)))
        over = asyncio.Event()
        self._agenda.after(timedelta(seconds=self.scenario.duration), self.closing.set)
        self._agenda.after(timedelta(seconds=self.scenario.duration + self.scenario.settle), over.set)
        while not self.closing.is_set():
            await asyncio.sleep(_DONE_LOOK_S)
            self._raise_failures()
        while not over.is_set() and not self._all_over():
            await asyncio.sleep(_DONE_LOOK_S)
            self._raise_failures()

    async def stop(self) -> None:
        """Disconnect all piles."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pile.stop() for pile in self.piles))
        await self.ocpp.stop()
        self._agenda.stop()

    def draw_faults(self, seat: Seat) -> None:
        """The switches of the next visit: the group's own, and those of the chance that came up."""
        drawn, at = {}, seat.random.random()
        for chance in self.scenario.faults:
            if at < chance.probability:
                drawn = dict(chance.switches)
                break
            at -= chance.probability
        seat.pile.faults = seat.pile.settings.faults.changed(drawn)

    def survived(self) -> Counter[str]:
        """By fault switch: charges it was on for, whose record is confirmed."""
        counted: Counter[str] = Counter()
        for trade_number, (pile, kinds) in self._ended.items():
            if trade_number not in pile.records.unconfirmed:
                counted.update(kinds)
        return counted

    # --- inside -------------------------------------------------------------------------------------------------

    def _group(self, group: PileGroup, frame_log: FrameKeeper | None) -> Iterator[SimulatedPile]:
        for code in group.codes():
            numbers = range(1, group.connectors + 1)
            settings = PileSettings(
                code=code,
                type=group.type,
                connectors=group.connectors,
                power_kw=group.power_kw,
                ground_locks=group.ground_locks,
                battery_frames=group.battery_frames,
                periods=group.periods,
                faults=Faults().changed(group.switches),
                cards={card_of(code, number): card_of(code, number) for number in numbers},
            )
            pile = SimulatedPile(settings, self.clock, agenda=self._agenda, frame_log=frame_log, meter=self.meter)
            pile.noticed = partial(self._noticed, pile)
            for connector in pile.connectors.values():
                self._seats[code, connector.number] = Seat(self, pile, connector, group.type)
            yield pile

    def _noticed(self, pile: SimulatedPile, what: str, number: int) -> None:
        connector = pile.connectors[number]
        if what == "began":
            self.injected.update(pile.faults.switched_on())
        elif what == "ended" and connector.last_trade_number is not None:
            self._ended[connector.last_trade_number] = (pile, pile.faults.switched_on())
        self._seats[pile.settings.code, number].changed.set()

    def _all_over(self) -> bool:
        confirmed = not any(pile.records.unconfirmed for pile in self.piles) and not self.ocpp.waiting
        return confirmed and all(task.done() for task in self._tasks)

    def _raise_failures(self) -> None:
        """A story that failed in a way nobody foresaw is a defect of the simulator: not to be played on."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
