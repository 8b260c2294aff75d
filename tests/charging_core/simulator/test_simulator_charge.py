"""The charging model: sums that always agree, rates by the clock, and the exact moment a charge ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import CHINA
from charging_core.simulator.charge import Charge, Limits, Reading, StopCode, Vehicle
from charging_core.simulator.errors import FrameError
from charging_core.simulator.faults import Faults
from charging_core.simulator.messages import StartOrder, TradeRecord, record_fields
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.tariff import RateModel
from charging_core.simulator.wire import decode, encode

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=CHINA)
PRICES = (160_000, 140_000, 110_000, 60_000)
RICH = Limits(balance_yuan=Decimal(10_000))
BIG = Vehicle(soc=0, battery_kwh=Decimal(2000))


def model(slots: dict[int, int] | None = None, loss: int = 0, prices: tuple[int, ...] = PRICES) -> RateModel:
    """Flat all day, except where told."""
    rates = [2] * 48
    for slot, rate in (slots or {}).items():
        rates[slot] = rate
    return RateModel(number="0100", prices=prices, slots=tuple(rates), loss_percent=loss)


def charge(**changes: Any) -> Charge:
    """60 kW DC from nine o'clock."""
    return Charge(
        **{
            "started_at": NINE,
            "model": model(),
            "vehicle": BIG,
            "limits": RICH,
            "watts": 60_000,
            "follows_battery": True,
            **changes,
        }
    )


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return NINE.replace(hour=hour, minute=minute, second=second)


def test_constant_power_gives_power_times_time() -> None:
    running = charge()
    assert running.advance(at(9, 40)) is None
    reading = running.reading()
    assert (reading.energy, reading.amount) == (Decimal("40.0000"), Decimal("44.0000"))
    assert (reading.minutes, reading.power_kw) == (40, Decimal("60.000"))


def test_a_tariff_border_splits_energy_at_the_half_hour() -> None:
    running = charge(started_at=at(9, 20), model=model({18: 1, 19: 0}))
    running.advance(at(9, 50))
    assert [rate.energy for rate in running.reading().rates] == [
        Decimal("20.0000"), Decimal("10.0000"), Decimal(0), Decimal(0),
    ]  # fmt: skip
    assert running.reading().amount == Decimal("46.0000")


def test_slots_follow_china_time_past_midnight() -> None:
    running = charge(started_at=at(23, 45), model=model({47: 3, 0: 1}))
    running.advance(at(23, 45) + timedelta(minutes=30))
    assert [rate.energy for rate in running.reading().rates] == [0, 15, 0, 15]


def test_loss_is_added_before_the_price() -> None:
    running = charge(model=model(loss=3))
    running.advance(at(9, 10))
    reading = running.reading()
    assert (reading.energy, reading.with_loss) == (Decimal("10.0000"), Decimal("10.3000"))
    assert reading.amount == Decimal("11.3300")


def test_dc_tapers_and_stops_when_the_battery_is_full() -> None:
    running = charge(vehicle=Vehicle(soc=70, battery_kwh=Decimal(60)))
    # 6 kWh at 60 kW, 6 at 36, 3 at 21, 3 at 12 kW: 6 + 10 + 8:34.286 + 15 minutes
    stop = running.forecast()
    assert stop is not None
    assert (stop.code, stop.at.replace(microsecond=0)) == (StopCode.FULL, at(9, 39, 34))
    running.advance(at(9, 10))
    assert (running.reading().soc, running.reading().power_kw) == (84, Decimal("36.000"))
    assert running.advance(at(12)) == stop
    reading = running.reading()
    assert (reading.energy, reading.soc, reading.power_kw) == (Decimal("18.0000"), 100, Decimal(0))


def test_a_vehicle_takes_power_by_its_own_curve() -> None:
    car = Vehicle(soc=0, battery_kwh=Decimal(60), curve=((0, 50), (10, 100)))
    running = charge(vehicle=car)
    running.advance(at(9, 12))
    assert (running.reading().energy, running.reading().soc) == (Decimal("6.0000"), 10)
    running.advance(at(9, 18))
    assert running.reading().energy == Decimal("12.0000")


def test_ac_knows_no_soc_and_does_not_taper() -> None:
    running = charge(watts=7_000, follows_battery=False, vehicle=Vehicle(soc=99, battery_kwh=Decimal(10)))
    assert running.advance(at(11)) is None
    assert (running.reading().energy, running.reading().soc) == (Decimal("14.0000"), 0)


@pytest.mark.parametrize(
    ("limits", "code", "ends", "energy"),
    [
        (Limits(Decimal(10_000), energy_kwh=Decimal("12.5")), StopCode.ENERGY_LIMIT, at(9, 12, 30), "12.5000"),
        (Limits(Decimal(10_000), minutes=25), StopCode.TIME_LIMIT, at(9, 25), "25.0000"),
        (Limits(Decimal(10_000), money_yuan=Decimal(22)), StopCode.MONEY_LIMIT, at(9, 20), "20.0000"),
        (Limits(Decimal(33)), StopCode.BALANCE_USED_UP, at(9, 30), "30.0000"),
        (Limits(Decimal(0)), StopCode.NO_BALANCE, at(9), "0.0000"),
    ],
)
def test_a_charge_ends_exactly_at_its_limit(limits: Limits, code: StopCode, ends: datetime, energy: str) -> None:
    running = charge(limits=limits)
    stop = running.advance(at(12))
    assert stop is not None
    assert (stop.code, stop.at) == (code, ends.astimezone(UTC))
    assert running.reading().energy == Decimal(energy)


