"""One charge as a pure calculation: power over time, a counting meter, four rates, and the moment it stops by itself.

The meter counts whole units of 0.0001 kWh. Each unit belongs to the rate in force at the instant it is counted, so the
four rates always add up to the total and the total is exactly what the meter moved. Time is counted in microseconds and
work in watt-microseconds, both integers: the result does not depend on how often `advance` is called.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum

from charging_core.simulator.layouts import RATE_COUNT
from charging_core.simulator.tariff import SLOT_US, RateModel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 0.0001 kWh = 360 J, in watt-microseconds
_UNIT_WORK = 360 * 1_000_000
# how far ahead the end of a charge is looked for
_HORIZON = timedelta(hours=48)

# (SOC from which it applies, power in percent of what pile and vehicle can): constant current, then taper
Curve = tuple[tuple[int, int], ...]
TAPER: Curve = ((0, 100), (80, 60), (90, 35), (95, 20))
FULL_SOC = 100


class StopCode(IntEnum):
    """停止原因 in the trade record (ykc.md section 10), as far as the simulated pile stops for them."""

    APP = 0x40
    FULL = 0x41
    ENERGY_LIMIT = 0x42
    MONEY_LIMIT = 0x43
    TIME_LIMIT = 0x44
    BY_HAND = 0x45
    NO_PLUG = 0x4B
    NO_BALANCE = 0x4E
    UNPLUGGED = 0x6B
    BALANCE_USED_UP = 0x6E
    MODULE_FAULT = 0x71
    EMERGENCY = 0x72
    POWER_LOST = 0x83


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What hangs at the connector. `vin` None means that the pile cannot read it; power and battery in kW and kWh.

    `curve`: from which SOC on it takes how many percent of the power; ascending, the first one from 0 on.
    """

    vin: str | None = None
    soc: int = 30
    battery_kwh: Decimal = Decimal(60)
    power_kw: Decimal = Decimal(60)
    curve: Curve = TAPER


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the pile ends a charge by itself: balance from 0x34; the others as a driver sets them at the pile."""

    balance_yuan: Decimal
    energy_kwh: Decimal | None = None
    money_yuan: Decimal | None = None
    minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why and at which instant (UTC) a charge ended."""

    at: datetime
    code: int


@dataclass(frozen=True, slots=True)
class RateReading:
    """One rate: unit price (yuan/kWh), energy and energy with loss (kWh), amount (yuan)."""

    price: Decimal
    energy: Decimal
    with_loss: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Reading:
    """What the pile shows at one instant; totals are the sums of the rates. Power in kW, `soc` in percent."""

    rates: tuple[RateReading, ...]
    minutes: int
    power_kw: Decimal
    soc: int

    @property
    def energy(self) -> Decimal:
        """Total energy in kWh."""
        return sum((rate.energy for rate in self.rates), Decimal("0.0000"))

    @property
    def with_loss(self) -> Decimal:
        """Total energy with loss in kWh."""
        return sum((rate.with_loss for rate in self.rates), Decimal("0.0000"))

    @property
    def amount(self) -> Decimal:
        """Total amount in yuan."""
        return sum((rate.amount for rate in self.rates), Decimal("0.0000"))


