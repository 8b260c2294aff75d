"""The words a connector, its pile and a session share: where a connector stands, why it says no, and what each needs of the pile."""

from datetime import timedelta
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Protocol

from charging_core.simulator.agenda import Agenda
from charging_core.simulator.device import DeviceClock, DeviceState
from charging_core.simulator.faults import Faults
from charging_core.simulator.measures import Meter
from charging_core.simulator.messages import Fields, StartOrder, TradeRecord
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.tariff import RateModel

if TYPE_CHECKING:
    from charging_core.simulator.connector import Connector
    from charging_core.simulator.locks import GroundLocks
    from charging_core.simulator.requests import StartDesk


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
    equipment: DeviceState
    faults: Faults
    model: RateModel | None
    """The billing model for charges that start now; None forbids charging."""

    def report(self, sample: Fields, *, charging: bool) -> None:
        """Send a 0x13, or keep it if the link is away and a charge is running."""
        ...

    def tell(self, frame_type: int, fields: Fields) -> None:
        """Send a frame that nobody answers; lost without a link."""
        ...

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """Send a 0x33 (again)."""
        ...

    def charge_begins(self, connector: "Connector") -> None:
        """A start is being carried out."""
        ...

    def charge_began(self, connector: "Connector") -> None:
        """A charge is running now."""
        ...

    def charge_ended(self, connector: "Connector", record: TradeRecord) -> None:
        """Keep the record until it is confirmed."""
        ...


class Records(Protocol):
    """What a session needs of the book of records."""

    def confirm(self, trade_number: str, result: int) -> bool:
        """A 0x40 came."""
        ...


class Pile(Host, Protocol):
    """What a session and what it answers need of their pile."""

    connectors: dict[int, "Connector"]
    meter: Meter
    starts: "StartDesk"
    locks: "GroundLocks"

    @property
    def records(self) -> Records:
        """Unconfirmed records."""
        ...

    def logged_in(self) -> None:
        """The platform accepted the login."""
        ...

    def count(self, name: str) -> None:
        """Count something worth showing."""
        ...

    def reboot(self, *, when_idle: bool) -> None:
        """Restart now, which ends charges, or as soon as nothing charges."""
        ...

    def later(self, period: timedelta, frame_type: int, fields: Fields, echo: bytes) -> None:
        """Answer after a while, on the connection of then."""
        ...
