"""What the envelope fakes do wrong on demand, as callee and as caller; everything by their control interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from partners.fake.operator import FakeOperator
from partners.fake.partner import FakePartner
from tests.fakes.calling import (
    HUB,
    HUB_KEYS,
    KEYS,
    OTHER,
    control,
    envelope,
    hub_side,
    keys_config,
    link_config,
    manual_clock,
    post,
)

STATUS = "notification_stationStatus"
PUSH = {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": 1}}


@pytest.fixture
def fake() -> Iterator[FakePartner]:
    with FakePartner(link_config(time_window_s=600), manual_clock()) as fake:
        yield fake


def plan(fake: Any, kind: str, interface: str = "*", times: int | None = 1, value: Any = None) -> None:
    answer = control(fake, "faults", [{"kind": kind, "interface": interface, "times": times, "value": value}])
    assert answer["faults"][0]["kind"] == kind, answer


def test_truncated_data_is_signed_rightly_and_booked(fake: FakePartner) -> None:
    plan(fake, "truncated", STATUS)
    answer = hub_side(fake).call(STATUS, PUSH)
    assert "whole cipher blocks" in answer.error
    assert fake.received(STATUS)[0]["accepted"]


def test_a_token_that_nobody_takes(fake: FakePartner) -> None:
    plan(fake, "wrong_token", times=2)
    hub = hub_side(fake)
    assert hub.call(STATUS, PUSH).ret == 4002
    hub.forget_token()
    assert hub.call(STATUS, PUSH).ret == 0


def test_a_body_that_drips(fake: FakePartner) -> None:
    plan(fake, "slow_body", STATUS, value=0.2)
    hub = hub_side(fake)
    hub.call("query_token", {})
    begun = time.monotonic()
    assert hub.call(STATUS, PUSH).ret == 0
    assert time.monotonic() - begun >= 0.2


def test_a_storm_of_5xx_ends(fake: FakePartner) -> None:
    plan(fake, "http_500", times=5)
    hub = hub_side(fake)
    assert [hub.call(STATUS, PUSH).ret for _ in range(7)] == [None] * 5 + [0, 0]


def test_a_clock_that_is_wrong_refuses_right_messages_and_shows_in_the_date(fake: FakePartner) -> None:
    assert control(fake, "clock", {"skew_s": 7200}) == {"skew_s": 7200.0}
    answer = post(f"{fake.base_url}query_token", envelope({"OperatorID": HUB, "OperatorSecret": KEYS.operator_secret}))
    assert answer.json()["Ret"] == 4003
    ahead = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    assert 7190 < ahead < 7210
    control(fake, "reset", {})
    assert hub_side(fake).call(STATUS, PUSH).ret == 0


# ------------------------------------------------------------------------------------------------------ as the caller


@pytest.fixture
def caller(fake: FakePartner) -> Iterator[FakeOperator]:
    """An operator whose hub is the fake partner."""
    config = {
        "operator_id": HUB,
        "hub_operator_id": OTHER,
        "hub_base_url": fake.base_url,
        "keys": keys_config(HUB_KEYS),
        "hub_keys": keys_config(KEYS),
    }
    with FakeOperator(config, manual_clock()) as operator:
        yield operator


def told(fake: FakePartner) -> list[int]:
    return [entry["body"]["ConnectorStatusInfo"]["Status"] for entry in fake.received(STATUS)]


def tell(caller: FakeOperator, status: int) -> Any:
    return control(caller, "status", {"connector_id": "77000101", "status": status})


def test_a_push_goes_out_twice(fake: FakePartner, caller: FakeOperator) -> None:
    plan(caller, "send_twice", STATUS)
    assert tell(caller, 3)["ok"]
    assert tell(caller, 1)["ok"]
    assert told(fake) == [3, 3, 1]


def test_a_push_is_overtaken_by_the_next(fake: FakePartner, caller: FakeOperator) -> None:
    plan(caller, "send_late", STATUS)
    assert "押后" in tell(caller, 3)["error"]
    assert told(fake) == []
    assert tell(caller, 1)["ok"]
    assert told(fake) == [1, 3]


@pytest.mark.parametrize(("kind", "ret"), [("send_cut", 4003), ("send_wrong_sig", 4001), ("send_wrong_token", 4002)])
def test_a_call_is_spoilt_once(caller: FakeOperator, kind: str, ret: int) -> None:
    plan(caller, kind, STATUS)
    assert tell(caller, 3)["ret"] == ret
    assert tell(caller, 3)["ok"]


def test_a_wrong_clock_shows_in_the_time_stamp(fake: FakePartner, caller: FakeOperator) -> None:
    control(caller, "clock", {"skew_s": -3600})
    assert tell(caller, 3)["ret"] == 4003
    control(caller, "clock", {"skew_s": -30})
    assert tell(caller, 3)["ok"]


def test_kinds_of_calls_never_spoil_what_comes_in(fake: FakePartner) -> None:
    plan(fake, "send_wrong_sig", times=None)
    assert hub_side(fake).call(STATUS, PUSH).ret == 0
