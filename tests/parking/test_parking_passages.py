"""Stays out of passages: opened, closed, never guessed, never contradicted by what arrives late (`specs/parking.md` 7.5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from charging_core.clock import ManualClock
from charging_core.db import Database
from parking.model import ParkConnection, Stay
from parking.service import PushResult, Swept
from tests.parking.park_rig import PLATE, Rig, park_rig


@pytest.fixture
def rig(db: Database, manual_clock: ManualClock) -> Iterator[Rig]:
    with park_rig(db, manual_clock, exit_settings={"plate_read_means": "passed"}) as made:
        yield made


def shape(stay: Stay) -> tuple[Any, ...]:
    return stay.state, stay.closed_by, stay.entered_at is not None, stay.exited_at is not None


def test_entry_and_exit_are_one_stay(rig: Rig) -> None:
    entered = rig.clock.now()
    rig.see("entry")
    rig.pass_time(30)
    rig.see("exit")
    [stay] = rig.stays()
    assert shape(stay) == ("exited", "exit", True, True)
    assert (stay.entered_at, stay.exited_at) == (entered, rig.clock.now())
    assert (stay.entry_lane, stay.exit_lane, stay.plate) == ("entry-1", "exit-1", PLATE)
    assert [passage.stay_id for passage in rig.passages()] == [stay.id, stay.id]


def test_the_same_event_twice_is_one_passage(rig: Rig) -> None:
    at = rig.clock.now()
    results = [rig.see("entry", at=at + timedelta(seconds=shift), uuid=str(shift)) for shift in (0, 0, 2, -2, 3)]
    assert results == [
        PushResult.RECORDED,
        PushResult.REPEATED,
        PushResult.REPEATED,
        PushResult.REPEATED,
        PushResult.RECORDED,
    ]
    assert len(rig.passages()) == 2


def test_an_event_id_that_never_changes_hides_no_car(rig: Rig) -> None:
    assert rig.see("entry", uuid="constant") is PushResult.RECORDED
    assert rig.see("entry", "浙A12345", uuid="constant") is PushResult.RECORDED
    rig.pass_time(10)
    assert rig.see("entry", uuid="constant") is PushResult.RECORDED
    assert len(rig.stays()) == 3


def test_a_new_entry_closes_the_stay_whose_exit_nobody_saw(rig: Rig) -> None:
    rig.see("entry")
    rig.pass_time(300)
    rig.see("entry")
    old, new = rig.stays()
    assert shape(old) == ("abandoned", "next_entry", True, False)
    assert shape(new) == ("inside", None, True, False)
    assert [event.subject_id for event in rig.events("stay.exited")] == [old.id]


def test_an_exit_without_entry_is_a_stay_of_unknown_length(rig: Rig) -> None:
    rig.see("exit")
    [stay] = rig.stays()
    assert shape(stay) == ("exited", "exit", False, True)


def test_an_unread_plate_is_kept_and_never_guessed(rig: Rig) -> None:
    rig.see("entry", "unknown")
    rig.pass_time(10)
    rig.see("exit", "无车牌")
    [stay] = rig.stays()
    assert (stay.plate, stay.state) == (None, "inside")
    assert [passage.plate_raw for passage in rig.passages()] == ["unknown", "无车牌"]
    rig.see("entry", "unknown")
    assert len(rig.stays()) == 2


def test_a_buffered_entry_opens_a_stay_in_the_past(rig: Rig) -> None:
    came = rig.clock.now()
    rig.pass_time(90)
    rig.see("entry", at=came, replay=True)
    [stay] = rig.stays()
    assert (stay.state, stay.entered_at) == ("inside", came)


def test_a_buffered_entry_that_is_older_than_what_is_known_changes_nothing(rig: Rig) -> None:
    old = rig.clock.now()
    rig.pass_time(30)
    rig.see("entry")
    rig.pass_time(30)
    rig.see("entry", at=old, replay=True)
    [stay] = rig.stays()
    assert (stay.state, stay.version) == ("inside", 1)
    assert len(rig.passages()) == 2


def test_a_buffered_exit_of_an_earlier_visit_does_not_end_this_one(rig: Rig) -> None:
    old = rig.clock.now()
    rig.pass_time(30)
    rig.see("entry")
    rig.see("exit", at=old, replay=True)
    [stay] = rig.stays()
    assert stay.state == "inside"
    rig.pass_time(30)
    rig.see("exit", at=rig.clock.now() - timedelta(minutes=10), replay=True)
    assert rig.stays()[0].exited_at == rig.clock.now() - timedelta(minutes=10)


@pytest.mark.parametrize(("skew_s", "trusted"), [(120, True), (-120, True), (121, False), (-7200, False)])
def test_a_wrong_device_clock_is_kept_but_not_used(rig: Rig, skew_s: int, trusted: bool) -> None:
    told = rig.clock.now() + timedelta(seconds=skew_s)
    rig.see("entry", at=told)
    [passage], [stay] = rig.passages(), rig.stays()
    assert (passage.occurred_at, passage.received_at) == (told, rig.clock.now())
    assert stay.entered_at == (told if trusted else rig.clock.now())
    assert [one.clock_skew_s for one in rig.rows(ParkConnection) if one.code == "entry"] == [skew_s]


def test_a_stay_nobody_saw_end_is_closed_after_the_parks_limit(rig: Rig) -> None:
    rig.see("entry")
    rig.pass_time(30 * 24 * 60)
    assert rig.service.sweep() == Swept(0, 0)
    rig.pass_time(1)
    assert rig.service.sweep() == Swept(0, 1)
    assert shape(rig.stays()[0]) == ("abandoned", "too_long", True, False)
    assert len(rig.events("stay.exited")) == 1


def test_what_a_path_answers(rig: Rig) -> None:
    token, xml = rig.tokens["entry"], {"content-type": "application/xml"}
    assert rig.service.receive_push("no-such-token", xml, rig.event()) is PushResult.UNKNOWN_TOKEN
    assert rig.service.receive_push(token, xml, b"<broken") is PushResult.UNREADABLE
    assert rig.service.receive_push(rig.tokens["platform"], xml, rig.event()) is PushResult.IGNORED
    heartbeat = rig.event().replace(b"ANPR</eventType>", b"videoloss</eventType>")
    assert rig.service.receive_push(token, xml, heartbeat) is PushResult.IGNORED
    assert rig.rows(Stay) == []


def test_the_same_entry_pushed_by_many_at_once_is_one_stay(rig: Rig) -> None:
    body, results = rig.event(), list[PushResult]()

    def push() -> None:
        results.append(rig.service.receive_push(rig.tokens["entry"], {"Content-Type": "text/xml"}, body))

    threads = [threading.Thread(target=push) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [PushResult.RECORDED] + [PushResult.REPEATED] * 7
    assert len(rig.stays()) == len(rig.passages()) == 1
