"""The steps of a scenario's stories: one small coroutine each. They say False when the story cannot go on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

from charging_core.simulator.charge import Vehicle
from charging_core.simulator.connector import Connector
from charging_core.simulator.errors import ActionError
from charging_core.simulator.host import Phase
from charging_core.simulator.messages import Condition
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.scenario import Span, Step, VehicleKind


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a story happens, and how it waits: `wait_for` a condition so many seconds, or `pause` a while."""

    pile: SimulatedPile
    connector: Connector
    random: Random
    vehicles: Mapping[str, VehicleKind]
    wait_for: Callable[[Callable[[], object], float], Awaitable[bool]]
    pause: Callable[[Span], Awaitable[None]]

    @property
    def card(self) -> str:
        """What the visitor of this connector holds to the reader."""
        return card_of(self.pile.settings.code, self.connector.number)


def card_of(pile_code: str, connector: int) -> str:
    """The card that is used at a connector: 16 digits, the same as printed and as read."""
    return f"{pile_code}{connector:02d}"


def vin_of(pile_code: str, connector: int) -> str:
    """The VIN of the vehicle that comes to a connector: 17 characters."""
    return f"S{pile_code}{connector:02d}"


async def _wait(visit: Visit, step: Step) -> bool:
    await visit.pause(_span(step.wait))
    return True


async def _plug(visit: Visit, step: Step) -> bool:
    kind = visit.vehicles[str(step.plug)]
    vin = vin_of(visit.pile.settings.code, visit.connector.number) if kind.vin else None
    vehicle = Vehicle(vin, visit.random.randint(*sorted(kind.soc)), kind.battery_kwh, kind.power_kw, kind.curve)
    visit.connector.plug(vehicle)
    return True


async def _unplug(visit: Visit, _step: Step) -> bool:
    visit.connector.unplug()
    return True


async def _start(visit: Visit, step: Step) -> bool:
    connector, pile = visit.connector, visit.pile
    before = connector.last_trade_number
    refused = len(pile.starts.refusals)
    match step.start:
        case "card":
            pile.present_card(connector.number, visit.card)
        case "vin":
            pile.present_vin(connector.number)
        case "parallel":
            others = [number for number, one in pile.connectors.items() if one is not connector and one.ready]
            if not others:
                raise ActionError("并充需要另一把就绪的枪 / parallel charging needs another connector that is ready")
            pile.present_parallel([connector.number, others[0]], visit.card)

    def decided() -> bool:
        ended = connector.last_trade_number != before
        return connector.phase is Phase.CHARGING or ended or len(pile.starts.refusals) > refused

    await visit.wait_for(decided, step.within)
    return connector.phase is Phase.CHARGING


async def _charge(visit: Visit, step: Step) -> bool:
    trade_number = visit.connector.trade_number
    seconds = visit.random.uniform(*_span(step.charge))
    await visit.wait_for(lambda: visit.connector.trade_number != trade_number, seconds)
    return True


async def _stop(visit: Visit, step: Step) -> bool:
    if step.stop == "card" and visit.connector.charges_for(visit.card):
        visit.pile.present_card(visit.connector.number, visit.card)
    else:
        visit.connector.press_stop()
    return True


async def _until_end(visit: Visit, step: Step) -> bool:
    return await visit.wait_for(lambda: visit.connector.phase is Phase.FREE, step.until_end or 0)


async def _condition(visit: Visit, step: Step) -> bool:
    visit.connector.set_condition(Condition[str(step.condition).upper()])
    return True


async def _power_cut(visit: Visit, step: Step) -> bool:
    visit.pile.cut_power(visit.random.uniform(*_span(step.power_cut)))
    return True


async def _link_loss(visit: Visit, step: Step) -> bool:
    visit.pile.lose_link(visit.random.uniform(*_span(step.link_loss)))
    return True


async def _switches(visit: Visit, step: Step) -> bool:
    changes = step.switches or {}
    visit.pile.faults = visit.pile.faults.changed(changes) if changes else visit.pile.settings.faults
    return True


Act = Callable[[Visit, Step], Awaitable[bool]]
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "wait": _wait,
        "plug": _plug,
        "unplug": _unplug,
        "start": _start,
        "charge": _charge,
        "stop": _stop,
        "until_end": _until_end,
        "condition": _condition,
        "power_cut": _power_cut,
        "link_loss": _link_loss,
        "switches": _switches,
    }
)
"""By the name of the step."""


def _span(value: Any) -> Span:
    return (0, 0) if value is None else value
