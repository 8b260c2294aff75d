"""What a connector tells by itself: samples (0x13) on change and in their period, and with them the frames of the battery."""

from datetime import timedelta
from typing import Protocol

from charging_core.simulator import bms
from charging_core.simulator.agenda import Repeating
from charging_core.simulator.charge import Reading, Vehicle
from charging_core.simulator.host import Host, Phase
from charging_core.simulator.messages import NO_TRADE, Condition, StartOrder, sample_fields
from charging_core.simulator.running import Running

Shown = tuple[StartOrder, Reading, int]


class Shows(Protocol):
    """The connector, as far as it is told about."""

    number: int
    vehicle: Vehicle | None
    condition: Condition
    last_trade_number: str | None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        ...

    def shown(self) -> Shown | None:
        """Order, reading and minutes to go of a running charge."""
        ...

    def glitches(self) -> bool:
        """Whether the next periodic sample has to show "idle" in the middle of a charge; counts it."""
        ...


class Reporter:
    """Of one connector."""

    def __init__(self, connector: Shows, host: Host) -> None:
        self._connector = connector
        self._host = host
        self._sampler: Repeating | None = None

    def start(self) -> None:
        """Begin the periodic samples."""
        self._sampler = self._host.agenda.every(self._period(), self._periodic)

    def restart(self) -> None:
        """Another period begins now: a charge has begun or ended."""
        if self._sampler is not None:
            self._sampler.restart(self._period())

    def report(self, *, glitch: bool = False) -> None:
        """Say now how the connector stands (change, login, 0x12)."""
        connector = self._connector
        stale = connector.last_trade_number if self._host.faults.idle_trade_number else None
        fields = sample_fields(
            self._host.settings,
            connector.number,
            condition=connector.condition,
            vehicle=connector.vehicle,
            charging=None if glitch else connector.shown(),
            idle_trade=stale or NO_TRADE,
        )
        self._host.report(fields, charging=connector.phase is Phase.CHARGING)

    def begun(self, running: Running) -> None:
        """Current flows: the handshake with the battery, then the first sample of the charge."""
        self.restart()
        self._tell(bms.at_start(self._host.settings, running.order, running.vehicle))
        self.report()

    def ended(self, running: Running, reading: Reading, code: int) -> None:
        """The charge is over."""
        self.restart()
        if running.charge is not None:
            self._tell(bms.at_end(self._host.settings, running.order, reading, code))
        self.report()

    def _tell(self, frames: bms.Told) -> None:
        settings = self._host.settings
        if settings.type == "dc" and settings.battery_frames:
            for frame_type, fields in frames:
                self._host.tell(frame_type, fields)

    def _period(self) -> timedelta:
        periods = self._host.settings.periods
        charging = self._connector.phase is Phase.CHARGING
        return timedelta(seconds=periods.charging_sample_s if charging else periods.idle_sample_s)

    def _periodic(self) -> None:
        self.report(glitch=self._connector.glitches())
        shown = self._connector.shown()
        if shown is not None:
            self._tell(bms.while_charging(self._host.settings, *shown))
