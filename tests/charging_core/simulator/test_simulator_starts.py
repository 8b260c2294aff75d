"""Starts at the pile: card, VIN, parallel, off-line; and the frames of the battery while a DC pile charges."""

from __future__ import annotations

import hashlib
import struct
from decimal import Decimal

import pytest

from charging_core.clock import ManualClock
from charging_core.simulator.errors import ActionError
from tests.charging_core.simulator.simulator_platform import PILE, TRADE, Got, Scene, eventually, play

CODE = bytes.fromhex(PILE)
CARD = "00000000E14C0A54"
LOGICAL = bytes.fromhex("1000000000000001")
VIN = "LTEST000000000017"
SECOND = TRADE[:14] + "02" + TRADE[16:]


def allow(stage: Scene, trade: str = TRADE, result: int = 1, reason: int = 0, group: bytes = b"") -> None:
    """0x32, or 0xA2 for a group."""
    body = bytes.fromhex(trade) + CODE + bytes.fromhex(trade[14:16]) + LOGICAL + struct.pack("<I", 5000)
    stage.platform.send(0xA2 if group else 0x32, body + bytes((result, reason)) + group)


async def flowing(stage: Scene, trade: str = TRADE) -> Got:
    """The first sample that shows this charge."""
    number = int(trade[14:16])
    await eventually(lambda: stage.pile.connectors[number].trade_number == trade, "accepted")
    stage.advance(3)
    return await stage.platform.wait(0x13, 1, lambda one: one.body[24] == 3 and one.body[:16].hex().upper() == trade)


def test_card_starts_and_ends_its_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        stage.pile.present_card(1, CARD)
        asked = await stage.platform.wait(0x31)
        assert asked.body == CODE + b"\1\1\0" + bytes.fromhex(CARD) + bytes(16) + bytes(17)
        allow(stage)
        await flowing(stage)
        assert stage.platform.all(0x33) == []
        stage.advance(60)
        stage.pile.present_card(1, CARD)
        record = await stage.platform.wait(0x3B)
        assert (record.body[141], record.body[149], record.body[150:].hex().upper()) == (2, 0x45, CARD)
        assert record.uint(112, 4) == 10_000

    play(manual_clock, story)


