"""What a simulated OCPP pile is made of: its settings, what it does wrong, its connectors, and a charge as a pure calculation."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from charging_core.simulator.charge import Vehicle

WH_PER_KWH = 1000
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class OcppSettings:
    """One pile. `sample_s` and `plug_wait_s` count on its clock, `real_*` are real seconds."""

    identity: str
    password: str | None = None
    connectors: int = 1
    power_kw: Decimal = Decimal(60)
    meter_wh: int = 1_000_000
    sample_s: int = 15
    plug_wait_s: int = 60
    real_answer_s: float = 5.0
    real_reconnect_s: float = 0.2
    energy_unit: str = "Wh"
    """Of the samples: Wh or kWh; None of both counts for meterStart and meterStop, which are Wh always."""
    authorizes: bool = False
    """Asks about the tag of a remote start before it uses it (AuthorizeRemoteTxRequests)."""


@dataclass(slots=True)
class OcppFaults:
    """What this pile does wrong, until told otherwise."""

    forget_transaction_id: bool = False
    """Uses -1 instead of the id it was given, as after a lost answer."""
    copies_of_stop: int = 0
    """Sends its StopTransaction so many times more, although it was answered."""
    meter_reset: bool = False
    """Its register begins again at zero with the next sample, once."""


@dataclass(slots=True)
class OcppCharge:
    """One charge: constant power, ended by somebody or by a full battery."""

    tag: str
    started_at: datetime
    register_wh: int
    power_kw: Decimal
    battery_wh: Decimal
    sampled_at: datetime
    id: int | None = None
    lost_wh: int = 0
    """What a reset took from the register."""

    def wh_at(self, instant: datetime) -> int:
        """Energy since the start, whole Wh."""
        seconds = Decimal(str((instant - self.started_at).total_seconds()))
        return int(min(self.power_kw * WH_PER_KWH * seconds / _SECONDS_PER_HOUR, self.battery_wh))

    def register_at(self, instant: datetime) -> int:
        """What the meter shows."""
        return self.register_wh + self.wh_at(instant) - self.lost_wh


@dataclass(slots=True)
class OcppConnector:
    """One connector."""

    number: int
    meter_wh: int
    vehicle: Vehicle | None = None
    charge: OcppCharge | None = None
    status: str = "Available"
    wanted: tuple[str, datetime] | None = None
    """Tag of a remote start that waits for the plug, and until when."""
