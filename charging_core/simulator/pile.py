"""A simulated pile: several connectors behind one TCP client that logs in, charges, survives link losses and reconnects."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import structlog

from charging_core.clock import Clock
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.connector import Connector, Phase, StartReason
from charging_core.simulator.crc import crc16
from charging_core.simulator.device import DeviceClock
from charging_core.simulator.errors import ActionError
from charging_core.simulator.framelog import FrameLog
from charging_core.simulator.link import Link
from charging_core.simulator.messages import Condition, Fields, StartOrder, TradeRecord, record_fields
from charging_core.simulator.records import RecordBook
from charging_core.simulator.session import Session
from charging_core.simulator.settings import AutoPlug, PileSettings, PlugRequest, validated
from charging_core.simulator.tariff import RateModel
from charging_core.simulator.wire import Frame, FrameType

_log = structlog.get_logger()

# samples kept while the link is away: a day of charging at 15 s
_STORED_SAMPLES = 5760


class SimulatedPile:
    """One pile. Lives on one event loop; give many piles one `agenda`, a pile without one makes and runs its own.

    pile = SimulatedPile(PileSettings(code="31000199000017"), clock)
    await pile.start("127.0.0.1", 8768)
    await pile.wait_logged_in()
    pile.plug(1, vin="LTEST000000000017", soc=40)
    ...
    await pile.stop()
    """

    def __init__(
        self, settings: PileSettings, clock: Clock, *, agenda: Agenda | None = None, frame_log: FrameLog | None = None
    ) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.model: RateModel | None = None
        self.agenda = agenda or Agenda(clock)
        self.device = DeviceClock(clock)
        self.connectors = {number: Connector(number, self) for number in range(1, settings.connectors + 1)}
        self.records = RecordBook(self.agenda, settings.periods, self._transmit_record)
        self.counters: Counter[str] = Counter()
        self._owns_agenda = agenda is None
        self._frame_log = frame_log
        self._stored: deque[Fields] = deque(maxlen=_STORED_SAMPLES)
        self._session: Session | None = None
        self._link: Link | None = None
        self._ever_logged_in = asyncio.Event()
        self._link_allowed = asyncio.Event()
        self._link_allowed.set()
        self._task: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int) -> None:
        """Begin to connect, and to reconnect after 3-5 real seconds whenever the connection is gone."""
        if self._owns_agenda:
            self.agenda.start()
        for connector in self.connectors.values():
            connector.start_sampling()
        self._task = asyncio.create_task(self._keep_connected(host, port))

    async def stop(self) -> None:
        """Disconnect and end; unconfirmed records are lost with the pile."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._link is not None:
            self._link.drop()
            await self._link.closed.wait()
        if self._owns_agenda:
            self.agenda.stop()

    async def wait_logged_in(self) -> None:
        """Until the platform has accepted this pile for the first time."""
        await self._ever_logged_in.wait()

    @property
    def online(self) -> bool:
        """Logged in now."""
        return self._session is not None and self._session.online

    # --- what people do at the pile -----------------------------------------------------------------------------

    def plug(
        self,
        connector: int,
        *,
        vin: str | None = None,
        soc: int = 30,
        battery_kwh: Decimal = Decimal(60),
        power_kw: Decimal = Decimal(60),
    ) -> None:
        """Connect a vehicle. ActionError if that is impossible now, ConfigError if there is no such vehicle."""
        vehicle = {"connector": connector, "vin": vin, "soc": soc, "battery_kwh": battery_kwh, "power_kw": power_kw}
        self.connector(connector).plug(validated(PlugRequest, vehicle).vehicle())

    def unplug(self, connector: int) -> None:
        """Pull the plug; a running charge ends with 0x6B."""
        self.connector(connector).unplug()

    def press_stop(self, connector: int) -> None:
        """The stop button; the charge ends with 0x45."""
        self.connector(connector).press_stop()

    def set_condition(self, connector: int, condition: Condition) -> None:
        """Emergency stop (0x72), a broken module (0x71), or all well again."""
        self.connector(connector).set_condition(condition)

    def change_faults(self, changes: Mapping[str, Any]) -> None:
        """Set some fault switches anew; ConfigError for an unknown one or a value out of range."""
        self.faults = self.faults.changed(changes)

    def connector(self, number: int) -> Connector:
        """A connector by number; ActionError if there is none."""
        try:
            return self.connectors[number]
        except KeyError:
            raise ActionError(f"pile {self.settings.code} has no connector {number}") from None

    def state(self) -> dict[str, Any]:
        """For people and tests; energy and money as decimal text."""
        return {
            "code": self.settings.code,
            "type": self.settings.type,
            "online": self.online,
            "model_number": None if self.model is None else self.model.number,
            "connectors": [connector.state() for connector in self.connectors.values()],
            "unconfirmed_records": list(self.records.unconfirmed),
            "confirmed_records": self.records.confirmed_count,
            "stored_samples": len(self._stored),
            "faults": asdict(self.faults),
            "counters": dict(self.counters),
        }

    # --- for connectors and sessions ----------------------------------------------------------------------------

    def count(self, name: str) -> None:
        """Count something worth showing in `state`."""
        self.counters[name] += 1

    def report(self, sample: Fields, *, charging: bool) -> None:
        """0x13 now, or kept for the next login if a charge is running without a link."""
        if self._session is not None and self._session.online:
            self._session.send(FrameType.SAMPLE, sample)
        elif charging:
            self._stored.append(sample)

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """0x33 if there is a link; an answer is not kept."""
        if self._session is not None and self._session.online:
            self._session.answer_start(order, reason)

    def charge_began(self, connector: Connector) -> None:
        """Plan the link loss of this charge."""
        self.count("charges_begun")
        loss_after, trade_number = self.faults.link_loss_after, connector.trade_number
        if loss_after is not None:
            self.agenda.after(timedelta(seconds=loss_after), lambda: self._lose_link(connector, trade_number))

    def charge_ended(self, connector: Connector, record: TradeRecord) -> None:
        """File the record, and let a scripted vehicle leave."""
        self.count("charges_ended")
        delay = timedelta(seconds=self.faults.late_record)
        self.records.file(record_fields(self.settings, record), delay=delay, copies=self.faults.duplicate_record)
        for script in self.settings.auto_plug:
            if script.connector == connector.number and script.unplug_after_end_s is not None:
                leave = timedelta(seconds=script.unplug_after_end_s)
                self.agenda.after(leave, lambda: self._leave(connector))

    def logged_in(self) -> None:
        """Everything that was kept goes out, then how each connector stands now."""
        self.count("logins")
        while self._stored and self._session is not None:
            self._session.send(FrameType.SAMPLE, self._stored.popleft())
        self.records.link_up()
        for connector in self.connectors.values():
            connector.report()
        if not self._ever_logged_in.is_set():
            self._ever_logged_in.set()
            self._play_scripts()

    # --- connection ---------------------------------------------------------------------------------------------

    def link_opened(self, link: Link) -> None:
        """A new connection: a new dialogue."""
        self._link, self._session = link, Session(self, link)
        self._session.open()

    def link_received(self, link: Link, frame: Frame) -> None:
        """A frame of the platform."""
        if self._session is not None and link is self._link:
            self._session.receive(frame)

    def link_closed(self, link: Link) -> None:
        """The connection is gone; charges go on."""
        self.counters["bytes_dropped"] += link.dropped_bytes
        if self._session is not None and link is self._link:
            self._session.close()
            self._session = None
            self.records.link_down()

    async def _keep_connected(self, host: str, port: int) -> None:
        while True:
            await self._link_allowed.wait()
            await self._connect(host, port)
            await asyncio.sleep(self._reconnect_delay_s())

    async def _connect(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self.count("connections_tried")
        try:
            async with asyncio.timeout(self.settings.periods.real_connect_timeout_s):
                _, link = await loop.create_connection(
                    lambda: Link(self, lambda: self.faults, self._observe), host, port
                )
        except OSError as error:
            _log.info("simulator_connect_failed", pile=self.settings.code, error=str(error))
            return
        await link.closed.wait()

    def _reconnect_delay_s(self) -> float:
        """Between the two bounds, different for each pile and attempt so that a thousand do not come back at once."""
        low, high = self.settings.periods.real_reconnect_s
        attempt = f"{self.settings.code}/{self.counters['connections_tried']}"
        return low + (high - low) * crc16(attempt.encode("ascii")) / 0xFFFF

    def _lose_link(self, connector: Connector, trade_number: str | None) -> None:
        if connector.phase is not Phase.CHARGING or connector.trade_number != trade_number or self._link is None:
            return
        self.count("link_losses")
        self._link_allowed.clear()
        self._link.drop()
        self.agenda.after(timedelta(seconds=self.faults.link_loss_for), self._link_allowed.set)

    def _observe(self, direction: str, raw: bytes) -> None:
        self.count(f"frames_{direction}")
        if self._frame_log is not None:
            self._frame_log.write(self.settings.code, direction, raw)

    # --- records and scripts ------------------------------------------------------------------------------------

    def _transmit_record(self, fields: Fields) -> None:
        if self._session is not None:
            self.count("records_sent")
            self._session.send(FrameType.RECORD, fields)

    def _play_scripts(self) -> None:
        for script in self.settings.auto_plug:
            self._plan(script)

    def _plan(self, script: AutoPlug) -> None:
        connector = self.connector(script.connector)
        self.agenda.after(timedelta(seconds=script.after_s), lambda: connector.plug(script.vehicle()))

    def _leave(self, connector: Connector) -> None:
        if connector.vehicle is not None and connector.phase is Phase.FREE:
            connector.unplug()
