"""One connector (枪): plugged or not, waiting for a plug, starting, charging; turns a finished charge into a trade record.

Knows no frame and no socket: what it has to say goes to its `Host`, the pile.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from charging_core.simulator.agenda import Timer
from charging_core.simulator.charge import Charge, Reading, Stop, StopCode, Vehicle
from charging_core.simulator.errors import ActionError
from charging_core.simulator.host import Host, Phase, StartReason, StopReason
from charging_core.simulator.messages import NO_CARD, Condition, StartOrder
from charging_core.simulator.reporting import Reporter
from charging_core.simulator.running import Running
from charging_core.simulator.tariff import RateModel


class Connector:
    """A connector of a simulated pile. All methods run on the event loop of the pile."""

    def __init__(self, number: int, host: Host) -> None:
        self.number = number
        self.vehicle: Vehicle | None = None
        self.condition = Condition.NORMAL
        self.meter_kwh = self.meter_began_kwh = host.settings.meter_kwh
        self._host = host
        self._waiting: StartOrder | None = None
        self._wait_timer: Timer | None = None
        self._running: Running | None = None
        self.last_trade_number: str | None = None
        """Of the charge that ended last."""
        self._reporter = Reporter(self, host)

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
        if order.trade_number == self.last_trade_number:
            # a late repeat of an order that was carried out already: one number never names two charges
            return StartReason.BUSY
        reason = self._refusal()
        if reason is StartReason.NONE:
            self._begin(order)
        elif reason is StartReason.NOT_PLUGGED:
            self._wait_for_plug(order)
        return reason

    def begin_accepted(self, order: StartOrder) -> None:
        """0x32 said yes: start. What cannot start any more by now ends with a record without energy, as every accepted start."""
        reason = self._refusal()
        if reason is StartReason.NONE:
            self._begin(order)
        elif self._running is None and self._host.model is not None:
            running = self._new_running(order, self._host.model, self.vehicle or Vehicle())
            code = StopCode.NO_PLUG if reason is StartReason.NOT_PLUGGED else StopCode.MODULE_FAULT
            self._finish(running, Stop(self._host.device.now(), code))

    def new_balance(self, balance: Decimal) -> None:
        """0x42: the payer of the running charge has another balance now."""
        running = self._running
        if running is not None:
            self._reconsider(running, lambda: running.new_balance(balance))

    def power_changed(self) -> None:
        """0x52 allows more or less power than before."""
        running = self._running
        if running is None or running.charge is None:
            return
        charge, watts = running.charge, running.watts(self._host.settings, self._host.equipment.max_power_percent)
        self._reconsider(running, lambda: setattr(charge, "watts", watts))

    def ignores_stop(self) -> bool:
        """Whether the pile is told not to notice this 0x36; counts it."""
        running = self._running
        if running is None or not running.stops_to_ignore:
            return False
        running.stops_to_ignore -= 1
        return True

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
        self._finish(running, (running.charge or self._charge_of(running, now)).end(now, code))
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

    @property
    def ready(self) -> bool:
        """Whether a start would be carried out now."""
        return self._refusal() is StartReason.NONE

    @property
    def vin(self) -> str | None:
        """Of the vehicle that is plugged in, if the pile can read it."""
        return None if self.vehicle is None else self.vehicle.vin

    def charges_for(self, card: str) -> bool:
        """Whether the charge that starts or runs is paid with this card, or is bound to it."""
        return self._running is not None and self._running.order.physical_card == card != NO_CARD

    def start_sampling(self) -> None:
        """Begin the periodic 0x13."""
        self._reporter.start()

    def report(self) -> None:
        """Say now how it stands (change, login, 0x12)."""
        self._reporter.report()

    def shown(self) -> tuple[StartOrder, Reading, int] | None:
        """Order, reading and minutes to go of a running charge."""
        running = self._running
        if running is None or running.charge is None:
            return None
        now = self._host.agenda.clock.now() + running.offset
        running.charge.advance(now)
        return running.order, running.charge.reading(), running.minutes_left(now)

    def glitches(self) -> bool:
        """Whether the next periodic sample has to show "idle" in the middle of a charge; counts it."""
        running = self._running
        if running is None or running.charge is None or not running.glitches_left:
            return False
        running.glitches_left -= 1
        return True

    def state(self) -> dict[str, Any]:
        """For people: energy and money as decimal text."""
        shown = self.shown()
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
        out_of_service = self._host.equipment.out_of_service
        if self.condition is not Condition.NORMAL or self._host.model is None or out_of_service:
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
        self._host.charge_begins(self)
        running = self._running = self._new_running(order, model, vehicle)
        handshake = timedelta(seconds=self._host.settings.periods.start_s)
        faults = self._host.faults
        if faults.start_failure is not None:
            failure = faults.start_failure
            running.timer = self._host.agenda.after(handshake, lambda: self._end_if_running(running, failure))
        elif not faults.never_charges:
            running.timer = self._host.agenda.after(handshake, lambda: self._current_flows(running))

    def _new_running(self, order: StartOrder, model: RateModel, vehicle: Vehicle) -> Running:
        faults, offset = self._host.faults, self._host.device.offset
        return Running(order, model, vehicle, offset, faults.idle_glitch, faults.ignored_stops)

    def _charge_of(self, running: Running, started_at: datetime) -> Charge:
        return running.new_charge(self._host.settings, self._host.equipment.max_power_percent, started_at)

    def _current_flows(self, running: Running) -> None:
        host = self._host
        running.charge = self._charge_of(running, host.agenda.clock.now() + running.offset)
        self._foresee(running, running.charge)
        self._reporter.begun(running)
        host.charge_began(self)
        if host.faults.ends_after is not None:
            code = host.faults.end_code
            host.agenda.after(timedelta(seconds=host.faults.ends_after), lambda: self._end_if_running(running, code))

    def _foresee(self, running: Running, charge: Charge) -> None:
        """Plan the end that the charge will reach by itself."""
        if running.timer is not None:
            running.timer.cancel()
        forecast = running.forecast = charge.forecast()
        if forecast is not None:
            ends = forecast.at - running.offset
            running.timer = self._host.agenda.at(
                ends, lambda: self._finish(running, charge.end(forecast.at, forecast.code))
            )

    def _reconsider(self, running: Running, change: Callable[[], None]) -> None:
        """Something changes in the middle of a charge: what was counted stays, what comes is foreseen anew."""
        charge = running.charge
        if charge is not None:
            charge.advance(self._host.agenda.clock.now() + running.offset)
        change()
        if charge is not None and charge.stop is None:
            self._foresee(running, charge)

    def _end_if_running(self, running: Running, code: int) -> None:
        if self._running is running:
            self.end_charge(code)

    def _finish(self, running: Running, stop: Stop) -> None:
        charge = running.charge or self._charge_of(running, stop.at)
        if running.timer is not None:
            running.timer.cancel()
        reading = charge.reading()
        now = self._host.agenda.clock.now() + running.offset
        record = running.record(charge, reading, stop, self.meter_kwh, now)
        self._running = None
        self.last_trade_number = running.order.trade_number
        self.meter_kwh += reading.energy
        self._reporter.ended(running, reading, stop.code)
        self._host.charge_ended(self, record)
