"""What a simulated pile does wrong when told to, and how its records survive it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial

import pytest

from charging_core.clock import ManualClock
from charging_core.simulator.errors import ConfigError
from charging_core.simulator.faults import Faults
from tests.charging_core.simulator.simulator_platform import PILE, TRADE, Scene, eventually, play


def stored_samples(stage: Scene, count: int) -> bool:
    return bool(stage.pile.state()["stored_samples"] == count)


async def charge_six_minutes(stage: Scene) -> None:
    stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
    await stage.charge()
    stage.advance(360)
    stage.platform.stop()
    await stage.platform.wait(0x35)


def test_faults_are_validated_as_a_whole() -> None:
    assert Faults().changed({"late_record": 5}).late_record == 5
    for wrong in ({"late_recrod": 5}, {"late_record": -1}, {"duplicate_record": 1000}, {"link_loss_for": 10**6}):
        with pytest.raises(ConfigError, match="faults: "):
            Faults().changed(wrong)


# --- records --------------------------------------------------------------------------------------------------------


def test_record_is_resent_three_times_then_once_after_five_minutes(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        for sending in range(1, 4):
            await stage.platform.wait(0x3B, sending)
            stage.advance(30)
        await stage.platform.wait(0x3B, 4)
        stage.advance(299)
        await stage.settled()
        assert len(stage.platform.all(0x3B)) == 4
        stage.advance(1)
        await stage.platform.wait(0x3B, 5)
        stage.advance(3600)
        await stage.settled()
        assert len({one.body for one in stage.platform.all(0x3B)}) == 1
        assert len(stage.platform.all(0x3B)) == 5
        assert stage.pile.state()["unconfirmed_records"] == [TRADE]

    play(manual_clock, story, manners={"confirm": False})


def test_record_is_kept_until_its_own_confirmation(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await stage.platform.wait(0x3B)
        stage.platform.send(0x40, bytes.fromhex("9" * 32) + b"\0")
        stage.platform.send(0x40, bytes.fromhex(TRADE) + b"\1")
        stage.advance(30)
        await stage.platform.wait(0x3B, 2)
        stage.platform.send(0x40, bytes.fromhex(TRADE) + b"\0")
        await eventually(lambda: not stage.pile.state()["unconfirmed_records"], "confirmed")
        stage.advance(400)
        await stage.settled()
        assert len(stage.platform.all(0x3B)) == 2
        assert stage.pile.state()["counters"]["confirmations_without_record"] == 2

    play(manual_clock, story, manners={"confirm": False})


def test_an_answer_gets_real_time_even_on_a_fast_clock(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await charge_six_minutes(stage)
        stage.advance(3000)
        await stage.platform.wait(0x3B, 2)
        assert loop.time() - begun >= 0.5

    periods = {"real_reconnect_s": [0.02, 0.04], "real_answer_floor_s": 0.5}
    play(manual_clock, story, manners={"confirm": False}, periods=periods)


def test_unconfirmed_record_is_replayed_after_a_new_login(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await stage.platform.wait(0x3B)
        stage.platform.behave(confirm=True)
        assert stage.platform.writer is not None
        stage.platform.writer.close()
        again = await stage.platform.wait(0x3B, 2)
        assert again.connection == 2
        assert again.body == stage.platform.all(0x3B)[0].body
        await eventually(lambda: not stage.pile.state()["unconfirmed_records"], "confirmed")

    play(manual_clock, story, manners={"confirm": False})


def test_duplicate_records_go_out_at_once(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await stage.platform.wait(0x3B, 3)
        await stage.settled()
        stage.advance(400)
        await stage.settled()
        records = stage.platform.all(0x3B)
        assert len(records) == 3
        assert len({one.body for one in records}) == 1
        assert len({one.sequence for one in records}) == 3

    play(manual_clock, story, faults={"duplicate_record": 2})


def test_late_record_comes_late_even_over_a_reconnect(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        stage.advance(60)
        assert stage.platform.writer is not None
        stage.platform.writer.close()
        await eventually(lambda: stage.platform.connections == 2 and stage.pile.online, "reconnected")
        stage.advance(59)
        await stage.settled()
        assert stage.platform.all(0x3B) == []
        stage.advance(1)
        await stage.platform.wait(0x3B)

    play(manual_clock, story, faults={"late_record": 120})


# --- link -----------------------------------------------------------------------------------------------------------


def test_charge_goes_on_without_a_link_and_is_replayed(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        await eventually(lambda: not stage.pile.online, "link lost")
        for stored in range(1, 5):
            stage.advance(15)
            await eventually(partial(stored_samples, stage, stored), "stored sample")
        before = len(stage.platform.got)
        stage.advance(60)
        await eventually(lambda: stage.pile.online, "back")
        samples = await stage.platform.wait(0x13, 6, lambda one: one.connection == 2)
        assert samples.body[24] == 3
        replayed = [one for one in stage.platform.got[before:] if one.kind == 0x13]
        assert {one.body[:16].hex().upper() for one in replayed} == {TRADE}
        energies = [one.uint(46, 4) for one in replayed]
        assert energies == sorted(energies)
        assert energies[:4] == [12_500, 15_000, 17_500, 20_000]
        stage.advance(180)
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        assert (record.body[:16].hex().upper(), record.uint(112, 4)) == (TRADE, 60_000)

    play(manual_clock, story, faults={"link_loss_after": 60, "link_loss_for": 120})


def test_charge_that_ends_without_a_link_reports_after_login(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        await eventually(lambda: not stage.pile.online, "link lost")
        stage.pile.unplug(1)
        assert stage.pile.state()["unconfirmed_records"] == [TRADE]
        stage.advance(120)
        record = await stage.platform.wait(0x3B)
        assert (record.connection, record.body[149], record.uint(112, 4)) == (2, 0x6B, 10_000)
        await eventually(lambda: not stage.pile.state()["unconfirmed_records"], "confirmed")

    play(manual_clock, story, faults={"link_loss_after": 60, "link_loss_for": 120})


def test_reversed_check_bytes_in_both_directions(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await eventually(lambda: stage.pile.state()["confirmed_records"] == 1, "confirmed")

    play(manual_clock, story, faults={"reversed_crc": True}, manners={"order": ">H"})


def test_a_pile_with_reversed_check_bytes_does_not_understand_the_standard_order(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await stage.platform.wait(0x01)
        stage.advance(10)
        await stage.platform.wait(0x01, 2)
        assert not stage.pile.online

    play(manual_clock, story, ready=False, faults={"reversed_crc": True}, manners={"order": ">H", "reply_order": "<H"})


def test_split_writes_arrive_in_pieces(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await stage.platform.wait(0x3B)
        assert len(stage.platform.reads) >= 2 * len(stage.platform.got)
        login = stage.platform.got[0].raw
        assert len(stage.platform.reads[0]) < len(login)

    play(manual_clock, story, faults={"split_writes": True})


def test_glued_writes_arrive_together(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        record = await stage.platform.wait(0x3B)
        together = next(read for read in stage.platform.reads if record.raw in read)
        assert stage.platform.all(0x35)[0].raw in together

    play(manual_clock, story, faults={"glued_writes": True})


def test_glued_and_split_writes_keep_every_frame(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await charge_six_minutes(stage)
        await stage.platform.wait(0x3B)
        assert b"".join(stage.platform.reads) == b"".join(one.raw for one in stage.platform.got)

    play(manual_clock, story, faults={"glued_writes": True, "split_writes": True})


# --- dialogue -------------------------------------------------------------------------------------------------------


def test_no_start_reply_but_the_charge_runs(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start()
        await eventually(lambda: stage.pile.state()["connectors"][0]["phase"] == "starting", "started")
        stage.advance(3)
        await stage.platform.wait(0x13, 1, lambda one: one.body[24] == 3)
        assert stage.platform.all(0x33) == []

    play(manual_clock, story, faults={"no_start_reply": True})


@pytest.mark.parametrize("glitches", [1, 2])
def test_idle_glitch_in_the_middle_of_a_charge(manual_clock: ManualClock, glitches: int) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        seen = len(stage.platform.all(0x13))
        for step in range(1, 5):
            stage.advance(15)
            await stage.platform.wait(0x13, seen + step)
        states = [one.body[24] for one in stage.platform.all(0x13)[seen:]]
        assert states == [2] * glitches + [3] * (4 - glitches)

    play(manual_clock, story, faults={"idle_glitch": glitches})


def test_faults_can_be_switched_while_running(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.change_faults({"no_start_reply": True})
        stage.pile.plug(1)
        stage.platform.start()
        await eventually(lambda: stage.pile.state()["counters"].get("start_replies_swallowed"), "swallowed")
        stage.pile.change_faults({"no_start_reply": False})
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24] == 1
        assert stage.pile.state()["faults"]["no_start_reply"] is False

    play(manual_clock, story)


def test_damaged_and_unknown_frames_are_counted_and_skipped(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        assert stage.platform.writer is not None
        stage.platform.writer.write(bytes.fromhex("680D0700003403"))
        stage.platform.send(0x38, bytes.fromhex(PILE) + b"\1")
        stage.platform.send(0x34, b"\0\0")
        stage.platform.send(0x12, bytes.fromhex(PILE + "01"))
        await stage.platform.wait(0x13, 2)
        assert stage.pile.state()["counters"]["frames_not_understood"] == 2

    play(manual_clock, story)
