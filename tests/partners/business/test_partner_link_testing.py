"""`hub link test`: every thing that is usually wrong is named in words."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from partners.fake.faults import Fault
from partners.linktest import Step
from partners.linktest import test_link as run_link_test
from tests.partners.business.conftest import OUR_KEYS, THEIR_KEYS, World


def steps(world: World, real_now: datetime | None = None) -> list[Step]:
    link = world.room.book.by_slug(world.tenant, "demo-partner")
    now = real_now or datetime.now(UTC)
    with world.db.read(world.tenant) as session:
        return run_link_test(session, link, world.room.clients, world.clock, lambda: now)


def failure(world: World, **options: Any) -> Step:
    found = steps(world, **options)
    assert [step.ok for step in found] == [True] * (len(found) - 1) + [False]
    return found[-1]


def keys(**changes: str) -> dict[str, Any]:
    theirs = THEIR_KEYS | changes
    return {
        "inbound": {name: SecretStr(text) for name, text in OUR_KEYS.items()},
        "outbound": {name: SecretStr(text) for name, text in theirs.items()},
    }


def test_a_good_link_passes_every_step(world: World) -> None:
    world.link()
    found = steps(world)
    assert [step.name_en for step in found] == [
        "link settings",
        "name resolution",
        "TCP connection",
        "clock skew",
        "access token",
        "harmless call",
    ]
    assert all(step.ok for step in found)
    assert world.received("notification_stationStatus")[0]["ConnectorStatusInfo"]["ConnectorID"] == world.connector


def test_a_link_without_an_address(world: World) -> None:
    world.link(outbound_base=None)
    assert failure(world).name_en == "link settings"


def test_a_name_that_does_not_exist(world: World) -> None:
    world.link(outbound_base="http://no-such-host.invalid/evcs/v1")
    assert "无法解析" in failure(world).detail


def test_a_closed_port(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    world.link(outbound_base=f"http://127.0.0.1:{port}/evcs/v1")
    step = failure(world)
    assert (step.name_zh, step.name_en) == ("网络连通", "TCP connection")


def test_tls_where_there_is_none(world: World) -> None:
    world.link(outbound_base=world.fake.base_url.replace("http://", "https://"))
    assert failure(world).name_en == "TLS certificate"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operator_secret": "something-else"}, "operator_secret"),
        ({"sig_secret": "wrongSignKey0001"}, "SigSecret"),
        ({"data_secret": "wrongDataKey0001"}, "4003"),
    ],
)
def test_wrong_keys_are_told_apart(world: World, changes: dict[str, str], words: str) -> None:
    world.link(keys=keys(**changes))
    step = failure(world)
    assert step.name_en == "access token"
    assert words in step.detail


def test_a_wrong_path(world: World) -> None:
    world.link(outbound_base=world.fake.url + "/somewhere/else")
    assert "HTTP 404" in failure(world).detail


def test_clocks_that_differ(world: World) -> None:
    world.link()
    step = failure(world, real_now=datetime.now(UTC) + timedelta(minutes=10))
    assert (step.name_en, "NTP" in step.detail) == ("clock skew", True)


def test_a_refused_call(world: World) -> None:
    world.link()
    world.fake.faults.replace([Fault(kind="ret", interface="notification_stationStatus", value=4004)])
    step = failure(world)
    assert step.name_en == "harmless call"
    assert "4004" in step.detail


def test_no_authorised_connector_is_no_failure(world: World) -> None:
    world.link(stations=[])
    assert all(step.ok for step in steps(world))
