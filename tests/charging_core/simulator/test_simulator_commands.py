"""What a simulated pile does when the platform sets, asks or restarts it: cards, power, locks, restart, firmware, QR, balance."""

from __future__ import annotations

import struct
from datetime import timedelta
from decimal import Decimal

import pytest

from charging_core.clock import ManualClock
from tests.charging_core.simulator.simulator_platform import PILE, Scene, eventually, play

CODE = bytes.fromhex(PILE)
ONE, TWO = bytes.fromhex("00000000E14C0A54"), bytes.fromhex("00000000E14C0A55")
LOGICAL = bytes.fromhex("1000000000000001")
SEQUENCE = b"\x21\x43"


# --- off-line cards -------------------------------------------------------------------------------------------------


def test_cards_are_synchronised_queried_and_cleared(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x44, CODE + b"\x02" + LOGICAL + ONE + LOGICAL + TWO, SEQUENCE)
        synced = await stage.platform.wait(0x43)
        assert (synced.body, synced.sequence) == (CODE + b"\1\0", SEQUENCE)
        assert stage.pile.equipment.cards[ONE.hex().upper()] == LOGICAL.hex()
        stage.platform.send(0x46, CODE + b"\x01" + ONE)
        assert (await stage.platform.wait(0x45)).body == CODE + ONE + b"\1\0"
        stage.platform.send(0x48, CODE + b"\x02" + ONE + TWO)
        assert (await stage.platform.wait(0x47)).body == CODE + ONE + b"\0" + TWO + b"\1"

    play(manual_clock, story)


def test_a_full_memory_refuses_cards(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x44, CODE + b"\x01" + LOGICAL + ONE)
        assert (await stage.platform.wait(0x43)).body == CODE + b"\0\2"
        assert ONE.hex().upper() not in stage.pile.equipment.cards

    play(manual_clock, story, cards={f"{number:016d}": "0" * 16 for number in range(1000)})


def test_a_list_shorter_than_it_says_is_not_answered(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x44, CODE + b"\x02" + LOGICAL + ONE)
        await eventually(lambda: stage.pile.counters["frames_not_understood"] == 1, "counted")
        assert (stage.platform.all(0x43), stage.pile.equipment.cards) == ([], {})

    play(manual_clock, story)


# --- work parameters ------------------------------------------------------------------------------------------------


def test_out_of_service_refuses_starts_until_it_works_again(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.send(0x52, CODE + b"\x01\x64", SEQUENCE)
        answer = await stage.platform.wait(0x51)
        assert (answer.body, answer.sequence) == (CODE + b"\1", SEQUENCE)
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24:] == b"\0\3"
        stage.platform.send(0x52, CODE + b"\x00\x64")
        await stage.platform.wait(0x51, 2)
        stage.platform.start()
        assert (await stage.platform.wait(0x33, 2)).body[24:] == b"\1\0"

    play(manual_clock, story)


def test_less_power_from_now_on_also_for_a_running_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        stage.platform.send(0x52, CODE + b"\x00\x32")
        await stage.platform.wait(0x51)
        stage.advance(60)
        stage.platform.stop()
        assert (await stage.platform.wait(0x3B)).uint(112, 4) == 15_000

    play(manual_clock, story)


@pytest.mark.parametrize("parameters", [b"\x00\x1d", b"\x00\x65", b"\x02\x64"])
def test_work_parameters_out_of_range_are_refused(manual_clock: ManualClock, parameters: bytes) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x52, CODE + parameters)
        assert (await stage.platform.wait(0x51)).body == CODE + b"\0"

    play(manual_clock, story)


# --- ground lock ----------------------------------------------------------------------------------------------------


