"""Every fault switch of ykc.md section 9 that is not already in `test_simulator_faults`, seen as bytes by a strange platform."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from charging_core.clock import ManualClock
from charging_core.simulator.faults import Faults
from tests.charging_core.simulator.simulator_platform import PILE, TRADE, Scene, cp56, eventually, from_cp56, play

NEXT = TRADE[:-1] + "2"


async def charge_a_minute(stage: Scene, **start: str) -> None:
    """A charge of one minute: 1 kWh."""
    if stage.pile.connectors[1].vehicle is None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
    await stage.charge(**start)
    stage.advance(60)
    stopped = len(stage.platform.all(0x35))
    stage.platform.stop()
    await stage.platform.wait(0x35, stopped + 1)
    await stage.settled()


def counted(stage: Scene, name: str) -> int:
    return int(stage.pile.counters[name])


def test_every_switch_has_a_test() -> None:
    """A new switch without a test fails here."""
    folder = Path(__file__).parent
    text = "".join((folder / f"test_simulator_{name}.py").read_text() for name in ("switches", "faults", "commands"))
    assert [field.name for field in fields(Faults) if f'"{field.name}":' not in text] == []


# --- the line -------------------------------------------------------------------------------------------------------


def test_random_sequence_numbers_still_echo(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        own = [int.from_bytes(one.sequence, "little") for one in stage.platform.got]
        assert all(after != before + 1 for before, after in pairwise(own))
        stage.pile.plug(1)
        stage.platform.start(sequence=b"\x12\x34")
        assert (await stage.platform.wait(0x33)).sequence == b"\x12\x34"

    play(manual_clock, story, faults={"sequence": "random"})


def test_always_zero_sequence_in_answers_too(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start(sequence=b"\x12\x34")
        await stage.platform.wait(0x33)
        assert {one.sequence for one in stage.platform.got} == {b"\0\0"}

    play(manual_clock, story, faults={"sequence": "zero"})


@pytest.mark.parametrize(("echo", "seen"), [("swapped", b"\x34\x12"), ("none", None)])
def test_echo_swapped_or_left_out(manual_clock: ManualClock, echo: str, seen: bytes | None) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        number = int.from_bytes(stage.platform.got[-1].sequence, "little")
        stage.platform.start(sequence=b"\x12\x34")
        answer = await stage.platform.wait(0x33)
        own = int.from_bytes(answer.sequence, "little")
        assert answer.sequence == seen if seen else number < own < number + 5

    play(manual_clock, story, faults={"echo": echo})


def test_frames_keep_their_gap(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await stage.platform.wait(0x13, 2)
        assert stage.platform.reads == [one.raw for one in stage.platform.got]
        times = stage.platform.read_at
        assert min(after - before for before, after in pairwise(times)) >= 0.02

    play(manual_clock, story, connectors=2, faults={"frame_gap_ms": 30})


def test_vendor_bytes_follow_heartbeats_and_samples_only(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.advance(10)
        heartbeat = await stage.platform.wait(0x03)
        sample = await stage.platform.wait(0x13)
        assert (len(heartbeat.body), len(sample.body), len(stage.platform.got[0].body)) == (9 + 7, 60 + 7, 30)
        assert heartbeat.body[9:] == bytes(7)

    play(manual_clock, story, faults={"extra_bytes": 7})


def test_half_open_link_is_left_without_a_word(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(30)
        await eventually(lambda: not stage.pile.online, "left")
        assert stage.platform.ended == 0
        stage.advance(20)
        await eventually(lambda: stage.platform.connections == 2 and stage.pile.online, "a new connection")
        assert stage.platform.ended == 0
        sample = await stage.platform.wait(0x13, 1, lambda one: one.connection == 2)
        assert (sample.body[24], sample.body[:16].hex().upper()) == (3, TRADE)

    play(manual_clock, story, faults={"half_open_after": 30, "link_loss_for": 20})


def test_second_connection_of_the_same_pile_takes_over(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(30)
        login = await stage.platform.wait(0x01, 2)
        assert (login.connection, login.body[:7].hex()) == (2, PILE)
        assert stage.platform.ended == 0
        await eventually(lambda: stage.pile.online, "logged in again")
        stage.advance(30)
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        assert (record.connection, record.uint(112, 4)) == (2, 10_000)

    play(manual_clock, story, faults={"second_connection_after": 30})


# --- start and stop -------------------------------------------------------------------------------------------------


def test_late_start_reply_after_the_charge_was_seen(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start(sequence=b"\x12\x34")
        await eventually(lambda: stage.pile.connectors[1].trade_number == TRADE, "obeyed")
        stage.advance(3)
        await stage.platform.wait(0x13, 1, lambda one: one.body[24] == 3)
        assert stage.platform.all(0x33) == []
        stage.advance(17)
        answer = await stage.platform.wait(0x33)
        assert (answer.body[24], answer.sequence) == (1, b"\x12\x34")

    play(manual_clock, story, faults={"late_start_reply": 20})


def test_accepted_start_that_never_charges_ends_without_energy(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24] == 1
        stage.advance(600)
        await stage.settled()
        assert {one.body[24] for one in stage.platform.all(0x13)} == {2}
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        assert (record.uint(112, 4), record.body[149]) == (0, 0x40)

    play(manual_clock, story, faults={"never_charges": True})


@pytest.mark.parametrize("code", [0x4A, 0x57, 0x64])
def test_failed_start_leaves_a_record_with_its_code(manual_clock: ManualClock, code: int) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24] == 1
        stage.advance(3)
        record = await stage.platform.wait(0x3B)
        assert (record.uint(112, 4), record.body[149]) == (0, code)
        assert stage.platform.all(0x15) == []

    play(manual_clock, story, faults={"start_failure": code})


@pytest.mark.parametrize("code", [0x6A, 0x79, 0x90])
def test_charge_aborted_on_the_way_with_its_code(manual_clock: ManualClock, code: int) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        record = await stage.platform.wait(0x3B)
        assert (record.uint(112, 4), record.body[149]) == (10_000, code)

    play(manual_clock, story, faults={"ends_after": 60, "end_code": code})


def test_ignored_stops_have_to_be_repeated(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        for _ in range(2):
            stage.platform.stop()
        await eventually(lambda: counted(stage, "stops_ignored") == 2, "ignored")
        assert stage.platform.all(0x35) == []
        stage.platform.stop()
        assert (await stage.platform.wait(0x35)).body[8] == 1
        await stage.platform.wait(0x3B)

    play(manual_clock, story, faults={"ignored_stops": 2})


def test_idle_samples_carry_the_last_trade_number(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        idle = await stage.platform.wait(0x13, 1, lambda one: one.body[24] == 2 and one.body[:16] != bytes(16))
        assert (idle.body[:16].hex().upper(), idle.uint(46, 4)) == (TRADE, 0)

    play(manual_clock, story, faults={"idle_trade_number": True})


# --- the record -----------------------------------------------------------------------------------------------------


def test_record_leaves_before_the_stop_reply(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        kinds = [one.kind for one in stage.platform.got]
        assert kinds.index(0x3B) < kinds.index(0x35)
        assert stage.platform.all(0x35)[0].body[8] == 1

    play(manual_clock, story, faults={"record_before_stop_reply": True})


def test_repetitions_carry_other_amounts(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        await stage.platform.wait(0x3B, 2)
        stage.advance(30)
        await stage.platform.wait(0x3B, 3)
        first, second, third = (one.body for one in stage.platform.all(0x3B))
        assert second == third != first
        assert int.from_bytes(second[120:124], "little") == int.from_bytes(first[120:124], "little") + 10_000
        assert second[112:116] == first[112:116]

    faults = {"changed_amounts": True, "duplicate_record": 1}
    play(manual_clock, story, manners={"confirm": False}, faults=faults)


def test_unconfirmed_record_and_a_new_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        await stage.platform.wait(0x3B)
        await stage.charge(trade=NEXT)
        assert stage.pile.records.unconfirmed == (TRADE,)
        stage.advance(30)
        await eventually(lambda: not stage.pile.records.unconfirmed, "confirmed at the second try")
        assert [one.body[:16].hex().upper() for one in stage.platform.all(0x3B)] == [TRADE, TRADE]
        assert stage.pile.connectors[1].trade_number == NEXT

    play(manual_clock, story, faults={"ignored_confirmations": 1})


def test_new_start_makes_the_pile_forget_its_record(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        await stage.platform.wait(0x3B)
        await charge_a_minute(stage, trade=NEXT)
        await stage.platform.wait(0x3B, 2)
        assert stage.pile.records.unconfirmed == (NEXT,)
        assert counted(stage, "records_dropped") == 1

    play(manual_clock, story, manners={"confirm": False}, faults={"start_drops_record": True})


def test_meter_readings_are_zero(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        record = await stage.platform.wait(0x3B)
        assert (record.uint(102, 5), record.uint(107, 5), record.uint(112, 4)) == (0, 0, 10_000)

    play(manual_clock, story, faults={"zero_meter": True})


def test_amounts_are_cut_to_two_decimals(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(31)
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        energy = record.uint(58, 4)
        assert (energy, record.uint(66, 4), record.uint(120, 4)) == (5166, 7200, 7200)

    play(manual_clock, story, faults={"cut_amounts": True})


def test_unknown_trade_flag(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_a_minute(stage)
        assert (await stage.platform.wait(0x3B)).body[141] == 9

    play(manual_clock, story, faults={"trade_flag": 9})


# --- clock and power ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
def test_clock_off_by_hours_until_it_is_set(manual_clock: ManualClock, deaf: bool) -> None:
    async def story(stage: Scene) -> None:
        now = manual_clock.now()
        stage.platform.send(0x56, bytes.fromhex(PILE) + cp56(now))
        answer = await stage.platform.wait(0x55)
        shown = from_cp56(answer.body[7:14])
        assert shown - now == (timedelta(hours=-3) if deaf else timedelta(0))

    play(manual_clock, story, faults={"clock_offset_s": -3 * 3600, "deaf_to_time": deaf})


def test_power_cut_sends_its_record_after_the_restart(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        stage.pile.cut_power(120)
        await eventually(lambda: stage.platform.ended == 1, "dark")
        stage.advance(119)
        stage.pile.agenda.run_due()
        assert (stage.platform.all(0x3B), stage.platform.connections) == ([], 1)
        stage.advance(1)
        record = await stage.platform.wait(0x3B)
        assert (record.connection, record.body[149], record.uint(112, 4)) == (2, 0x83, 10_000)

    play(manual_clock, story)
