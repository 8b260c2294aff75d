"""A simulated pile over real TCP: what it says on a connection before and beside charging."""

from __future__ import annotations

import struct
from datetime import timedelta
from decimal import Decimal

from charging_core.clock import CHINA, ManualClock
from charging_core.simulator.messages import Condition
from tests.charging_core.simulator.simulator_platform import (
    MODEL,
    PILE,
    QUICK,
    SLOTS,
    TRADE,
    Scene,
    cp56,
    eventually,
    from_cp56,
    model,
    play,
)

VIN = "LTEST000000000017"


# --- login and periods ----------------------------------------------------------------------------------------------


def test_login_says_who_the_pile_is(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        login = stage.platform.got[0]
        assert (login.kind, login.sequence) == (0x01, b"\0\0")
        assert login.body[:10] == bytes.fromhex(PILE) + bytes((1, 2, 0x0F))
        assert login.body[10:18].rstrip(b"\0") == b"V9.1"

    play(manual_clock, story, type="ac", connectors=2, protocol_version="1.5", software="V9.1")


def test_pile_fetches_its_model_and_verifies_again(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        assert [one.kind for one in stage.platform.got if one.kind in (0x05, 0x09)] == [0x05, 0x09, 0x05]
        assert [one.body[7:9].hex() for one in stage.platform.all(0x05)] == ["0000", "0100"]
        stage.advance(60)
        await stage.settled()
        assert len(stage.platform.all(0x05)) == 2

    play(manual_clock, story)


def test_unanswered_login_and_model_requests_are_repeated(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await stage.platform.wait(0x01)
        stage.advance(10)
        await stage.platform.wait(0x01, 2)
        assert stage.platform.connections == 1
        stage.platform.behave(answer_login=True)
        stage.advance(10)
        await stage.platform.wait(0x05)
        stage.advance(10)
        await stage.platform.wait(0x05, 2)
        stage.platform.behave(answer_models=True)
        stage.advance(10)
        await eventually(lambda: stage.pile.model is not None, "model")

    play(manual_clock, story, ready=False, manners={"answer_login": False, "answer_models": False})


def test_refused_login_is_tried_again_on_a_new_connection(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await eventually(lambda: stage.platform.connections >= 2, "second connection")
        assert not stage.pile.online
        assert {one.kind for one in stage.platform.got} == {0x01}
        stage.platform.behave(accept=True)
        await stage.pile.wait_logged_in()

    play(manual_clock, story, ready=False, manners={"accept": False})


def test_commands_before_the_login_reply_are_ignored(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await stage.platform.wait(0x01)
        stage.platform.start()
        stage.platform.send(0x12, bytes.fromhex(PILE + "01"))
        await eventually(lambda: stage.pile.state()["counters"].get("frames_before_login") == 2, "ignored")
        assert {one.kind for one in stage.platform.got} == {0x01}

    play(manual_clock, story, ready=False, manners={"answer_login": False})


def test_heartbeat_per_connector_every_ten_seconds(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.set_condition(2, Condition.MODULE_FAULT)
        for beat in range(1, 4):
            stage.advance(10)
            await stage.platform.wait(0x03, beat * 2)
        assert [(one.body[7], one.body[8]) for one in stage.platform.all(0x03)] == [(1, 0), (2, 1)] * 3

    play(manual_clock, story, connectors=2)


def test_sequence_counts_from_zero_and_replies_repeat_it(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x56, bytes.fromhex(PILE) + cp56(stage.clock.now()), sequence=b"\xab\xcd")
        assert (await stage.platform.wait(0x55)).sequence == b"\xab\xcd"
        own = [one.sequence for one in stage.platform.got if one.kind != 0x55]
        assert own == [struct.pack("<H", number) for number in range(len(own))]

    play(manual_clock, story)


def test_samples_after_login_on_change_on_request_and_idle(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        first = await stage.platform.wait(0x13, 2)
        assert [one.body[23] for one in stage.platform.all(0x13)] == [1, 2]
        assert first.body == bytes(16) + bytes.fromhex(PILE) + bytes((2, 2, 1)) + bytes(34)
        stage.pile.plug(2)
        assert (await stage.platform.wait(0x13, 3)).body[23:27] == bytes((2, 2, 0, 1))
        stage.platform.send(0x12, bytes.fromhex(PILE + "01"))
        assert (await stage.platform.wait(0x13, 4)).body[23:27] == bytes((1, 2, 1, 0))
        stage.advance(300)
        await stage.platform.wait(0x13, 6)

    play(manual_clock, story, connectors=2)


def test_pile_takes_over_the_time_of_the_platform(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        told = stage.clock.now() + timedelta(hours=3)
        stage.platform.send(0x56, bytes.fromhex(PILE) + cp56(told))
        assert from_cp56((await stage.platform.wait(0x55)).body[7:]) == told
        stage.platform.send(0x56, bytes.fromhex(PILE) + bytes(7))
        assert from_cp56((await stage.platform.wait(0x55, 2)).body[7:]) == told

    play(manual_clock, story)


def test_dead_link_is_left_and_replaced(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.behave(mute=True)
        await stage.advance_until(lambda: stage.platform.connections > 2, "left once online, once in the login")
        assert len(stage.platform.all(0x03)) > 3
        stage.platform.behave(mute=False)
        await stage.advance_until(lambda: stage.pile.online, "login")
        assert stage.pile.state()["counters"]["dead_links"] >= 2

    play(manual_clock, story, periods=QUICK.model_copy(update={"real_link_timeout_s": 0.3}))


# --- billing model --------------------------------------------------------------------------------------------------


def test_a_new_model_does_not_touch_the_running_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.platform.send(0x58, model("0200", [(900000, 0)] * 4, SLOTS))
        assert (await stage.platform.wait(0x57)).body[7] == 1
        stage.advance(360)
        stage.platform.stop()
        assert (await stage.platform.wait(0x3B)).uint(54, 4) == 140_000
        await stage.charge(trade=TRADE[:-1] + "2")
        stage.advance(360)
        stage.platform.stop()
        assert (await stage.platform.wait(0x3B, 2)).uint(54, 4) == 900_000

    play(manual_clock, story)


def test_a_model_that_makes_no_sense_is_answered_with_failure(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.send(0x58, model("0200", [(1, 1)] * 4, [9] * 48))
        assert (await stage.platform.wait(0x57)).body[7] == 0
        stage.platform.send(0x58, MODEL.replace(bytes.fromhex(PILE), bytes.fromhex("31000199000099")))
        assert (await stage.platform.wait(0x57, 2)).body[7] == 0
        assert stage.pile.state()["model_number"] == "0100"

    play(manual_clock, story)


def test_record_times_are_the_corrected_time_of_the_pile(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        platform_time = stage.clock.now() + timedelta(hours=1)
        stage.platform.send(0x56, bytes.fromhex(PILE) + cp56(platform_time))
        await stage.platform.wait(0x55)
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(60)
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        assert from_cp56(record.body[24:31]) == platform_time.astimezone(CHINA) + timedelta(seconds=3)
        # 09:00 is a flat slot: the tariff follows the pile's clock
        assert record.uint(70 + 4, 4) == 10_000

    play(manual_clock, story)
