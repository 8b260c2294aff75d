"""Whatever the facts look like, rendering ends in a body and problems: an exception would be a 500, or a push that retries for ever."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partners.profiles.engine import render
from partners.profiles.loader import load_profile, shipped_profiles
from partners.profiles.profile import Profile
from partners.profiles.scope import scope_of
from tests.partners.profiles import samples

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.text(max_size=30),
    st.just(samples.NOW),
    st.just(samples.NOW.replace(tzinfo=None)),
    st.just(1.5),
    st.just([]),
    st.just({}),
    st.just([1, "a", None]),
    st.just([{"started_at": "x"}]),
)
profile = cache(load_profile)


def members(value: Any, path: str = "") -> list[str]:
    """Every dotted path of a document, lists by their first item."""
    if isinstance(value, dict):
        return [inner for name, item in value.items() for inner in (f"{path}.{name}", *members(item, f"{path}.{name}"))]
    return members(value[0], f"{path}.0") if isinstance(value, list) and value else []


def spoiled(value: Any, path: list[str], leaf: Any) -> Any:
    """A copy of the document with `leaf` at the path."""
    if not path:
        return leaf
    if isinstance(value, list):
        return [spoiled(value[0], path[1:], leaf), *value[1:]]
    return value | {path[0]: spoiled(value[path[0]], path[1:], leaf)}


SAMPLE = {
    "at": samples.NOW,
    "voltage_v": Decimal("402.6"),
    "current_a": Decimal("98.2"),
    "soc": 57,
    "energy_kwh": Decimal(1),
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "station": samples.station(),
    "connector_status": samples.connector(),
    "order": samples.order(),
    "charge_sample": samples.order(sample=SAMPLE, ended_at=None, energy_kwh=None),
    "start_result": samples.order(),
    "stop_result": samples.order(),
    "reply": {
        "refusal": "none",
        "state": "charging",
        "stations": [{"connectors": [{}]}],
        "periods": [{"start": "00:00"}],
    },
    "page": {"page": {"number": 1, "count": 1, "items": 1, "stations": []}},
}


def roots(made: Profile, interface: str) -> dict[str, Any]:
    """For a source without a sample: what its fields name, all of it empty."""
    named = [field.spec.from_ for field in made.interface(interface).fields if field.spec.from_]
    document: dict[str, Any] = {}
    for path in named:
        head, *rest = path.split(".")
        document[head] = (document.get(head) or {}) | dict.fromkeys(rest)
    return document


def interfaces() -> list[tuple[str, str]]:
    return [(name, interface) for name in shipped_profiles() for interface in sorted(profile(name).names)]


@pytest.mark.parametrize(("name", "interface"), interfaces())
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_fact_makes_rendering_fail(name: str, interface: str, data: st.DataObject) -> None:
    made: Profile = profile(name)
    source = made.interface(interface).spec.source
    document = DOCUMENTS.get(source) or roots(made, interface)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(members(document) or [""]))
        document = spoiled(document, [part for part in path.split(".") if part], data.draw(LEAVES))
    rendered = render(made, interface, scope_of(source, document, link={}, request={}), samples.NOW)
    assert isinstance(rendered.body, dict)