def test_password_is_the_middle_of_its_md5(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.present_card(1, CARD, "1234")
        asked = await stage.platform.wait(0x31)
        assert asked.body[9] == 1
        assert asked.body[18:34].decode() == hashlib.md5(b"1234").hexdigest()[8:24]

    play(manual_clock, story)


def test_balance_of_the_answer_ends_the_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        stage.pile.present_card(1, CARD)
        await stage.platform.wait(0x31)
        allow(stage)
        await flowing(stage)
        stage.advance(3600)
        record = await stage.platform.wait(0x3B)
        assert (record.uint(120, 4), record.body[149]) == (500_000, 0x6E)

    play(manual_clock, story)


def test_refused_card_starts_nothing_and_may_try_again(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.present_card(1, CARD)
        await stage.platform.wait(0x31)
        with pytest.raises(ActionError):
            stage.pile.present_card(1, CARD)
        allow(stage, trade="0" * 14 + "01" + "0" * 16, result=0, reason=3)
        await eventually(lambda: stage.pile.starts.refusals == [3], "refused")
        stage.pile.present_card(1, CARD)
        await stage.platform.wait(0x31, 2)

    play(manual_clock, story)


def test_unanswered_request_is_given_up(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.present_card(1, CARD)
        await stage.platform.wait(0x31)
        stage.advance(30)
        await eventually(lambda: stage.pile.counters["requests_unanswered"], "given up")
        allow(stage)
        await eventually(lambda: stage.pile.counters["answers_without_request"], "too late")
        assert stage.pile.connectors[1].trade_number is None

    play(manual_clock, story)


def test_car_that_left_meanwhile_ends_with_an_empty_record(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.present_card(1, CARD)
        await stage.platform.wait(0x31)
        stage.pile.unplug(1)
        allow(stage)
        record = await stage.platform.wait(0x3B)
        assert (record.body[:16].hex().upper(), record.uint(112, 4), record.body[149]) == (TRADE, 0, 0x4B)

    play(manual_clock, story)


def test_vin_goes_reversed_in_the_request_and_straight_in_the_record(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, vin=VIN, soc=0, battery_kwh=Decimal(200))
        stage.pile.present_vin(1)
        asked = await stage.platform.wait(0x31)
        assert (asked.body[8], asked.body[10:18], asked.body[34:].decode()) == (3, bytes(8), VIN[::-1])
        allow(stage)
        await flowing(stage)
        stage.pile.unplug(1)
        record = await stage.platform.wait(0x3B)
        assert (record.body[124:141].decode(), record.body[141]) == (VIN, 5)

    play(manual_clock, story)


def test_no_request_without_a_car_a_vin_or_a_model(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        with pytest.raises(ActionError):
            stage.pile.present_card(1, CARD)
        stage.pile.plug(1)
        with pytest.raises(ActionError):
            stage.pile.present_vin(1)
        stage.pile.model = None
        with pytest.raises(ActionError):
            stage.pile.present_card(1, CARD)

    play(manual_clock, story)


# --- parallel -------------------------------------------------------------------------------------------------------


def test_parallel_charge_begins_when_both_connectors_are_accepted(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.plug(2)
        stage.pile.present_parallel([1, 2], CARD)
        main, other = await stage.platform.wait(0xA1), await stage.platform.wait(0xA1, 2)
        assert (main.body[7], main.body[51], other.body[7], other.body[51]) == (1, 0, 2, 1)
        group = main.body[52:]
        assert group == other.body[52:] != bytes(6)
        allow(stage, group=group)
        await stage.settled()
        assert stage.pile.connectors[1].trade_number is None
        allow(stage, SECOND, group=group)
        await flowing(stage)
        await stage.platform.wait(0x13, 1, lambda one: one.body[:16].hex().upper() == SECOND)

    play(manual_clock, story, connectors=2)


def test_one_refusal_ends_the_whole_parallel_request(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.plug(2)
        stage.pile.present_parallel([1, 2], CARD)
        group = (await stage.platform.wait(0xA1, 2)).body[52:]
        allow(stage, group=group)
        allow(stage, SECOND, result=0, reason=8, group=group)
        await eventually(lambda: stage.pile.starts.refusals == [8], "refused")
        assert [one.trade_number for one in stage.pile.connectors.values()] == [None, None]

    play(manual_clock, story, connectors=2)


def test_remote_parallel_start_is_answered_with_role_and_group(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.pile.plug(2)
        group = bytes.fromhex("260302080000")
        for trade in (TRADE, SECOND):
            body = (
                bytes.fromhex(trade) + CODE + bytes.fromhex(trade[14:16]) + bytes(16) + struct.pack("<I", 5000) + group
            )
            stage.platform.send(0xA4, body, b"\x05\x06")
        first, second = await stage.platform.wait(0xA3), await stage.platform.wait(0xA3, 2)
        assert (first.body[24:], second.body[24:]) == (b"\1\0\0" + group, b"\1\0\1" + group)
        assert first.sequence == b"\x05\x06"
        await flowing(stage)

    play(manual_clock, story, connectors=2)


# --- off-line -------------------------------------------------------------------------------------------------------


def test_offline_card_charges_under_a_number_of_the_pile(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        stage.pile.lose_link(120)
        await eventually(lambda: not stage.pile.online, "off-line")
        with pytest.raises(ActionError):
            stage.pile.present_card(1, "00000000FFFFFFFF")
        stage.pile.present_card(1, CARD)
        stage.advance(3)
        await eventually(lambda: stage.pile.connectors[1].phase.value == "charging", "charging")
        stage.advance(60)
        stage.pile.present_card(1, CARD)
        stage.advance(60)
        record = await stage.platform.wait(0x3B)
        trade = record.body[:16].hex()
        assert (trade[:16], record.body[141], record.uint(112, 4)) == (PILE + "01", 4, 10_000)
        assert record.body[150:].hex().upper() == CARD
        sample = next(one for one in stage.platform.all(0x13) if one.connection == 2)
        assert sample.body[:16].hex() == trade

    play(manual_clock, story, cards={CARD: LOGICAL.hex()})


# --- the battery ----------------------------------------------------------------------------------------------------


def test_dc_pile_passes_on_the_dialogue_with_the_battery(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, vin=VIN, soc=40, battery_kwh=Decimal(80))
        await stage.charge()
        handshake, parameters = await stage.platform.wait(0x15), await stage.platform.wait(0x17)
        assert (len(handshake.body), handshake.body[48:65].decode()) == (73, VIN)
        assert (len(parameters.body), parameters.uint(28, 2), parameters.uint(33, 2)) == (45, 800, 400)
        stage.advance(15)
        demand, state = await stage.platform.wait(0x23), await stage.platform.wait(0x25)
        assert (len(demand.body), demand.uint(31, 2) - 4000, demand.body[35]) == (44, 1500, 40)
        assert (len(state.body), state.body[30] >> 4 & 3) == (31, 1)
        stage.platform.stop()
        end = await stage.platform.wait(0x19)
        assert (len(end.body), end.body[24], end.uint(33, 2)) == (39, 40, 2)
        assert len((await stage.platform.wait(0x21)).body) == 28
        assert {one.body[:16].hex().upper() for one in (handshake, parameters, demand, state, end)} == {TRADE}

    play(manual_clock, story)


def test_full_battery_aborts_by_the_vehicle(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=99, battery_kwh=Decimal(20))
        await stage.charge()
        stage.advance(3600)
        assert (await stage.platform.wait(0x1D)).body[24:] == b"\1\0\0\0"
        assert (await stage.platform.wait(0x19)).body[24] == 100

    play(manual_clock, story)


@pytest.mark.parametrize("settings", [{"type": "ac"}, {"battery_frames": False}])
def test_no_battery_frames_from_ac_piles_or_when_switched_off(
    manual_clock: ManualClock, settings: dict[str, object]
) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        await stage.charge()
        stage.advance(15)
        stage.platform.stop()
        await stage.platform.wait(0x3B)
        assert not {0x15, 0x17, 0x19, 0x1D, 0x21, 0x23, 0x25} & {one.kind for one in stage.platform.got}

    play(manual_clock, story, **settings)
