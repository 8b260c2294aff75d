"""`hub link test` of a regulator says in words what is wrong: settings, token, static data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.stations.model import Station
from municipal.errors import UnknownRegulator
from municipal.linktest import check_regulator, regulator_by_slug
from tests.municipal.regulator_bench import KEYS, Bench, benches


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Iterator[Bench]:
    yield from benches(db, manual_clock)


def steps(bench: Bench) -> dict[str, tuple[bool, str]]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        found = check_regulator(session, regulator_by_slug(session, "zhejiang"), bench.clients, bench.clock)
    return {step.name_en: (step.ok, step.detail) for step in found}


def test_a_good_link_passes_and_nothing_is_pushed(bench: Bench) -> None:
    fake = bench.regulator()
    found = steps(bench)
    assert [ok for ok, _ in found.values()] == [True, True, True]
    assert {entry["interface"] for entry in fake.received()} == {"query_token"}


def test_a_wrong_secret_is_told_as_such(bench: Bench) -> None:
    bench.regulator(keys={**KEYS, "operator_secret": "another-secret-1"})
    ok, words = steps(bench)["access token"]
    assert not ok
    assert "operator_secret" in words


def test_an_unreachable_platform_is_told_as_such(bench: Bench) -> None:
    bench.save("http://127.0.0.1:1/evcs/v1/")
    assert steps(bench)["access token"][0] is False


def test_a_disabled_link_is_told_as_such(bench: Bench) -> None:
    bench.regulator(link={"enabled": False})
    ok, words = steps(bench)["link settings"]
    assert not ok
    assert "disabled" in words


def test_static_data_that_would_be_refused_is_named(bench: Bench) -> None:
    bench.regulator()
    with bench.db.session(bench.seeded.tenant_id) as session:
        session.scalars(select(Station)).one().service_tel = ""
    ok, words = steps(bench)["static data"]
    assert not ok
    assert "S0001" in words
    assert "ServiceTel" in words


def test_a_link_without_stations_is_told_as_such(bench: Bench) -> None:
    bench.regulator(link={"stations": []})
    assert steps(bench)["static data"][0] is False


def test_an_unknown_link_is_told_as_such(bench: Bench) -> None:
    with bench.db.read(bench.seeded.tenant_id) as session, pytest.raises(UnknownRegulator):
        regulator_by_slug(session, "atlantis")
