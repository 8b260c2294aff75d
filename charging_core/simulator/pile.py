"""A simulated pile: several connectors behind one TCP client that logs in, charges, survives link losses and reconnects."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from charging_core.clock import Clock
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.connector import Connector
from charging_core.simulator.device import LOCK_LOWERED, DeviceClock, DeviceState
from charging_core.simulator.errors import ActionError
from charging_core.simulator.framelog import FrameKeeper
from charging_core.simulator.host import StartReason
from charging_core.simulator.incidents import Incidents
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.link import Link
from charging_core.simulator.linkkeeper import LinkKeeper
from charging_core.simulator.locks import GroundLocks
from charging_core.simulator.measures import Meter
from charging_core.simulator.messages import Condition, Fields, StartOrder, TradeRecord, record_fields
from charging_core.simulator.records import RecordBook
from charging_core.simulator.requests import StartDesk
from charging_core.simulator.scripts import AutoPlugs
from charging_core.simulator.session import Session
from charging_core.simulator.settings import PileSettings, PlugRequest, validated
from charging_core.simulator.tariff import RateModel
from charging_core.simulator.wire import Frame

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
        self,
        settings: PileSettings,
        clock: Clock,
        *,
        agenda: Agenda | None = None,
        frame_log: FrameKeeper | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.model: RateModel | None = None
        self.agenda = agenda or Agenda(clock)
        self.device = DeviceClock(clock, timedelta(seconds=self.faults.clock_offset_s))
        self.equipment = DeviceState(settings.software, cards=dict(settings.cards))
        self.connectors = {number: Connector(number, self) for number in range(1, settings.connectors + 1)}
        if settings.ground_locks:
            self.equipment.locks = dict.fromkeys(self.connectors, LOCK_LOWERED)
        self.records = RecordBook(self.agenda, settings.periods, self._transmit_record)
        self.starts = StartDesk(self)
        self.locks = GroundLocks(self, self.connectors)
        self._scripts = AutoPlugs(settings.auto_plug, self.connectors, self.agenda)
        self.counters: Counter[str] = Counter()
        self.meter = meter or Meter()
        self.noticed: Callable[[str, int], None] = lambda _what, _connector: None
        """Told when a charge "began" or "ended" at a connector, and when the platform has "decided" on a start."""
        self._owns_agenda = agenda is None
        self._frame_log = frame_log
        self._stored: deque[Fields] = deque(maxlen=_STORED_SAMPLES)
        self._session: Session | None = None
        self._keeper = LinkKeeper(self, self._observe)
        self._incidents = Incidents(self, self._keeper)
        self._ever_logged_in = asyncio.Event()

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int) -> None:
        """Begin to connect, and to reconnect after 3-5 real seconds whenever the connection is gone."""
        if self._owns_agenda:
            self.agenda.start()
        for connector in self.connectors.values():
            connector.start_sampling()
        self.locks.start()
        self._keeper.start(host, port)

    async def stop(self) -> None:
        """Disconnect and end; unconfirmed records are lost with the pile."""
        await self._keeper.stop()
        if self._owns_agenda:
            self.agenda.stop()

    async def wait_logged_in(self) -> None:
        """Until the platform has accepted this pile for the first time."""
        await self._ever_logged_in.wait()

    @property
    def online(self) -> bool:
        """Logged in now."""
        return self._session is not None and self._session.online

    @property
    def all_written(self) -> bool:
        """Whether everything it said has left."""
        return self._keeper.current is None or self._keeper.current.written

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

    def present_card(self, connector: int, card: str, password: str | None = None) -> None:
        """Hold a card to the reader: starts a charge (0x31, or off-line by the pile's list), or ends the one it began."""
        self.starts.present_card(self.connector(connector), card, password)

    def present_vin(self, connector: int) -> None:
        """Start by the VIN of the plugged vehicle (0x31)."""
        self.starts.present_vin(self.connector(connector))

    def present_parallel(self, connectors: list[int], card: str) -> None:
        """Start one charge over several connectors (0xA1); the first one is the main one."""
        self.starts.present_parallel([self.connector(number) for number in connectors], card)

    def set_condition(self, connector: int, condition: Condition) -> None:
        """Emergency stop (0x72), a broken module (0x71), or all well again."""
        self.connector(connector).set_condition(condition)

    def cut_power(self, seconds: float) -> None:
        """The mains fail for a while: charges end with 0x83, their records are sent after the restart."""
        self._incidents.cut_power(seconds)

    def lose_link(self, seconds: float) -> None:
        """The network is away for a while; charges go on."""
        self._incidents.lose_link(seconds)

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
            "equipment": asdict(self.equipment),
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

    def tell(self, frame_type: int, fields: Fields) -> None:
        """A frame that nobody answers; lost without a link."""
        if self._session is not None and self._session.online:
            self._session.send(frame_type, fields)

    def later(self, period: timedelta, frame_type: int, fields: Fields, echo: bytes) -> None:
        """Answer after a while; without a link by then nobody hears it."""
        self.agenda.after(period, lambda: self._say(frame_type, fields, echo))

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """0x33 if there is a link; an answer is not kept."""
        if self._session is not None and self._session.online:
            self._session.answer_start(order, reason)

    def charge_begins(self, connector: Connector) -> None:
        """Some firmware forgets what is not confirmed now."""
        if self.faults.start_drops_record:
            self.counters["records_dropped"] += self.records.drop(connector.number)

    def charge_began(self, connector: Connector) -> None:
        """A charge runs."""
        self.count("charges_begun")
        self.noticed("began", connector.number)
        self._incidents.charge_began(connector)

    def charge_ended(self, connector: Connector, record: TradeRecord) -> None:
        """File the record, and let a scripted vehicle leave."""
        self.count("charges_ended")
        faults = self.faults
        self.records.file(
            record_fields(self.settings, record, faults),
            delay=timedelta(seconds=faults.late_record),
            copies=faults.duplicate_record,
            changes=faults.changed_amounts,
            ignored_confirmations=faults.ignored_confirmations,
        )
        self._scripts.charge_ended(connector)
        self.noticed("ended", connector.number)
        self._incidents.charge_ended()

    def decided(self, connector: int) -> None:
        """The platform has answered a start that was asked for here, or will not answer any more."""
        self.noticed("decided", connector)

    def logged_in(self) -> None:
        """Everything that was kept goes out, then how each connector stands now."""
        self.count("logins")
        while self._stored and self._session is not None:
            self._session.send(FrameType.SAMPLE, self._stored.popleft())
        self.records.link_up()
        for connector in self.connectors.values():
            connector.report()
        self.locks.report()
        if not self._ever_logged_in.is_set():
            self._ever_logged_in.set()
            self._scripts.play()

    def reboot(self, *, when_idle: bool) -> None:
        """Restart now, which ends charges with 0x83, or as soon as nothing charges."""
        self._incidents.reboot(when_idle=when_idle)

    # --- connection ---------------------------------------------------------------------------------------------

    def connected(self, link: Link) -> None:
        """A new connection: a new dialogue."""
        self._session = Session(self, link)
        self._session.open()

    def received(self, frame: Frame) -> None:
        """A frame of the platform."""
        if self._session is not None:
            self._session.receive(frame)

    def disconnected(self, link: Link) -> None:
        """The connection is gone; charges go on."""
        self.counters["bytes_dropped"] += link.dropped_bytes
        if self._session is not None:
            self._session.close()
            self._session = None
        self.records.link_down()

    def _observe(self, direction: str, raw: bytes) -> None:
        self.count(f"frames_{direction}")
        if self._frame_log is not None:
            self._frame_log.write(self.settings.code, direction, raw)

    # --- records -----------------------------------------------------------------------------

    def _say(self, frame_type: int, fields: Fields, echo: bytes) -> None:
        if self._session is not None and self._session.online:
            self._session.send(frame_type, fields, echo=echo)

    def _transmit_record(self, fields: Fields) -> None:
        if self._session is not None:
            self.count("records_sent")
            self._session.send(FrameType.RECORD, fields)
