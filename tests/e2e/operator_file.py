"""The operator of the end-to-end tests, as the file that `hub apply` reads; and the profile of its partner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from municipal.fake.config import Kind
from partners.fake.wire import Keys

TENANT, OPERATOR, PARTNER, REGULATOR = "green", "MA5GREEN1", "MA5PARTN1", "MA5REGUL1"
STATION, SECOND_STATION = "330106001", "330106002"
SECOND_PILE = "32010600009001"
"""Alone at the second station, whose tariff has one price that the tests may change."""
FIRST_PRICE = "0.80000"
SERVICE_PRICE = "0.40000"
PILE_POWER_KW = 60
MAX_SKEW_S = 600
KEY_NAMES = tuple(Keys.model_fields)
_PEAK = {"class": "peak", "elec_price": "0.98763", "service_price": "0.50001"}
_SHARP = {"class": "sharp", "elec_price": "1.24687", "service_price": "0.60009"}
_VALLEY = {"class": "valley", "elec_price": "0.32150", "service_price": "0.40000"}
PERIODS = (
    # Prices with all five decimals; every charge of more than half an hour by day crosses a border.
    {"start": "00:00"} | _VALLEY,
    *(
        {"start": f"{hour:02d}:{minute}"} | prices
        for hour in range(8, 20)
        for minute, prices in (("00", _PEAK), ("30", _SHARP))
    ),
    {"start": "20:00"} | _VALLEY,
)
QUICK = {"connect_timeout_s": 1, "read_timeout_s": 3}
"""Real seconds. The lease of a worker that was killed is twice that and a margin; the tests wait for it."""
PROFILE = {
    "id": "careful",
    "version": "1",
    "display_name": {"zh": "校验时间的标准平台", "en": "The standard with a time window"},
    "status": "partial",
    "extends": "textbook",
    "envelope": {"max_skew_s": MAX_SKEW_S},
    "transport": QUICK,
}
REGION = "zhejiang-province"


def pile_codes(count: int) -> list[str]:
    """The piles of the station, one connector each."""
    return [f"3201060000{number:04d}" for number in range(1, count + 1)]


def write_profile(folder: Path) -> Path:
    """The partner's profile: the standard, and calls older than ten minutes are refused."""
    path = folder / "careful.yaml"
    path.write_text(yaml.safe_dump(PROFILE, allow_unicode=True))
    return path


def write_region(folder: Path) -> Path:
    """The province's profile as it is shipped, with the short time limits."""
    shipped = yaml.safe_load(resources.files("municipal.profiles").joinpath(f"{REGION}.yaml").read_text("utf-8"))
    path = folder / "quick-province.yaml"
    path.write_text(yaml.safe_dump({**shipped, "id": "quick-province", "transport": QUICK}, allow_unicode=True))
    return path


def write_operator_file(
    folder: Path, piles: Iterable[str], partner_url: str, regulator_url: str, wire_names: Mapping[Kind, str], price: str
) -> Path:
    """The declaration, with the partner's profile beside it; secrets only by the names of `key_environment`.

    `price` is the energy price of the second station, all day.
    """
    profile = write_profile(folder)
    document = {
        "tenant": {"id": TENANT, "name": "绿能充电"},
        "operators": [{"id": OPERATOR, "name": "绿能充电科技", "tel": "400-000-0002"}],
        "tariffs": [
            {"code": "day", "name": "分时电价", "periods": list(PERIODS)},
            {"code": "single", "name": "单一电价", "periods": [_all_day(price)]},
        ],
        "stations": [_station(STATION, "day", piles), _station(SECOND_STATION, "single", [SECOND_PILE])],
        "partners": [
            {
                "id": "platform", "name": "流量平台", "profile": str(profile), "our_operator_id": OPERATOR,
                "their_operator_id": PARTNER, "outbound_base": partner_url, "keys": _keys("PARTNER"),
            }
        ],
        "regulators": [
            {
                "id": "province", "name": "省监管平台", "profile": str(write_region(folder)), "our_operator_id": OPERATOR,
                "their_operator_id": REGULATOR, "outbound_base": regulator_url, "wire_names": dict(wire_names),
                "keys": {"outbound": _keys("REGULATOR")["outbound"]},
            }
        ],
    }  # fmt: skip
    path = folder / "operator.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    return path


def key_environment(prefix: str, inbound: Keys, outbound: Keys) -> dict[str, str]:
    """The secrets under the names that the file refers to. `inbound`: issued by us; `outbound`: issued by the other side."""
    sets = {"IN": inbound, "OUT": outbound}
    return {_variable(prefix, way, name): getattr(keys, name) for way, keys in sets.items() for name in KEY_NAMES}


def _variable(prefix: str, way: str, name: str) -> str:
    return f"HUB_TEST_{prefix}_{way}_{name}".upper()


def _keys(prefix: str) -> dict[str, Any]:
    def named(way: str) -> dict[str, Any]:
        return {name: {"env": _variable(prefix, way, name)} for name in KEY_NAMES}

    return {"inbound": named("IN"), "outbound": named("OUT")}


def _all_day(price: str) -> dict[str, str]:
    return {"start": "00:00", "class": "flat", "elec_price": price, "service_price": SERVICE_PRICE}


def _station(code: str, tariff: str, piles: Iterable[str]) -> dict[str, Any]:
    return {
        "code": code, "operator": OPERATOR, "owner_id": OPERATOR, "name": f"测试站 {code[-1]}", "area_code": "330106",
        "address": "杭州市西湖区测试路1号", "service_tel": "400-000-0002", "kind": "public", "construction": "office",
        "status": "normal", "bays": 10, "lng": "120.130663", "lat": "30.276694", "tariff": tariff,
        "piles": [_pile(code) for code in piles],
    }  # fmt: skip


def _pile(code: str) -> dict[str, Any]:
    connector = {
        "number": 1, "name": f"{code[-2:]}-1", "kind": "dc_plug", "voltage_upper_v": 750, "voltage_lower_v": 200,
        "current_a": 250, "power_kw": PILE_POWER_KW,
    }  # fmt: skip
    return {
        "code": code, "name": code[-2:], "kind": "dc", "power_kw": PILE_POWER_KW, "connectors": [connector],
    }  # fmt: skip
