"""One connector (枪): plugged or not, waiting for a plug, starting, charging; turns a finished charge into a trade record.

Knows no frame and no socket: what it has to say goes to its `Host`, the pile.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Protocol

from charging_core.simulator.agenda import Agenda, Repeating, Timer
from charging_core.simulator.charge import Charge, Limits, Reading, Stop, StopCode, Vehicle
from charging_core.simulator.device import DeviceClock
from charging_core.simulator.errors import ActionError
from charging_core.simulator.faults import Faults
from charging_core.simulator.messages import Condition, Fields, StartOrder, TradeRecord, sample_fields
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.tariff import RateModel


class Phase(Enum):
    """Where a connector stands."""

    FREE = "free"
    WAITING_FOR_PLUG = "waiting_for_plug"
    STARTING = "starting"
    CHARGING = "charging"


class StartReason(IntEnum):
    """失败原因 in 0x33."""

    NONE = 0
    WRONG_CODE = 1
    BUSY = 2
    FAULT = 3
    NOT_PLUGGED = 5


class StopReason(IntEnum):
    """失败原因 in 0x35."""

    NONE = 0
    WRONG_CODE = 1
    NOT_CHARGING = 2


class Host(Protocol):
    """What a connector needs of its pile."""

    settings: PileSettings
    agenda: Agenda
    device: DeviceClock

    @property
    def faults(self) -> Faults:
        """The switches of now."""
        ...

    @property
    def model(self) -> RateModel | None:
        """The billing model for charges that start now; None forbids charging."""
        ...

    def report(self, sample: Fields, *, charging: bool) -> None:
        """Send a 0x13, or keep it if the link is away and a charge is running."""
        ...

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """Send a 0x33 (again)."""
        ...

    def charge_began(self, connector: "Connector") -> None:
        """A charge is running now."""
        ...

    def charge_ended(self, connector: "Connector", record: TradeRecord) -> None:
        """Keep the record until it is confirmed."""
        ...


@dataclass(slots=True)
class _Running:
    """An accepted order on its way: `offset` is the pile clock's of that moment.

    Once current flows there are `charge` and `forecast`, its end if nobody interferes.
    """

    order: StartOrder
    model: RateModel
    vehicle: Vehicle
    offset: timedelta
    glitches_left: int
    charge: Charge | None = None
    forecast: Stop | None = None
    timer: Timer | None = field(default=None, repr=False)


class Connector:
    """A connector of a simulated pile. All methods run on the event loop of the pile."""

    def __init__(self, number: int, host: Host) -> None:
        self.number = number
        self.vehicle: Vehicle | None = None
        self.condition = Condition.NORMAL
        self.meter_kwh = host.settings.meter_kwh
        self._host = host
        self._waiting: StartOrder | None = None
        self._wait_timer: Timer | None = None
        self._running: _Running | None = None
        self._sampler: Repeating | None = None
        self._last_trade_number: str | None = None

    # --- what can be done at the pile ---------------------------------------------------------------------------

    def plug(self, vehicle: Vehicle) -> None:
        """A vehicle is connected; starts the charge that waits for it. ActionError if one is connected already."""
        if self.vehicle is not None:
            raise ActionError(f"connector {self.number} is plugged already")
        self.vehicle = vehicle
        self.report()
        waiting = self._waiting
        if waiting is not None and self._refusal() is StartReason.NONE:
            self._stop_waiting()
            self._host.answer_start(waiting, StartReason.NONE)
            self._begin(waiting)

    def unplug(self) -> None:
        """The vehicle leaves; a running charge ends with 0x6B at once. ActionError if there is none."""
        if self.vehicle is None:
            raise ActionError(f"connector {self.number} is not plugged")
        self.end_charge(StopCode.UNPLUGGED)
        self.vehicle = None
        self.report()

    def press_stop(self) -> None:
        """The driver presses the stop button. ActionError if nothing is charging."""
        if not self.end_charge(StopCode.BY_HAND):
            raise ActionError(f"connector {self.number} is not charging")

    def set_condition(self, condition: Condition) -> None:
        """Emergency stop, a broken module, or all well again; trouble ends a running charge."""
        self.condition = condition
        if condition.stop_code is not None:
            self.end_charge(condition.stop_code)
        self.report()

    # --- what the platform orders -------------------------------------------------------------------------------

    def request_start(self, order: StartOrder) -> StartReason:
        """0x34: start, or wait for the plug, or refuse. A repeat for the order in hand changes nothing."""
        if self.trade_number == order.trade_number:
            return StartReason.NONE
        if self._waiting is not None and self._waiting.trade_number == order.trade_number:
            return StartReason.NOT_PLUGGED
        if order.trade_number == self._last_trade_number:
            # a late repeat of an order that was carried out already: one number never names two charges
            return StartReason.BUSY
        reason = self._refusal()
        if reason is StartReason.NONE:
            self._begin(order)
        elif reason is StartReason.NOT_PLUGGED:
            self._wait_for_plug(order)
        return reason

    def request_stop(self) -> StopReason:
        """0x36: NONE if there is a charge to end (the caller answers, then calls `end_charge`)."""
        if self._running is not None:
            return StopReason.NONE
        # the platform gives up: whoever plugs in now must not be charged for the order it closed
        self._stop_waiting()
        return StopReason.NOT_CHARGING

    def end_charge(self, code: int) -> bool:
        """End the charge now; False if there is none. A charge that had reached its own end keeps that reason."""
        running = self._running
        if running is None:
            return False
        now = self._host.agenda.clock.now() + running.offset
        self._finish(running, (running.charge or self._new_charge(running, now)).end(now, code))
        return True

    # --- what it shows ------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if self._running is not None:
            return Phase.STARTING if self._running.charge is None else Phase.CHARGING
        return Phase.FREE if self._waiting is None else Phase.WAITING_FOR_PLUG

    @property
    def trade_number(self) -> str | None:
        """Of the charge that starts or runs."""
        return None if self._running is None else self._running.order.trade_number

    def start_sampling(self) -> None:
        """Begin the periodic 0x13."""
        self._sampler = self._host.agenda.every(self._sample_period(), self._periodic_report)

    def report(self) -> None:
        """Say now how it stands (change, login, 0x12)."""
        self._report(glitch=False)

    def state(self) -> dict[str, Any]:
        """For people: energy and money as decimal text."""
        shown = self._shown()
        reading = None if shown is None else shown[1]
        return {
            "connector": self.number,
            "phase": self.phase.value,
            "condition": self.condition.name.lower(),
            "plugged": self.vehicle is not None,
            "vin": None if self.vehicle is None else self.vehicle.vin,
            "trade_number": self.trade_number,
            "energy_kwh": None if reading is None else str(reading.energy),
            "amount_yuan": None if reading is None else str(reading.amount),
            "soc": None if reading is None else reading.soc,
            "meter_kwh": str(self.meter_kwh + (Decimal(0) if reading is None else reading.energy)),
        }

    # --- inside -------------------------------------------------------------------------------------------------

    def _refusal(self) -> StartReason:
        if self.condition is not Condition.NORMAL or self._host.model is None:
            return StartReason.FAULT
        if self._running is not None:
            return StartReason.BUSY
        return StartReason.NOT_PLUGGED if self.vehicle is None else StartReason.NONE

    def _wait_for_plug(self, order: StartOrder) -> None:
        self._stop_waiting()
        self._waiting = order
        period = timedelta(seconds=self._host.settings.periods.plug_wait_s)
        self._wait_timer = self._host.agenda.after(period, self._stop_waiting)

    def _stop_waiting(self) -> None:
        self._waiting = None
        if self._wait_timer is not None:
            self._wait_timer.cancel()

    def _begin(self, order: StartOrder) -> None:
        self._stop_waiting()
        model, vehicle = self._host.model, self.vehicle
        if model is None or vehicle is None:
            raise ActionError(f"connector {self.number} cannot start")
        glitches = self._host.faults.idle_glitch
        running = self._running = _Running(order, model, vehicle, self._host.device.offset, glitches)
        handshake = timedelta(seconds=self._host.settings.periods.start_s)
        running.timer = self._host.agenda.after(handshake, lambda: self._current_flows(running))

    def _new_charge(self, running: _Running, started_at: datetime) -> Charge:
        settings, vehicle = self._host.settings, running.vehicle
        return Charge(
            started_at=started_at,
            model=running.model,
            vehicle=vehicle,
            limits=Limits(running.order.balance_yuan, **settings.limits.model_dump()),
            watts=int(min(settings.power_kw, vehicle.power_kw).scaleb(3)),
            follows_battery=settings.type == "dc",
        )

    def _current_flows(self, running: _Running) -> None:
        started_at = self._host.agenda.clock.now() + running.offset
        charge = running.charge = self._new_charge(running, started_at)
        forecast = running.forecast = charge.forecast()
        if forecast is not None:
            ends = forecast.at - running.offset
            running.timer = self._host.agenda.at(
                ends, lambda: self._finish(running, charge.end(forecast.at, forecast.code))
            )
        self._restart_sampling()
        self.report()
        self._host.charge_began(self)

    def _finish(self, running: _Running, stop: Stop) -> None:
        charge = running.charge or self._new_charge(running, stop.at)
        if running.timer is not None:
            running.timer.cancel()
        reading = charge.reading()
        record = TradeRecord(
            order=running.order,
            started_at=charge.started_at,
            ended_at=stop.at,
            trade_time=self._host.agenda.clock.now() + running.offset,
            reading=reading,
            meter_start=self.meter_kwh,
            vin=running.vehicle.vin,
            stop_code=stop.code,
        )
        self._running = None
        self._last_trade_number = running.order.trade_number
        self.meter_kwh += reading.energy
        self._restart_sampling()
        self.report()
        self._host.charge_ended(self, record)

    def _sample_period(self) -> timedelta:
        periods = self._host.settings.periods
        charging = self.phase is Phase.CHARGING
        return timedelta(seconds=periods.charging_sample_s if charging else periods.idle_sample_s)

    def _restart_sampling(self) -> None:
        if self._sampler is not None:
            self._sampler.restart(self._sample_period())

    def _periodic_report(self) -> None:
        running = self._running
        glitch = running is not None and running.charge is not None and running.glitches_left > 0
        if running is not None and glitch:
            running.glitches_left -= 1
        self._report(glitch=glitch)

    def _report(self, *, glitch: bool) -> None:
        fields = sample_fields(
            self._host.settings,
            self.number,
            condition=self.condition,
            vehicle=self.vehicle,
            charging=None if glitch else self._shown(),
        )
        self._host.report(fields, charging=self.phase is Phase.CHARGING)

    def _shown(self) -> tuple[StartOrder, Reading, int] | None:
        """Order, reading and minutes to go of a running charge."""
        running = self._running
        if running is None or running.charge is None:
            return None
        now = self._host.agenda.clock.now() + running.offset
        running.charge.advance(now)
        ends = running.forecast
        minutes_left = 0 if ends is None else max(0, (ends.at - now) // timedelta(minutes=1))
        return running.order, running.charge.reading(), minutes_left
