"""The operator file that makes the piles of a scenario known to a hub: stations, piles, connectors, and who pays at each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from charging_core.simulator.ocpp_visits import ocpp_codes
from charging_core.simulator.scenario import PileGroup, Scenario
from charging_core.simulator.steps import card_of, vin_of

_OPERATOR = "MA5SIMUL1"
_PILES_PER_STATION = 100
_OCPP = PileGroup(count=1, first_code="00000000000000")
"""What an OCPP pile looks like: 60 kW DC, one connector."""
_HEAD = """\
# 由 hub simulate --write-operator 生成: 场景 {name} 的全部桩、卡与车辆
# Made by hub simulate --write-operator: all piles, cards and vehicles of the scenario {name}
"""


def write_operator(path: Path, scenario: Scenario, ocpp_piles: int = 0) -> None:
    """Write the file; an existing one is replaced."""
    text = yaml.safe_dump(operator_of(scenario, ocpp_piles), allow_unicode=True, sort_keys=False)
    path.write_text(_HEAD.format(name=scenario.name) + text, encoding="utf-8")


def operator_of(scenario: Scenario, ocpp_piles: int) -> dict[str, Any]:
    """The declaration as a mapping."""
    ocpp = [_pile(_OCPP, code) | {"protocol": "ocpp16"} for code in ocpp_codes(ocpp_piles)]
    piles = iter([*(_pile(group, code) for group in scenario.piles for code in group.codes()), *ocpp])
    stations: list[dict[str, Any]] = []
    while part := list(islice(piles, _PILES_PER_STATION)):
        stations.append(_station(len(stations) + 1, part))
    return {
        "tenant": {"id": "simulated", "name": "模拟充电"},
        "operators": [{"id": _OPERATOR, "name": "模拟充电运营", "tel": "400-000-0009"}],
        "tariffs": [{"code": "simulated", "name": "模拟分时电价", "periods": list(_periods())}],
        "stations": stations,
        "members": list(_members(scenario, ocpp_piles)),
    }


def _periods() -> Iterator[dict[str, Any]]:
    for start, rate, elec, service in (
        ("00:00", "valley", 0.30, 0.40),
        ("08:00", "peak", 1.00, 0.50),
        ("11:00", "flat", 0.65, 0.45),
        ("17:00", "peak", 1.00, 0.50),
        ("19:00", "sharp", 1.20, 0.60),
        ("22:00", "valley", 0.30, 0.40),
    ):
        yield {"start": start, "class": rate, "elec_price": elec, "service_price": service}


def _station(number: int, piles: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "code": f"SIM{number:05d}",
        "operator": _OPERATOR,
        "owner_id": _OPERATOR,
        "name": f"模拟站 {number}",
        "area_code": "330106",
        "address": "模拟路 1 号",
        "service_tel": "400-000-0009",
        "bays": sum(len(pile["connectors"]) for pile in piles),
        "lng": 120.130663,
        "lat": 30.276694,
        "tariff": "simulated",
        "piles": piles,
    }


def _pile(group: PileGroup, code: str) -> dict[str, Any]:
    power = str(group.power_kw)  # exact, as text: a number of YAML is read as a binary float
    dc = group.type == "dc"
    ratings = {"voltage_upper_v": 750, "voltage_lower_v": 200, "current_a": 250}
    if not dc:
        ratings = {"voltage_upper_v": 250, "voltage_lower_v": 187, "current_a": 32}
    connectors = [
        {"number": number, "kind": "dc_plug" if dc else "ac_plug", **ratings, "power_kw": power}
        for number in range(1, group.connectors + 1)
    ]
    return {"code": code, "kind": group.type, "power_kw": power, "connectors": connectors}


def _members(scenario: Scenario, ocpp_piles: int) -> Iterator[dict[str, Any]]:
    """One account for each connector: its card and its vehicle."""
    connectors = [(code, group.connectors) for group in scenario.piles for code in group.codes()]
    for code, count in [*connectors, *((code, 1) for code in ocpp_codes(ocpp_piles))]:
        for number in range(1, count + 1):
            card = card_of(code, number)
            yield {
                "code": f"simulated-{card}",
                "name": "模拟车主",
                "opening_balance": 100000,
                "per_charge": 500,
                "cards": [{"number": card, "physical": card, "offline": True}],
                "vehicles": [vin_of(code, number)],
            }
