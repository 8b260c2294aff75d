"""A simulated OCPP 1.6J pile: boots, tells states, charges by remote start, queues what it cannot tell while it is off-line.

It knows no money and no tariff; its meter counts whole Wh. Times are the pile's clock, which may be fast; sockets are real time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from websockets.exceptions import InvalidHandshake, WebSocketException

from charging_core.clock import Clock
from charging_core.simulator.charge import Vehicle
from charging_core.simulator.errors import ActionError
from charging_core.simulator.ocpp_answers import OcppAnswers
from charging_core.simulator.ocpp_link import NoAnswer, OcppLink, Payload
from charging_core.simulator.ocpp_parts import WH_PER_KWH, OcppCharge, OcppConnector, OcppFaults, OcppSettings

_TICK_S = 0.02
"""Real seconds between two looks at the clock."""
_VOLTAGE = 400


@dataclass(slots=True)
class _Queued:
    action: str
    payload: Callable[[], Payload]
    answered: Callable[[Payload], None] = field(default=lambda _answer: None)


class OcppPile:
    """Use inside a running event loop: `start`, `wait_booted`, …, `stop`."""

    def __init__(self, settings: OcppSettings, clock: Clock) -> None:
        self.settings = settings
        self.faults = OcppFaults()
        self.connectors = [OcppConnector(n, settings.meter_wh) for n in range(1, settings.connectors + 1)]
        self.configuration: dict[str, str] = {"NumberOfConnectors": str(settings.connectors)}
        self.resets: list[str] = []
        self.unlocked: list[int] = []
        self.out_of_service = False
        self.refused: str | None = None
        """Why the platform let this pile not in, as it was told last."""
        self.silent = False
        """Answers nothing that the platform asks."""
        self.clock = clock
        self._link: OcppLink | None = None
        self._booted = asyncio.Event()
        self._queue: deque[_Queued] = deque()
        self._more = asyncio.Event()
        self._offline = False
        self._tasks: list[asyncio.Task[None]] = []
        self._told: set[asyncio.Task[None]] = set()

    # -- life

    def start(self, url: str) -> None:
        """Connect to `url` (the identity is put behind it), and go on connecting."""
        own = self.settings
        self._link = OcppLink(url, own.identity, own.password, OcppAnswers(self), own.real_answer_s)
        self._tasks = [asyncio.ensure_future(work()) for work in (self._connect, self._tell_queue, self._tick)]

    async def wait_booted(self) -> None:
        """Until the platform has accepted the boot."""
        await self._booted.wait()

    async def stop(self) -> None:
        """Disconnect for good."""
        if self._link is not None:
            await self._link.drop()
        for task in (*self._tasks, *self._told):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._told, return_exceptions=True)

    @property
    def log(self) -> list[tuple[str, list[Any]]]:
        """Every message, ("out" or "in", its array)."""
        return self._link.log if self._link is not None else []

    @property
    def link(self) -> OcppLink:
        """The connection. Raises `ActionError` before `start`."""
        if self._link is None:
            raise ActionError("尚未启动 / not started")
        return self._link

    @property
    def queued(self) -> int:
        """Messages about transactions that wait to be told."""
        return len(self._queue)

    async def go_offline(self) -> None:
        """Lose the link, and do not come back before `go_online`."""
        self._offline = True
        await self.link.drop()

    def go_online(self) -> None:
        """The network is back."""
        self._offline = False

    async def _connect(self) -> None:
        while True:
            if not self._offline:
                try:
                    await self.link.run(self._greet)
                except InvalidHandshake as error:
                    self.refused = str(error)
                except (OSError, TimeoutError, WebSocketException):
                    pass  # the platform is away: again in a moment
            await asyncio.sleep(self.settings.real_reconnect_s)

    async def _greet(self) -> None:
        """Boot, again until that is accepted; then heartbeats. Ended with the link."""
        while True:
            try:
                await self._boot()
            except NoAnswer:
                await asyncio.sleep(self.settings.real_reconnect_s)

    async def _boot(self) -> None:
        boot = {"chargePointVendor": "Simulated", "chargePointModel": "S1", "firmwareVersion": "1.0.0"}
        answer = await self.link.call("BootNotification", boot)
        if answer["status"] != "Accepted":
            raise NoAnswer(answer["status"])
        self._booted.set()
        self._more.set()
        for connector in self.connectors:
            await self.link.call("StatusNotification", self._status(connector))
        while True:
            await asyncio.sleep(answer["interval"])
            await self.link.call("Heartbeat", {})

    # -- what people do

    def connector(self, number: int) -> OcppConnector:
        """The connector. Raises `ActionError` when there is none."""
        if not 1 <= number <= len(self.connectors):
            raise ActionError(f"没有枪 {number} / no connector {number}")
        return self.connectors[number - 1]

    def plug(self, number: int, vehicle: Vehicle) -> None:
        """A vehicle is plugged in."""
        connector = self.connector(number)
        if connector.vehicle is not None:
            raise ActionError("已插枪 / plugged already")
        connector.vehicle = vehicle
        self.show(connector, "Preparing")
        if connector.wanted is not None:
            self.spawn(self.begin_asked(connector))

    def unplug(self, number: int) -> None:
        """The plug is pulled; a charge ends by it."""
        connector = self.connector(number)
        self.end(connector, "EVDisconnected")
        connector.vehicle = None
        self.show(connector, "Available")

    def press_stop(self, number: int) -> None:
        """The driver ends the charge at the pile."""
        self.end(self.connector(number), "Local")

    def present_card(self, number: int, tag: str) -> None:
        """A driver starts by card, off-line authorisation allowed: the pile begins and tells afterwards."""
        self._begin(self.connector(number), tag)

    # -- for what the platform asks

    async def begin_asked(self, connector: OcppConnector) -> None:
        """After the answer to the remote start, and after asking about the tag where this pile does that."""
        if connector.wanted is None:
            return
        tag = connector.wanted[0]
        if self.settings.authorizes:
            answer = await self.link.call("Authorize", {"idTag": tag})
            if answer["idTagInfo"]["status"] != "Accepted":
                connector.wanted = None
                return
        self._begin(connector, tag)

    async def restart(self, reason: str) -> None:
        """Every charge ends, and the pile comes back."""
        for connector in self.connectors:
            self.end(connector, reason)
        await asyncio.sleep(_TICK_S)
        await self.link.drop()

    # -- charging

    def _begin(self, connector: OcppConnector, tag: str) -> None:
        vehicle = connector.vehicle
        if vehicle is None or connector.charge is not None:
            raise ActionError("未插枪或正在充电 / not plugged, or charging already")
        connector.wanted = None
        now = self.clock.now().replace(microsecond=0)
        wh = vehicle.battery_kwh * WH_PER_KWH * (100 - vehicle.soc) / 100
        power = min(vehicle.power_kw, self.settings.power_kw)
        charge = connector.charge = OcppCharge(tag, now, connector.meter_wh, power, wh, now)
        payload = {
            "connectorId": connector.number,
            "idTag": tag,
            "meterStart": connector.meter_wh,
            "timestamp": _time(now),
        }

        def numbered(answer: Payload) -> None:
            charge.id = -1 if self.faults.forget_transaction_id else int(answer["transactionId"])
            stop_it = self.configuration.get("StopTransactionOnInvalidId") == "true"
            if answer["idTagInfo"]["status"] != "Accepted" and stop_it and connector.charge is charge:
                self.end(connector, "DeAuthorized")

        self._put("StartTransaction", lambda: payload, numbered)
        self.show(connector, "Charging")

    def end(self, connector: OcppConnector, reason: str, at: datetime | None = None) -> None:
        """End its charge, if one runs; `at` when that is known to have been earlier."""
        charge = connector.charge
        if charge is None:
            return
        now = (at or self.clock.now()).replace(microsecond=0)
        connector.charge, connector.meter_wh = None, charge.register_at(now)
        payload = {"idTag": charge.tag, "meterStop": connector.meter_wh, "timestamp": _time(now), "reason": reason}
        for _ in range(1 + self.faults.copies_of_stop):
            self._put("StopTransaction", lambda: {"transactionId": _or_none(charge.id), **payload})
        self.show(connector, "Finishing")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for connector in self.connectors:
                self._look(connector, self.clock.now())

    def _look(self, connector: OcppConnector, now: datetime) -> None:
        if connector.wanted is not None and connector.charge is None and now > connector.wanted[1]:
            connector.wanted = None
            self.show(connector, "Available" if connector.vehicle is None else "Preparing")
        charge = connector.charge
        while charge is not None and connector.charge is charge:
            due = charge.sampled_at + timedelta(seconds=self.settings.sample_s)
            if due > now:
                return
            charge.sampled_at = due
            if self.faults.meter_reset:
                self.faults.meter_reset = False
                charge.lost_wh = charge.register_at(due)
            self._put("MeterValues", _same(self.metered(connector, due)))
            if charge.wh_at(due) >= charge.battery_wh:
                self.end(connector, "Local", due)

    def metered(self, connector: OcppConnector, at: datetime) -> dict[str, Any]:
        """MeterValues of this instant."""
        charge = connector.charge
        register = connector.meter_wh if charge is None else charge.register_at(at)
        in_unit = Decimal(register) / (WH_PER_KWH if self.settings.energy_unit == "kWh" else 1)
        power = Decimal(0) if charge is None else charge.power_kw
        sampled = [
            {"value": f"{in_unit}", "measurand": "Energy.Active.Import.Register", "unit": self.settings.energy_unit},
            {"value": str(_VOLTAGE), "measurand": "Voltage", "unit": "V"},
            {"value": f"{power * WH_PER_KWH / _VOLTAGE:.1f}", "measurand": "Current.Import", "unit": "A"},
        ]
        found: dict[str, Any] = {
            "connectorId": connector.number,
            "meterValue": [{"timestamp": _time(at), "sampledValue": sampled}],
        }
        if charge is not None:
            found["transactionId"] = charge  # replaced by its number when it is told: it may not have one yet
        return found

    # -- telling

    def show(self, connector: OcppConnector, status: str) -> None:
        """Its status changes, and is told."""
        connector.status = status
        self.spawn(self.say("StatusNotification", self._status(connector)))

    def _status(self, connector: OcppConnector) -> Payload:
        told = {"connectorId": connector.number, "errorCode": "NoError", "status": connector.status}
        return {**told, "timestamp": _time(self.clock.now())}

    def spawn(self, work: Any) -> None:
        """Do it beside; its failure is an error of the simulator unless the platform did not answer."""
        task = asyncio.ensure_future(work)
        self._told.add(task)
        task.add_done_callback(self._said)

    def _said(self, task: asyncio.Task[None]) -> None:
        self._told.discard(task)
        if not task.cancelled() and not isinstance(task.exception(), NoAnswer | None):
            task.result()  # an error of the simulator's own: to the loop's handler

    async def say(self, action: str, payload: Payload) -> None:
        """What is worth telling now only; lost without a link."""
        if self._booted.is_set():
            await self.link.call(action, _numbered(payload))

    def _put(
        self, action: str, payload: Callable[[], Payload], answered: Callable[[Payload], None] = lambda _answer: None
    ) -> None:
        self._queue.append(_Queued(action, payload, answered))
        self._more.set()

    async def _tell_queue(self) -> None:
        """In order, each until it is answered (OCPP 1.6, 3.7.1)."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue and self._booted.is_set():
                first = self._queue[0]
                try:
                    answer = await self.link.call(first.action, _numbered(first.payload()))
                except NoAnswer:
                    await asyncio.sleep(self.settings.real_reconnect_s)
                else:
                    self._queue.popleft()
                    first.answered(answer)


def _numbered(payload: Payload) -> dict[str, Any]:
    """With the number of the charge that it is about."""
    found = dict(payload)
    charge = found.get("transactionId")
    if isinstance(charge, OcppCharge):
        found["transactionId"] = _or_none(charge.id)
    return found


def _or_none(transaction_id: int | None) -> int:
    return -1 if transaction_id is None else transaction_id


def _same(payload: Payload) -> Callable[[], Payload]:
    return lambda: payload


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at.utcoffset() == timedelta(0) else at.isoformat()