def test_ground_lock_reports_moves_and_reports_again(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        assert (await stage.platform.wait(0x61)).body == CODE + b"\x01\xff\x00\x64\x00" + bytes(4)
        stage.platform.send(0x62, CODE + b"\x01\x55" + bytes(4), SEQUENCE)
        answer = await stage.platform.wait(0x63)
        assert (answer.body, answer.sequence) == (CODE + b"\x01\x01" + bytes(4), SEQUENCE)
        assert (await stage.platform.wait(0x61, 2)).body[8] == 0x55
        stage.pile.plug(1)
        stage.advance(300)
        assert (await stage.platform.wait(0x61, 3)).body[8:10] == b"\x55\xff"

    play(manual_clock, story, ground_locks=True)


def test_a_pile_without_ground_locks_refuses_to_move_one(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x62, CODE + b"\x01\x55" + bytes(4))
        assert (await stage.platform.wait(0x63)).body == CODE + b"\x01\x00" + bytes(4)
        assert stage.platform.all(0x61) == []

    play(manual_clock, story)


# --- restart, firmware, QR ------------------------------------------------------------------------------------------


def test_reboot_now_ends_the_charge_and_comes_back(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        stage.platform.send(0x92, CODE + b"\1", SEQUENCE)
        await eventually(lambda: stage.platform.ended == 1, "gone")
        answer = stage.platform.all(0x91)[0]
        assert (answer.body, answer.sequence) == (CODE + b"\1", SEQUENCE)
        stage.advance(20)
        record = await stage.platform.wait(0x3B)
        assert (record.connection, record.body[149]) == (2, 0x83)

    play(manual_clock, story)


def test_reboot_when_idle_waits_for_the_end_of_the_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.platform.send(0x92, CODE + b"\2")
        await stage.platform.wait(0x91)
        stage.advance(60)
        await stage.settled()
        assert stage.platform.connections == 1
        stage.platform.stop()
        await eventually(lambda: stage.platform.ended == 1, "restarts now")
        stage.advance(20)
        record = await stage.platform.wait(0x3B, 1, lambda one: one.connection == 2)
        assert record.body[149] == 0x40

    play(manual_clock, story)


def update(when: int = 1) -> bytes:
    """Body of 0x94 after the pile code."""
    return (
        struct.pack("<BH16sH16s16s32s", 1, 60, b"192.0.2.1", 21, b"user", b"secret", b"/firmware/SIM2.0")
        + bytes((when, 5))
    )  # fmt: skip


def test_firmware_update_is_answered_after_the_attempt_and_shows_at_login(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x94, CODE + update(), SEQUENCE)
        await stage.settled()
        assert stage.platform.all(0x93) == []
        stage.advance(60)
        answer = await stage.platform.wait(0x93)
        assert (answer.body, answer.sequence) == (CODE + b"\0", SEQUENCE)
        await eventually(lambda: stage.platform.ended == 1, "restarts")
        stage.advance(20)
        login = await stage.platform.wait(0x01, 2)
        assert login.body[10:18] == b"SIM2.0\0\0"

    play(manual_clock, story)


@pytest.mark.parametrize("result", [1, 2, 3])
def test_failed_firmware_update_changes_nothing(manual_clock: ManualClock, result: int) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x94, CODE + update())
        await stage.settled()
        stage.advance(60)
        assert (await stage.platform.wait(0x93)).body == CODE + bytes((result,))
        await stage.settled()
        assert (stage.platform.connections, stage.pile.equipment.software) == (1, "SIM1.0")

    play(manual_clock, story, faults={"update_result": result})


def test_qr_prefix_is_kept_until_the_power_goes(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0xF0, CODE + b"\x01\x13" + b"https://q.example/p", SEQUENCE)
        answer = await stage.platform.wait(0xF1)
        assert (answer.body, answer.sequence) == (CODE + b"\0", SEQUENCE)
        assert stage.pile.state()["equipment"]["qr_prefix"] == "https://q.example/p"
        stage.pile.cut_power(10)
        assert stage.pile.state()["equipment"]["qr_prefix"] is None

    play(manual_clock, story)


# --- balance --------------------------------------------------------------------------------------------------------


def balance(fen: int, card: bytes = bytes(8)) -> bytes:
    """Body of 0x42."""
    return CODE + b"\1" + card + struct.pack("<I", fen)


def test_new_balance_prolongs_a_running_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge(balance_fen=140)
        stage.advance(30)
        stage.platform.send(0x42, balance(280), SEQUENCE)
        answer = await stage.platform.wait(0x41)
        assert (answer.body, answer.sequence) == (CODE + bytes(8) + b"\0", SEQUENCE)
        stage.advance(90)
        record = await stage.platform.wait(0x3B)
        assert (record.uint(120, 4), record.body[149]) == (28_000, 0x6E)
        ended = timedelta(milliseconds=record.uint(31, 2)) - timedelta(milliseconds=record.uint(24, 2))
        assert ended == timedelta(0)

    play(manual_clock, story)


def test_balance_for_another_card_is_refused(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        await stage.charge()
        stage.platform.send(0x42, balance(280, ONE))
        assert (await stage.platform.wait(0x41)).body == CODE + ONE + b"\2"
        stage.platform.send(0x42, bytes.fromhex("99" * 7) + balance(280)[7:])
        assert (await stage.platform.wait(0x41, 2)).body == CODE + bytes(8) + b"\1"

    play(manual_clock, story)
