"""Partners that misbehave in every way that the fakes know: nothing is lost, nothing is booked twice, nothing is believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partners.exchanges import ExchangeQuery, search_exchanges
from partners.fake.faults import Fault
from partners.roaming.state import RoamingState
from tests.partners.business.conftest import World
from tests.partners.business.foreign import CONNECTOR, Abroad, abroad
from worker.api import State

ORDER = "notification_charge_order_info"
STATUS = "notification_stationStatus"
S = RoamingState


@pytest.fixture
def away(world: World) -> Iterator[Abroad]:
    with abroad(world) as there:
        yield there


def wrong(fake: Any, kind: str, interface: str = "*", times: int | None = 1, value: Any = None) -> None:
    fake.faults.replace([Fault(kind=kind, interface=interface, times=times, value=value)])


# ------------------------------------------------------------------------------------------------ as they are called


def booked(world: World, seq: str) -> Any:
    return world.fake.summary()["orders"][seq]


@pytest.mark.parametrize(
    ("kind", "times", "value"),
    [
        ("truncated", 1, None),
        ("wrong_sig", 1, None),
        ("garbage", 1, None),
        ("close_after", 1, None),
        ("slow_body", 1, 0.05),
        ("http_500", 12, None),
        ("wrong_token", 2, None),
    ],
)
def test_a_bill_is_booked_once_whatever_happened_to_its_answer(world: World, kind: str, times: int, value: Any) -> None:
    world.link()
    seq = world.play()
    wrong(world.fake, kind, "query_token" if kind == "wrong_token" else "*", times, value)
    for _ in range(15):
        world.deliver()
        world.clock.advance(timedelta(minutes=10))
    (row,) = world.deliveries(ORDER)
    assert (row.state, booked(world, seq)["confirm_result"]) == (State.DELIVERED, 0)
    assert len({str(body) for body in world.received(ORDER)}) == 1
    assert world.fake.findings("violation") == []


def test_a_partner_with_a_wrong_clock_gets_everything_when_it_is_right_again(world: World) -> None:
    world.fake.link.time_window_s = 600
    world.link()
    seq = world.play()
    world.fake.skew(3600)
    world.deliver()
    assert [row.state for row in world.deliveries(ORDER)] == [State.WAITING]
    world.fake.skew(0)
    world.clock.advance(timedelta(hours=1))
    world.deliver()
    assert booked(world, seq)["confirm_result"] == 0


# ------------------------------------------------------------------------------------------------------ as they call


def test_every_push_twice_changes_nothing_more(away: Abroad) -> None:
    wrong(away.fake, "send_twice", times=None)
    seq = away.start().start_charge_seq
    away.fake.begin(seq), away.fake.sample(seq, "5.00"), away.fake.stopped(seq), away.fake.finish(seq, "10.00")
    order = away.order(seq)
    assert (order.state, order.confirm_result) == (S.BILLED, 0)
    answers = [entry["answer"] for entry in away.fake.journal.entries(direction="out")]
    assert all(answer["ok"] for answer in answers)
    assert len(answers) == 8
    (bill,) = [one for one in order.history if one["what"] == "bill_good"]
    assert bill["state"] == S.BILLED


def test_pushes_that_overtake_each_other_end_in_the_same_order(away: Abroad) -> None:
    seq = away.start().start_charge_seq
    wrong(away.fake, "send_late", "notification_start_charge_result")
    away.fake.begin(seq)
    away.fake.sample(seq, "5.00")
    assert away.state(seq) == S.CHARGING
    wrong(away.fake, "send_late", "notification_stop_charge_result")
    away.fake.stopped(seq)
    assert away.state(seq) == S.CHARGING
    away.fake.finish(seq, "10.00")
    order = away.order(seq)
    assert (order.state, str(order.energy_kwh)) == (S.BILLED, "10.0000")


@pytest.mark.parametrize(
    ("kind", "ret", "check"),
    [("send_cut", 4003, "decrypt"), ("send_wrong_sig", 4001, "signature"), ("send_wrong_token", 4002, "token")],
)
def test_a_spoilt_push_is_refused_and_kept_with_its_check(away: Abroad, kind: str, ret: int, check: str) -> None:
    wrong(away.fake, kind, STATUS)
    assert away.fake.tell_status(CONNECTOR, 3).ret == ret
    assert away.fake.tell_status(CONNECTOR, 1).ok
    away.world.room.recorder.flush()
    with away.world.db.read(away.world.tenant) as session:
        (refused,) = search_exchanges(session, ExchangeQuery(link_id=away.link.id, failed_only=True, direction="in"))
    assert (refused.ret, refused.failed_check) == (ret, check)


def test_a_caller_with_a_wrong_clock_is_told_where_a_window_was_agreed(world: World, tmp_path: Path) -> None:
    path = tmp_path / "windowed.yaml"
    head = "{id: windowed, version: '1', display_name: {zh: 窗, en: windowed}, status: partial, extends: textbook, "
    path.write_text(f"{head}envelope: {{max_skew_s: 600, refuse_replays: true}}}}", "utf-8")
    world.link(profile=str(path))
    assert world.fake.call("query_stations_info", {"PageNo": 1}).ret == 0
    world.fake.skew(900)
    late = world.fake.call("query_stations_info", {"PageNo": 1})
    assert (late.ret, "TimeStamp" in late.msg) == (4003, True)
    world.fake.skew(-599)
    assert world.fake.call("query_stations_info", {"PageNo": 1}).ret == 0
