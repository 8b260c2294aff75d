"""A simulated pile over real TCP: start, charge, every way to stop, record."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ManualClock, ScaledClock
from charging_core.simulator.errors import ActionError, ConfigError
from charging_core.simulator.messages import Condition
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import DriverLimits, PileSettings
from tests.charging_core.simulator.simulator_platform import (
    PILE,
    TRADE,
    Platform,
    Scene,
    eventually,
    from_cp56,
    play,
    run,
)

VIN = "LTEST000000000017"


# --- one whole charge -----------------------------------------------------------------------------------------------


def test_start_charge_stop_record(manual_clock: ManualClock) -> None:
    """08:19:57 + 3 s to 09:00 at 60 kW: 10 kWh at 1.4 (peak until 08:30), 30 kWh at 1.1 yuan."""

    async def story(stage: Scene) -> None:
        stage.advance(19 * 60 + 57)
        stage.pile.plug(1, vin=VIN, soc=0, battery_kwh=Decimal(200), power_kw=Decimal(90))
        await stage.charge()
        reply = stage.platform.all(0x33)[0]
        assert reply.body == bytes.fromhex(TRADE + PILE) + bytes((1, 1, 0))
        assert reply.sequence == b"\x0c\x00"

        samples = len(stage.platform.all(0x13))
        for step in range(1, 4):
            stage.advance(15)
            await stage.platform.wait(0x13, samples + step)
        running = stage.platform.all(0x13)[-1]
        assert running.body[:24] == bytes.fromhex(TRADE + PILE) + b"\x01"
        assert (running.body[24], running.uint(27, 2), running.uint(29, 2)) == (3, 4000, 1500)
        assert (running.uint(46, 4), running.uint(50, 4), running.uint(54, 4)) == (7500, 7500, 10500)

        stage.advance(40 * 60 - 45)
        stage.platform.stop()
        assert (await stage.platform.wait(0x35)).body == bytes.fromhex(PILE) + bytes((1, 1, 0))
        record = await stage.platform.wait(0x3B)
        check_record(record.body)
        kinds = [one.kind for one in stage.platform.got]
        assert kinds.index(0x35) < kinds.index(0x3B)
        assert stage.platform.all(0x13)[-1].body[24] == 2
        await eventually(lambda: stage.pile.state()["confirmed_records"] == 1, "confirmed")
        assert stage.pile.state()["unconfirmed_records"] == []

    def check_record(body: bytes) -> None:
        assert len(body) == 158
        assert body[:24] == bytes.fromhex(TRADE + PILE) + b"\x01"
        assert from_cp56(body[24:31]).isoformat() == "2026-03-02T08:20:00+08:00"
        assert from_cp56(body[31:38]).isoformat() == "2026-03-02T09:00:00+08:00"
        rates = [struct.unpack_from("<4I", body, 38 + 16 * i) for i in range(4)]
        assert rates == [
            (160000, 0, 0, 0),
            (140000, 100000, 100000, 140000),
            (110000, 300000, 300000, 330000),
            (60000, 0, 0, 0),
        ]
        meter = [int.from_bytes(body[at : at + 5], "little") for at in (102, 107)]
        assert meter == [10_000_000, 10_400_000]
        assert struct.unpack_from("<3I", body, 112) == (400000, 400000, 470000)
        assert (body[124:141], body[141], body[149], body[150:]) == (VIN.encode(), 1, 0x40, bytes(8))

    play(manual_clock, story, power_kw=60)


def test_a_charge_on_a_fast_clock(manual_clock: ManualClock) -> None:
    """At 120x two kilowatt hours at 60 kW take one real second, and the record is exact all the same."""

    async def story() -> None:
        clock = ScaledClock(manual_clock.now(), 120)
        platform = Platform()
        pile = SimulatedPile(PileSettings(code=PILE, limits=DriverLimits(energy_kwh=Decimal(2))), clock)
        await pile.start("127.0.0.1", await platform.open())
        try:
            await platform.wait(0x05, 2)
            pile.plug(1, soc=0, battery_kwh=Decimal(200))
            platform.start()
            record = await platform.wait(0x3B)
            lasted = from_cp56(record.body[31:38]) - from_cp56(record.body[24:31])
            # the wire carries whole milliseconds of both times
            assert abs(lasted - timedelta(minutes=2)) <= timedelta(milliseconds=1)
            assert (record.uint(112, 4), record.uint(120, 4), record.body[149]) == (20_000, 28_000, 0x42)
            assert len([one for one in platform.all(0x13) if one.body[24] == 3]) >= 2
        finally:
            await pile.stop()
            await platform.close()

    run(story())


def test_ac_pile_shows_no_soc_and_reads_no_vin(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=40)
        await stage.charge()
        stage.advance(3600)
        stage.platform.send(0x12, bytes.fromhex(PILE + "01"))
        sample = await stage.platform.wait(0x13, 1, lambda one: one.uint(42, 2) == 60)
        assert (sample.body[40], sample.body[41], sample.uint(44, 2), sample.uint(46, 4)) == (0, 0, 0, 70_000)
        assert (sample.uint(27, 2), sample.uint(29, 2)) == (2200, 318)
        stage.platform.stop()
        assert (await stage.platform.wait(0x3B)).body[124:141] == bytes(17)

    play(manual_clock, story, type="ac", power_kw=7)


def test_meter_goes_on_from_charge_to_charge(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        for number in (1, 2):
            await stage.charge(trade=f"{TRADE[:-1]}{number}")
            stage.advance(60)
            stage.platform.stop()
            await stage.platform.wait(0x3B, number)
        first, second = stage.platform.all(0x3B)
        assert first.body[107:112] == second.body[102:107]

    play(manual_clock, story)


def test_two_connectors_charge_independently(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        other = TRADE[:14] + "02" + TRADE[16:]
        for number in (1, 2):
            stage.pile.plug(number, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        await stage.charge(trade=other)
        stage.advance(60)
        stage.platform.stop(connector="02")
        assert (await stage.platform.wait(0x3B)).body[:24].hex().upper() == other + PILE + "02"
        assert [one["phase"] for one in stage.pile.state()["connectors"]] == ["charging", "free"]

    play(manual_clock, story, connectors=2)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_refused_starts_name_their_reason(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        async def reason(**start: Any) -> tuple[int, int]:
            count = len(stage.platform.all(0x33))
            stage.platform.start(**start)
            body = (await stage.platform.wait(0x33, count + 1)).body
            return body[24], body[25]

        assert await reason(pile="31000199000099") == (0, 1)
        assert await reason(trade=TRADE[:14] + "07" + TRADE[16:]) == (0, 1)
        stage.pile.plug(1)
        stage.pile.set_condition(1, Condition.EMERGENCY)
        assert await reason() == (0, 3)
        stage.pile.set_condition(1, Condition.NORMAL)
        assert await reason() == (1, 0)
        assert await reason() == (1, 0)  # a repeat for the charge that runs is no second charge
        assert await reason(trade=TRADE[:-1] + "2") == (0, 2)
        stage.platform.stop()
        await stage.platform.wait(0x3B)
        assert await reason() == (0, 2)  # a late repeat for the charge that is over
        await stage.settled()
        assert len(stage.platform.all(0x3B)) == 1

    play(manual_clock, story)


def test_without_a_billing_model_nothing_starts(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        await stage.pile.wait_logged_in()
        stage.pile.plug(1)
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24:] == bytes((0, 3))

    play(manual_clock, story, ready=False, manners={"answer_models": False})


def test_plugged_within_sixty_seconds_starts_after_all(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.start()
        assert (await stage.platform.wait(0x33)).body[24:] == bytes((0, 5))
        stage.advance(59)
        await stage.settled()
        stage.pile.plug(1)
        second = await stage.platform.wait(0x33, 2)
        assert (second.body[24:], second.sequence) == (bytes((1, 0)), b"\x0c\x00")
        stage.advance(3)
        await stage.platform.wait(0x13, 1, lambda one: one.body[24] == 3 and one.body[:16].hex().upper() == TRADE)

    play(manual_clock, story)


def test_plugged_too_late_or_after_a_stop_starts_nothing(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.platform.start()
        await stage.platform.wait(0x33)
        stage.advance(60)
        await stage.settled()
        stage.pile.plug(1)
        stage.pile.unplug(1)
        stage.platform.start()
        await stage.platform.wait(0x33, 2)
        stage.platform.stop()
        assert (await stage.platform.wait(0x35)).body[8:] == bytes((0, 2))
        stage.pile.plug(1)
        stage.advance(10)
        await stage.settled()
        assert len(stage.platform.all(0x33)) == 2
        assert not [one for one in stage.platform.all(0x13) if one.body[24] == 3]

    play(manual_clock, story)


def test_stop_for_another_pile_is_refused(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        await stage.charge()
        stage.platform.stop(pile="31000199000099")
        assert (await stage.platform.wait(0x35)).body[8:] == bytes((0, 1))
        assert stage.pile.state()["connectors"][0]["phase"] == "charging"

    play(manual_clock, story)


# --- how a charge ends ----------------------------------------------------------------------------------------------


def by_hand(stage: Scene) -> None:
    stage.pile.press_stop(1)


def by_unplugging(stage: Scene) -> None:
    stage.pile.unplug(1)


def by_emergency(stage: Scene) -> None:
    stage.pile.set_condition(1, Condition.EMERGENCY)


def by_module(stage: Scene) -> None:
    stage.pile.set_condition(1, Condition.MODULE_FAULT)


@pytest.mark.parametrize(
    ("act", "code"), [(by_hand, 0x45), (by_unplugging, 0x6B), (by_emergency, 0x72), (by_module, 0x71)]
)
def test_ends_at_the_pile(manual_clock: ManualClock, act: Callable[[Scene], None], code: int) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, soc=0, battery_kwh=Decimal(200))
        await stage.charge()
        stage.advance(360)
        act(stage)
        record = await stage.platform.wait(0x3B)
        assert (record.body[149], record.uint(112, 4)) == (code, 60_000)

    play(manual_clock, story)


@pytest.mark.parametrize(
    ("settings", "vehicle", "balance_fen", "code", "energy"),
    [
        ({}, {"soc": 90, "battery_kwh": Decimal(60)}, 100_000, 0x41, 60_000),
        ({"limits": {"energy_kwh": "5.5"}}, {}, 100_000, 0x42, 55_000),
        ({"limits": {"money_yuan": 7}}, {}, 100_000, 0x43, 50_000),
        ({"limits": {"minutes": 6}}, {}, 100_000, 0x44, 60_000),
        ({}, {}, 1_400, 0x6E, 100_000),
        ({}, {}, 0, 0x4E, 0),
    ],
)
def test_ends_by_itself(
    manual_clock: ManualClock, settings: Any, vehicle: Any, balance_fen: int, code: int, energy: int
) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1, **{"soc": 0, "battery_kwh": Decimal(200), **vehicle})
        stage.platform.start(balance_fen=balance_fen)
        await stage.platform.wait(0x33)
        stage.advance(3)
        await eventually(lambda: stage.pile.state()["counters"].get("charges_begun"), "charge")
        stage.advance(1500)
        record = await stage.platform.wait(0x3B)
        assert (record.body[149], record.uint(112, 4)) == (code, energy)

    play(manual_clock, story, **settings)


def test_stopped_while_starting_leaves_a_record_without_energy(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.pile.plug(1)
        stage.platform.start()
        await stage.platform.wait(0x33)
        stage.platform.stop()
        record = await stage.platform.wait(0x3B)
        assert (record.body[149], record.uint(112, 4), record.uint(120, 4)) == (0x40, 0, 0)
        stage.advance(10)
        await stage.settled()
        assert not [one for one in stage.platform.all(0x13) if one.body[24] == 3]

    play(manual_clock, story)


# --- at the pile ----------------------------------------------------------------------------------------------------


def test_impossible_actions_are_refused(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        with pytest.raises(ActionError):
            stage.pile.unplug(1)
        with pytest.raises(ActionError):
            stage.pile.press_stop(1)
        with pytest.raises(ActionError):
            stage.pile.plug(2)
        with pytest.raises(ConfigError):
            stage.pile.plug(1, vin="short")
        stage.pile.plug(1)
        with pytest.raises(ActionError):
            stage.pile.plug(1)

    play(manual_clock, story)


def test_scripted_vehicle_comes_and_leaves(manual_clock: ManualClock) -> None:
    async def story(stage: Scene) -> None:
        stage.advance(5)
        await eventually(lambda: stage.pile.connectors[1].vehicle, "plugged")
        await stage.charge()
        stage.advance(60)
        state = stage.pile.state()["connectors"][0]
        assert (state["vin"], state["energy_kwh"], Decimal(state["amount_yuan"])) == (VIN, "1.0000", Decimal("1.4"))
        stage.platform.stop()
        await stage.platform.wait(0x3B)
        stage.advance(30)
        await eventually(lambda: stage.pile.connectors[1].vehicle is None, "left")

    play(manual_clock, story, auto_plug=[{"after_s": 5, "vin": VIN, "soc": 10, "unplug_after_end_s": 30}])
