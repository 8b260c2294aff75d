"""What piles tell the rest of the core, in no protocol's words.

Frozen values. Amounts are yuan, energies kWh, exact; `received_at` is our clock (UTC) and orders events, device times are the
pile's own word (China time), may be absent, and may be hours wrong (specs/ykc.md P6). A field that a pile did not send is None.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class PileCurrent(StrEnum):
    """What a pile says it delivers."""

    DC = "dc"
    AC = "ac"
    UNKNOWN = "unknown"


class ConnectorStatus(StrEnum):
    """What a pile says of a connector; "preparing" or "finished" must be derived with `plugged` and the order."""

    OFFLINE = "offline"
    FAULT = "fault"
    IDLE = "idle"
    CHARGING = "charging"
    UNKNOWN = "unknown"


class RateClass(StrEnum):
    """尖 峰 平 谷: the four rates that YKC 1.5/1.6 can count."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"


class StopCategory(StrEnum):
    """Why a charge ended, as far as statistics and partners need it; the pile's own number is kept beside it."""

    REMOTE = "remote"
    """By our stop command."""
    FULL = "full"
    LIMIT = "limit"
    """Energy, money or time limit reached."""
    MANUAL = "manual"
    BALANCE = "balance"
    UNPLUGGED = "unplugged"
    EMERGENCY_STOP = "emergency_stop"
    POWER_LOSS = "power_loss"
    VEHICLE = "vehicle"
    PILE = "pile"
    """A fault on the pile's side."""
    UNKNOWN = "unknown"


class StartReason(StrEnum):
    """Why a pile did not start."""

    NONE = "none"
    WRONG_PILE = "wrong_pile"
    BUSY = "busy"
    FAULT = "fault"
    OFFLINE = "offline"
    NOT_PLUGGED = "not_plugged"
    """Not final: the pile may still start when it is plugged in within 60 s."""
    OTHER = "other"


class StopReason(StrEnum):
    """Why a pile did not stop."""

    NONE = "none"
    WRONG_PILE = "wrong_pile"
    NOT_CHARGING = "not_charging"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PileLogin:
    """A pile presents itself; goes to `PileDirectory.login`, not to the event sink."""

    pile_code: str
    connection_id: str
    """Ours, unique per accepted socket: tells a late `PileOffline` of a replaced connection from the current one."""
    protocol: str
    protocol_version: str
    firmware: str | None
    current: PileCurrent
    connector_count: int | None
    sim: str | None
    address: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class PileOffline:
    """A pile's current connection ended. Not sent for a connection that a newer one replaced."""

    pile_code: str
    connection_id: str
    reason: str
    """closed, silent, framing, slow_reader, server_stopped, …: a constant word."""
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ConnectorSample:
    """State and meter values of one connector. `measured_at` is the pile's own time where its protocol tells one; where it does not,
    a replayed sample looks live (P10). One that is not `live` is a reading of a charge from the past: it says nothing about now.

    `trade_number` is believed only while charging, or when it is that of an open order: idle piles leave old ones there.
    """

    pile_code: str
    connector_no: int
    trade_number: str | None
    status: ConnectorStatus
    plugged: bool | None
    voltage_v: Decimal | None
    current_a: Decimal | None
    soc: int | None
    energy_kwh: Decimal | None
    energy_with_loss_kwh: Decimal | None
    amount_yuan: Decimal | None
    minutes_charged: int | None
    minutes_remaining: int | None
    faults: tuple[str, ...]
    received_at: datetime
    measured_at: datetime | None = None
    live: bool = True


@dataclass(frozen=True, slots=True)
class StartAnswered:
    """A pile answered a start command. "ok" does not prove a charge: only a charging sample does. May come twice."""

    trade_number: str
    pile_code: str
    connector_no: int
    ok: bool
    reason: StartReason
    received_at: datetime


@dataclass(frozen=True, slots=True)
class StopAnswered:
    """A pile answered a stop command. The trade number is that of our command, None when none is waiting for an answer."""

    trade_number: str | None
    pile_code: str
    connector_no: int
    ok: bool
    reason: StopReason
    received_at: datetime


@dataclass(frozen=True, slots=True)
class RateReading:
    """What a pile counted at one rate. The price is whatever the pile put there: mostly electricity + service."""

    rate_class: RateClass
    price: Decimal
    energy_kwh: Decimal
    energy_with_loss_kwh: Decimal
    amount_yuan: Decimal


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """The pile's account of one charge: evidence for the bill, idempotent by `trade_number` (P1).

    `complete` is False when the frame was shorter than published: then missing values are None and `rates` may be shorter,
    and nobody may bill from it. A pile that counts in total only has no `rates`, one that knows no prices no amount. `raw` is the
    whole frame in hexadecimal.
    """

    trade_number: str
    pile_code: str
    connector_no: int
    started_at: datetime | None
    ended_at: datetime | None
    rates: tuple[RateReading, ...]
    meter_start_kwh: Decimal | None
    meter_end_kwh: Decimal | None
    total_energy_kwh: Decimal | None
    total_energy_with_loss_kwh: Decimal | None
    total_amount_yuan: Decimal | None
    vin: str | None
    trade_flag: int | None
    stop_code: int | None
    stop_category: StopCategory
    card: str | None
    trade_time: datetime | None
    complete: bool
    raw: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class TariffVerified:
    """A pile named the tariff model it runs (None: it has none); `matches` says whether it is the one it should run."""

    pile_code: str
    model_number: str | None
    matches: bool
    received_at: datetime


@dataclass(frozen=True, slots=True)
class TariffRequested:
    """A pile asked for its tariff; `sent_model_number` was sent, None when there was none to send. Not a confirmation."""

    pile_code: str
    sent_model_number: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class TimeSynced:
    """A pile answered our time; `pile_time` is what its clock shows, None when unreadable. Some only echo ours."""

    pile_code: str
    pile_time: datetime | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class FrameSeen:
    """A frame worth keeping for people (not for the business): as it was received or sent, `raw` in hexadecimal."""

    pile_code: str
    connector_no: int | None
    trade_number: str | None
    protocol: str
    frame_type: int
    raw: str
    received_at: datetime


class LockPosition(StrEnum):
    """Where a ground lock's arm is."""

    BETWEEN = "between"
    RAISED = "raised"
    LOWERED = "lowered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GroundLockReported:
    """A bay's lock told its state. `occupied`: a car stands in the bay; `alarm`: none, "arm_out_of_position", "arm_damaged", …"""

    pile_code: str
    connector_no: int
    position: LockPosition
    occupied: bool | None
    battery_percent: int | None
    alarm: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class CardOnPile:
    """What a pile says of one card, by the number that readers send: whether it is on its list, and why what was wanted was not done."""

    physical: str
    present: bool | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CardsTold:
    """A pile told of some cards on the list that it keeps for times without a link."""

    pile_code: str
    cards: tuple[CardOnPile, ...]
    received_at: datetime


PileEvent = (
    PileOffline
    | ConnectorSample
    | StartAnswered
    | StopAnswered
    | TradeRecord
    | TariffVerified
    | TariffRequested
    | TimeSynced
    | FrameSeen
    | GroundLockReported
    | CardsTold
)
"""What the event sink receives."""