@dataclass(slots=True)
class Charge:
    """A running charge under the model valid at its start. `watts` is what pile and vehicle can both do.

    `follows_battery` False is an AC pile: it knows no SOC, so there is no taper and no end by a full battery.
    """

    started_at: datetime
    model: RateModel
    vehicle: Vehicle
    limits: Limits
    watts: int
    follows_battery: bool
    stop: Stop | None = None
    _time_us: int = field(init=False)
    _work: int = 0
    _counted: tuple[int, ...] = (0,) * RATE_COUNT

    def __post_init__(self) -> None:
        """Start counting at `started_at`."""
        self._time_us = _to_us(self.started_at)

    def advance(self, until: datetime) -> Stop | None:
        """Let the charge run up to `until`; returns the stop when it ended by itself at or before that instant."""
        until_us = _to_us(until)
        while self.stop is None and not self._ended() and self._time_us < until_us:
            self._run_to_next_border(until_us)
        return self.stop

    def forecast(self) -> Stop | None:
        """When and why the charge will end if nobody interferes; None if not within two days."""
        ahead = copy.copy(self)
        return ahead.advance(_from_us(self._time_us) + _HORIZON)

    def end(self, at: datetime, code: int) -> Stop:
        """End it from outside at `at`; an end that the charge had reached by itself before stays as it was."""
        self.advance(at)
        if self.stop is None:
            self.stop = Stop(at=at, code=code)
        return self.stop

    def reading(self) -> Reading:
        """What the pile shows at the instant reached."""
        rates = tuple(
            RateReading(
                price=self.model.price_yuan(rate),
                energy=Decimal(counted).scaleb(-4),
                with_loss=Decimal(self.model.with_loss(counted)).scaleb(-4),
                amount=Decimal(self.model.amount(rate, counted)).scaleb(-4),
            )
            for rate, counted in enumerate(self._counted)
        )
        minutes = (self._time_us - _to_us(self.started_at)) // 60_000_000
        power = 0 if self.stop else self._power()
        return Reading(rates=rates, minutes=minutes, power_kw=Decimal(power).scaleb(-3), soc=self._soc())

    # --- the walk from border to border: between two borders power and price are constant -------------------------

    def _run_to_next_border(self, until_us: int) -> None:
        rate, power = self.model.rate_at(self._time_us), self._power()
        border_us = min(until_us, (self._time_us // SLOT_US + 1) * SLOT_US, self._deadline_us())
        before = sum(self._counted)
        if power:
            work_to_goal = (before + self._units_to_goal(rate)) * _UNIT_WORK - self._work
            border_us = min(border_us, self._time_us - (-work_to_goal // power))
        self._work += (border_us - self._time_us) * power
        self._time_us = border_us
        gained = self._work // _UNIT_WORK - before
        self._counted = tuple(n + gained if i == rate else n for i, n in enumerate(self._counted))

    def _units_to_goal(self, rate: int) -> int:
        total = sum(self._counted)
        tapers = [units - total for units in self._taper_units() if units > total]
        return min([left for left, _ in self._unit_limits(rate)] + tapers)

    def _ended(self) -> bool:
        """Sets `stop` if a limit is reached at the present instant."""
        now, rate = _from_us(self._time_us), self.model.rate_at(self._time_us)
        codes = [code for left, code in self._unit_limits(rate) if left <= 0]
        if self._time_us >= self._deadline_us():
            codes.append(StopCode.TIME_LIMIT)
        if codes:
            self.stop = Stop(at=now, code=codes[0])
        return bool(codes)

    def _unit_limits(self, rate: int) -> Iterator[tuple[int, StopCode]]:
        """Units left until each limit, the most natural reason first."""
        total = sum(self._counted)
        if self.follows_battery:
            yield self._units_at_soc(FULL_SOC) - total, StopCode.FULL
        if self.limits.energy_kwh is not None:
            yield int(self.limits.energy_kwh.scaleb(4)) - total, StopCode.ENERGY_LIMIT
        if self.limits.money_yuan is not None:
            yield self._affordable(rate, self.limits.money_yuan), StopCode.MONEY_LIMIT
        nothing_spent = StopCode.NO_BALANCE if total == 0 else StopCode.BALANCE_USED_UP
        yield self._affordable(rate, self.limits.balance_yuan), nothing_spent

    def _affordable(self, rate: int, money: Decimal) -> int:
        """Most units that can still be counted at this rate without the amount passing `money`."""
        others = sum(self.model.amount(i, n) for i, n in enumerate(self._counted) if i != rate)
        room = int(money.scaleb(4)) - others
        return self.model.affordable(rate, room) - self._counted[rate] if money > 0 else 0

    def _deadline_us(self) -> int:
        minutes = self.limits.minutes
        return _to_us(self.started_at + (_HORIZON * 2 if minutes is None else timedelta(minutes=minutes)))

    # --- battery ------------------------------------------------------------------------------------------------

    def _units_at_soc(self, soc: int) -> int:
        """Units counted when the battery reaches `soc`, rounded up."""
        return -(-int(self.vehicle.battery_kwh.scaleb(4)) * (soc - self.vehicle.soc) // 100)

    def _taper_units(self) -> list[int]:
        return [self._units_at_soc(soc) for soc, _ in self.vehicle.curve] if self.follows_battery else []

    def _power(self) -> int:
        if not self.follows_battery:
            return self.watts
        total = sum(self._counted)
        percent = [percent for soc, percent in self.vehicle.curve if self._units_at_soc(soc) <= total][-1]
        return self.watts * percent // 100

    def _soc(self) -> int:
        gained = sum(self._counted) * 100 // int(self.vehicle.battery_kwh.scaleb(4))
        return min(FULL_SOC, self.vehicle.soc + gained) if self.follows_battery else 0


def _to_us(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _from_us(time_us: int) -> datetime:
    return _EPOCH + time_us * _MICROSECOND
