"""The ground locks (地锁) in front of a pile: reported on change and in their period (0x61), moved by 0x62."""

from collections.abc import Mapping
from datetime import timedelta

from charging_core.simulator.agenda import Repeating
from charging_core.simulator.connector import Connector
from charging_core.simulator.host import Host
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.messages import lock_fields


class GroundLocks:
    """Of all connectors of a pile; none where `equipment.locks` is empty."""

    def __init__(self, host: Host, connectors: Mapping[int, Connector]) -> None:
        self._host = host
        self._connectors = connectors
        self._told: Repeating | None = None

    def start(self) -> None:
        """Begin the periodic reports."""
        if self._host.equipment.locks:
            period = timedelta(seconds=self._host.settings.periods.lock_report_s)
            self._told = self._host.agenda.every(period, self.report)

    def report(self) -> None:
        """Say where every lock stands."""
        for connector in self._host.equipment.locks:
            self._report_one(connector)

    def move(self, connector: int, position: int) -> bool:
        """Raise (0x55) or lower (0xFF) the lock of a connector's bay, and report it; False without one."""
        if connector not in self._host.equipment.locks:
            return False
        self._host.equipment.locks[connector] = position
        self._report_one(connector)
        return True

    def _report_one(self, connector: int) -> None:
        occupied = self._connectors[connector].vehicle is not None
        position = self._host.equipment.locks[connector]
        self._host.tell(
            FrameType.LOCK_REPORT, lock_fields(self._host.settings.code, connector, position, occupied=occupied)
        )
