"""What a played scenario amounts to: one flat mapping of measures, faults and answers, and whether the expectations are met."""

import resource
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charging_core.simulator.measures import COUNTED
from charging_core.simulator.play import ScenarioPlay

_INJECTED = {
    "link_losses": "link_loss",
    "half_open_links": "half_open_link",
    "second_connections": "second_connection",
    "restarts": "power_cut_or_restart",
    "records_dropped": "record_forgotten",
    "stops_ignored": "stop_ignored",
    "start_replies_swallowed": "start_reply_swallowed",
}
"""Counters of the piles that tell of something that went wrong once, and its name in the report."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One expectation, what was measured, and whether it is met."""

    measure: str
    bounds: str
    value: float
    met: bool


def measure(play: ScenarioPlay) -> dict[str, Any]:
    """The measures of this moment, by the names of `measures.MEASURES`; times in real milliseconds, None before the first answer."""
    counted: Counter[str] = Counter()
    for pile in play.piles:
        counted.update(pile.counters)
    unconfirmed = sum(len(pile.records.unconfirmed) for pile in play.piles)
    answers = play.meter.report()
    connectors = [connector for pile in play.piles for connector in pile.connectors.values()]
    grown = sum((c.meter_kwh - c.meter_began_kwh for c in connectors), Decimal(0))
    own = {
        "piles": len(play.piles),
        "connectors": len(connectors),
        "piles_online": sum(pile.online for pile in play.piles),
        "records_confirmed": sum(pile.records.confirmed_count for pile in play.piles),
        "records_unconfirmed": unconfirmed,
        "energy_kwh": grown,
        "reconnects": counted["logins"] - len(play.piles),
        "starts_given_up": play.given_up["start"],
        "actions_impossible": play.impossible.total(),
        "ocpp_piles": len(play.ocpp.piles),
        "ocpp_charges": play.ocpp.begun,
        "ocpp_messages_waiting": play.ocpp.waiting,
        "answers_missing": sum(one["missing"] for one in answers.values()),
    }
    found = {name: own.get(name, counted[name]) for name in COUNTED}
    for kind, one in answers.items():
        found |= {f"{kind}_p50_ms": one["p50_ms"], f"{kind}_p99_ms": one["p99_ms"]}
    return found


def report(play: ScenarioPlay, real_seconds: float) -> dict[str, Any]:
    """Everything, for people and machines."""
    measured = measure(play)
    counted: Counter[str] = Counter()
    for pile in play.piles:
        counted.update(pile.counters)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "scenario": play.scenario.name,
        "seed": play.scenario.seed,
        "simulated_s": round((play.clock.now() - play.began_at).total_seconds()),
        "real_s": round(real_seconds, 1),
        "cpu_s": round(time.process_time(), 1),
        "peak_rss_mib": usage.ru_maxrss // 1024,
        "measures": measured,
        "answers": play.meter.report(),
        "refused_for": dict(Counter(f"0x{reason:02X}" for pile in play.piles for reason in pile.starts.refusals)),
        "stories": dict(play.stories),
        "incidents": {name: counted[key] for key, name in _INJECTED.items() if counted[key]},
        "switches_injected": dict(play.injected),
        "switches_survived": dict(play.survived()),
        "expectations": [
            {"measure": one.measure, "bounds": one.bounds, "value": one.value, "met": one.met}
            for one in judge(play, measured)
        ],
    }


def judge(play: ScenarioPlay, measured: dict[str, Any]) -> list[Judged]:
    """Each expectation of the scenario; a time that was never measured counts as 0."""
    judged = []
    for one in play.scenario.expect:
        value = float(measured[one.measure] or 0)
        limits = ((">=", one.at_least), ("<=", one.at_most))
        bounds = ", ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
        judged.append(Judged(one.measure, bounds, value, one.met(value)))
    return judged
