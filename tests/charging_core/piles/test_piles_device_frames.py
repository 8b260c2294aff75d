"""Device commands on the wire: each frame as the protocol has it, each answer in its polarity, ground locks as they report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from charging_core.clock import CHINA, ManualClock
from charging_core.piles.commands import CommandDesk, CommandPump
from charging_core.piles.events import GroundLockReported, LockPosition, TimeSynced
from charging_core.piles.ports import CommandKind, CommandState, LoginDecision, PendingCommand, PileProfile
from tests.charging_core.piles.piles_support import (
    PILE,
    START,
    House,
    MemoryCommands,
    MemoryTariffs,
    frame_of,
    make_tariff,
    running,
    wait_for,
)

CODE = bytes.fromhex(PILE)
UPDATE = {
    "current": "ac", "power_kw": 7, "server": "114.55.114.174", "port": 21, "user": "sr", "password": "sr7231",
    "path": "AC-7KW/20180131", "when_idle": True, "timeout_min": 60, "rollout": "r",
}  # fmt: skip


def put(house: House, kind: CommandKind, parameters: dict[str, Any], id_: str = "c1", connector: int = 0) -> None:
    """A command of the staff waits for the pile."""
    expires_at = house.clock.now() + timedelta(minutes=1)
    house.commands.add(PendingCommand(id_, None, kind, PILE, connector, None, None, expires_at, parameters))
    house.server.wake(PILE)


def reached(house: House, id_: str, state: CommandState) -> None:
    wait_for(lambda: house.commands.states[id_] is state, f"{id_} {state}")


SENT = {
    "work": (CommandKind.SET_WORK, {"out_of_service": True, "max_power_percent": 80}, 0x52, CODE + bytes((1, 80)), 0x51, 1),
    "reboot": (CommandKind.REBOOT, {"when_idle": True}, 0x92, CODE + b"\x02", 0x91, 1),
    "reboot now": (CommandKind.REBOOT, {"when_idle": False}, 0x92, CODE + b"\x01", 0x91, 1),
    "qr": (CommandKind.SET_QR, {"prefix": "https://q.example/", "with_connector": True}, 0xF0,
           CODE + b"\x01\x12https://q.example/", 0xF1, 1),
    "update": (CommandKind.UPDATE, UPDATE, 0x94,
               CODE + b"\x02\x07\x00" + b"114.55.114.174".ljust(16, b"\0") + b"\x15\0" + b"sr".ljust(16, b"\0")
               + b"sr7231".ljust(16, b"\0") + b"AC-7KW/20180131".ljust(32, b"\0") + b"\x02\x3c", 0x93, 0),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "parameters", "frame_type", "body", "answer", "ok"), SENT.values(), ids=SENT)
def test_a_device_command_is_written_and_acknowledged(
    kind: CommandKind, parameters: dict[str, Any], frame_type: int, body: bytes, answer: int, ok: int
) -> None:
    with running() as house, house.login() as pile:
        put(house, kind, parameters)
        frame = pile.expect(frame_type)
        assert frame.fields["pile_code"] == PILE
        assert house.commands.states["c1"] is CommandState.SENT
        assert pile.last_body() == body
        pile.raw(frame_of(answer, CODE + bytes((ok,))))
        reached(house, "c1", CommandState.ACKNOWLEDGED)


@pytest.mark.parametrize(
    ("kind", "parameters", "frame_type", "answer", "result", "why"),
    [
        (CommandKind.SET_WORK, {"out_of_service": False, "max_power_percent": 100}, 0x52, 0x51, 0, "result 0"),
        (CommandKind.REBOOT, {"when_idle": True}, 0x92, 0x91, 0, "result 0"),
        (CommandKind.UPDATE, UPDATE, 0x94, 0x93, 2, "does not match the model"),
        (CommandKind.UPDATE, UPDATE, 0x94, 0x93, 3, "timed out"),
    ],
)
def test_a_refused_device_command_fails_with_its_reason(
    kind: CommandKind, parameters: dict[str, Any], frame_type: int, answer: int, result: int, why: str
) -> None:
    with running() as house, house.login() as pile:
        put(house, kind, parameters)
        pile.expect(frame_type)
        pile.raw(frame_of(answer, CODE + bytes((result,))))
        reached(house, "c1", CommandState.FAILED)
        assert why in house.commands.details["c1"]


def test_the_time_is_told_on_demand_and_is_that_of_writing() -> None:
    clock = ManualClock(START + timedelta(hours=3))
    with running(clock=clock) as house, house.login() as pile:
        put(house, CommandKind.SYNC_TIME, {})
        assert pile.expect(0x56).fields["time"] == clock.now().astimezone(CHINA)
        pile.send(0x55, {"time": clock.now()})
        reached(house, "c1", CommandState.ACKNOWLEDGED)
        wait_for(lambda: bool(house.sink.of(TimeSynced)), "the pile's time")


def test_a_lock_is_moved_at_its_connector_only() -> None:
    with running() as house, house.login() as pile:
        put(house, CommandKind.LOCK, {"raise": True}, connector=1)
        frame = pile.expect(0x62)
        assert (frame.fields["connector_no"], frame.fields["command"]) == (1, 0x55)
        put(house, CommandKind.LOCK, {"raise": False}, "c2", connector=2)
        assert pile.expect(0x62).fields["command"] == 0xFF
        pile.raw(frame_of(0x63, CODE + bytes((2, 0)) + bytes(4)))
        reached(house, "c2", CommandState.FAILED)
        assert house.commands.states["c1"] is CommandState.SENT
        pile.raw(frame_of(0x63, CODE + bytes((1, 1)) + bytes(4)))
        reached(house, "c1", CommandState.ACKNOWLEDGED)


@pytest.mark.parametrize(("options", "result", "state"), [
    ({}, 0, CommandState.ACKNOWLEDGED), ({}, 1, CommandState.ACKNOWLEDGED), ({"qr_ok": 0}, 0, CommandState.ACKNOWLEDGED),
    ({"qr_ok": 0}, 1, CommandState.FAILED), ({"qr_ok": 1}, 0, CommandState.FAILED),
])  # fmt: skip
def test_what_a_qr_answer_means_is_the_piles_dialect(options: dict[str, Any], result: int, state: CommandState) -> None:
    with running() as house:
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile(options), tariff=make_tariff())
        with house.login() as pile:
            put(house, CommandKind.SET_QR, {"prefix": "x", "with_connector": False})
            pile.expect(0xF0)
            pile.raw(frame_of(0xF1, CODE + bytes((result,))))
            reached(house, "c1", state)
            assert house.commands.details["c1"] == f"result {result}"


def test_an_update_without_its_password_is_not_sent() -> None:
    with running() as house, house.login() as pile:
        put(house, CommandKind.UPDATE, {name: value for name, value in UPDATE.items() if name != "password"})
        reached(house, "c1", CommandState.FAILED)
        pile.expect_silence()


def test_locks_report_their_state_and_get_no_reply() -> None:
    with running() as house, house.login() as pile:
        pile.raw(frame_of(0x61, CODE + bytes((1, 0x55, 0xFF, 80, 0xFF)) + bytes(4)))
        pile.raw(frame_of(0x61, CODE + bytes((2, 0x07, 0x00, 0xFF, 0x00)) + bytes(4)))
        pile.raw(frame_of(0x61, CODE + bytes((2, 0xFF))))  # cut short: what is whole counts
        pile.expect_silence()
        wait_for(lambda: len(house.sink.of(GroundLockReported)) == 3, "three reports")
    first, second, third = house.sink.of(GroundLockReported)
    assert first == GroundLockReported(PILE, 1, LockPosition.RAISED, True, 80, "arm_damaged", START)
    assert second == GroundLockReported(PILE, 2, LockPosition.UNKNOWN, False, None, None, START)
    assert third == GroundLockReported(PILE, 2, LockPosition.LOWERED, None, None, None, START)


def test_what_was_never_written_waits_again_only_where_that_is_right() -> None:
    commands, clock = MemoryCommands(), ManualClock(START)
    pump = CommandPump(commands, MemoryTariffs(), clock, 0.01, list, lambda _delivery: None)
    desk = CommandDesk(pump, clock, 5.0)
    base = PendingCommand("a", None, CommandKind.SET_WORK, PILE, 0, None, None, START + timedelta(hours=1))
    kinds = (CommandKind.SET_WORK, CommandKind.LOCK, CommandKind.REBOOT)
    for number, kind in enumerate(kinds):
        commands.add(replace(base, id=str(number), kind=kind))
        desk.not_written(commands.rows[str(number)])
    pump.start()
    wait_for(lambda: len(commands.details) == 3, "all marked")
    pump.stop()
    pump.join()
    assert [commands.states[str(n)] for n in range(3)] == [
        CommandState.PENDING, CommandState.FAILED, CommandState.FAILED
    ]  # fmt: skip


def test_a_long_update_is_waited_for_longer_than_other_answers() -> None:
    with running(answer_timeout_s=0.05) as house, house.login() as pile:
        expires_at = house.clock.now() + timedelta(minutes=1)
        update = PendingCommand("u", None, CommandKind.UPDATE, PILE, 0, None, None, expires_at, UPDATE, 600.0)
        house.commands.add(update)
        put(house, CommandKind.REBOOT, {"when_idle": False})
        assert {frame.type for frame in (pile.receive(), pile.receive()) if frame} == {0x94, 0x92}
        reached(house, "c1", CommandState.FAILED)
        assert house.commands.states["u"] is CommandState.SENT
        pile.raw(frame_of(0x93, CODE + b"\0"))
        reached(house, "u", CommandState.ACKNOWLEDGED)