def test_an_end_from_outside_keeps_an_earlier_end_of_its_own() -> None:
    running = charge(limits=Limits(Decimal(33)))
    assert running.end(at(12), StopCode.APP).code == StopCode.BALANCE_USED_UP
    running = charge()
    stop = running.end(at(9, 6), StopCode.APP)
    assert (stop.code, stop.at) == (StopCode.APP, at(9, 6))
    running.advance(at(12))
    assert running.reading().energy == Decimal("6.0000")


def test_free_energy_never_uses_up_a_balance() -> None:
    running = charge(model=model(prices=(0, 0, 0, 0)), limits=Limits(Decimal("0.01")))
    assert running.advance(at(10)) is None


def test_an_unknown_rate_in_a_slot_is_refused() -> None:
    fields = {f"rate{i}_{part}": Decimal(1) for i in range(4) for part in ("electricity", "service")}
    with pytest.raises(FrameError, match="unknown rate 4"):
        RateModel.from_fields({**fields, "slots": "00" * 47 + "04", "model_number": "0100", "loss_percent": 0})


@given(st.integers(0, 300_000), st.integers(0, 30), st.integers(0, 20_000_000))
def test_affordable_energy_is_the_largest_that_fits(price: int, loss: int, amount: int) -> None:
    rates = model(loss=loss, prices=(price, 0, 0, 0))
    energy = rates.affordable(0, amount)
    assert energy >= 0
    assert rates.amount(0, energy) <= amount
    assert price == 0 or rates.amount(0, energy + 1) > amount


rate_models = st.builds(
    RateModel,
    number=st.just("0100"),
    prices=st.tuples(*[st.integers(0, 500_000)] * 4),
    slots=st.lists(st.integers(0, 3), min_size=48, max_size=48).map(tuple),
    loss_percent=st.integers(0, 10),
)
vehicles = st.builds(
    Vehicle,
    soc=st.integers(0, 99),
    battery_kwh=st.decimals("1", "300", places=3),
)
limits = st.builds(
    Limits,
    balance_yuan=st.decimals("0.01", "2000", places=2),
    energy_kwh=st.none() | st.decimals("0.0001", "200", places=4),
    minutes=st.none() | st.integers(1, 600),
)
charges = st.builds(
    Charge,
    started_at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(CHINA)),  # noqa: DTZ001
    model=rate_models,
    vehicle=vehicles,
    limits=limits,
    watts=st.integers(1_000, 480_000),
    follows_battery=st.booleans(),
)


def in_yuan(price: Decimal, energy: Decimal) -> Decimal:
    return (price * energy).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def check_sums(reading: Reading) -> None:
    assert reading.energy == sum(rate.energy for rate in reading.rates)
    assert reading.amount == sum(rate.amount for rate in reading.rates)
    for rate in reading.rates:
        assert rate.amount == in_yuan(rate.price, rate.with_loss)


@settings(max_examples=60)
@given(charges, st.lists(st.integers(1, 7200), min_size=1, max_size=12))
def test_steps_do_not_matter_and_sums_always_agree(running: Charge, steps: list[int]) -> None:
    end = running.started_at + timedelta(seconds=sum(steps))
    at_once = Charge(
        running.started_at, running.model, running.vehicle, running.limits, running.watts, running.follows_battery
    )
    seen, now = Decimal(0), running.started_at
    for step in steps:
        now += timedelta(seconds=step)
        running.advance(now)
        check_sums(running.reading())
        assert running.reading().energy >= seen
        seen = running.reading().energy
    assert at_once.advance(end) == running.stop
    assert at_once.reading() == running.reading()
    assert running.reading().amount <= max(running.limits.balance_yuan, Decimal(0))


@settings(max_examples=60)
@given(charges, st.integers(1, 300), st.decimals(0, 90_000_000, places=4))
def test_the_record_adds_up_on_the_wire(running: Charge, minutes: int, meter: Decimal) -> None:
    stop = running.end(running.started_at + timedelta(minutes=minutes), StopCode.APP)
    order = StartOrder("1" * 32, 1, running.limits.balance_yuan, "0" * 16, b"\0\0")
    record = TradeRecord(order, running.started_at, stop.at, stop.at, running.reading(), meter, None, stop.code)
    body = encode(0x3B, record_fields(PileSettings(code="31000199000017"), record, Faults()))
    values = decode(0x3B, body)
    assert values["meter_end"] - values["meter_start"] == values["total_energy"]
    for total, part in (("total_energy", "energy"), ("total_with_loss", "with_loss"), ("total_amount", "amount")):
        assert values[total] == sum(values[f"rate{i}_{part}"] for i in range(4))
    for i in range(4):
        assert values[f"rate{i}_amount"] == in_yuan(values[f"rate{i}_price"], values[f"rate{i}_with_loss"])
