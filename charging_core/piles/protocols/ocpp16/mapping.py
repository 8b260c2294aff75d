"""OCPP payloads to plain facts. Pure. What cannot be read becomes None; what an action cannot do without raises `BadMessage`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from charging_core.piles.events import ConnectorStatus, StopCategory
from charging_core.piles.protocols.ocpp16.errors import BadMessage
from charging_core.piles.protocols.ocpp16.frames import Payload

ENERGY = "Energy.Active.Import.Register"
CLOCK_TOLERANCE = timedelta(minutes=10)
"""A pile's time further in the future than this is not believed; the past is what it queued while it was off-line."""
FIRST_YEAR = 2020
"""A clock that was never set shows 1970 or the year of the firmware."""
_TAG_LENGTH = 64
"""Kept of an idTag: 20 by the standard, and then some."""
_MOST_WH = 2**53
"""A register beyond is no meter's; every database counts that far."""
_MOST_ID = 2**31 - 1
_PHASES = ("L1", "L2", "L3")

_STATUS: Mapping[str, tuple[ConnectorStatus, bool | None]] = MappingProxyType(
    {
        "Available": (ConnectorStatus.IDLE, False),
        "Preparing": (ConnectorStatus.IDLE, True),
        "Charging": (ConnectorStatus.CHARGING, True),
        "SuspendedEV": (ConnectorStatus.CHARGING, True),
        "SuspendedEVSE": (ConnectorStatus.CHARGING, True),
        "Finishing": (ConnectorStatus.IDLE, True),
        "Reserved": (ConnectorStatus.IDLE, False),
        "Unavailable": (ConnectorStatus.OFFLINE, None),
        "Faulted": (ConnectorStatus.FAULT, None),
    }
)
_STOP_CATEGORY: Mapping[str, StopCategory] = MappingProxyType(
    {
        "Remote": StopCategory.REMOTE,
        "Local": StopCategory.MANUAL,
        "EVDisconnected": StopCategory.UNPLUGGED,
        "UnlockCommand": StopCategory.UNPLUGGED,
        "EmergencyStop": StopCategory.EMERGENCY_STOP,
        "PowerLoss": StopCategory.POWER_LOSS,
        "Reboot": StopCategory.PILE,
        "HardReset": StopCategory.PILE,
        "SoftReset": StopCategory.PILE,
    }
)
NO_REASON = StopCategory.MANUAL
"""A stop without a reason is "Local" by the standard (5.10)."""


@dataclass(frozen=True, slots=True)
class Values:
    """One set of sampled values. The register in Wh as the meter shows it; `at` is the pile's word, None when unreadable."""

    at: datetime | None
    register_wh: Decimal | None
    voltage_v: Decimal | None = None
    current_a: Decimal | None = None
    soc: int | None = None
    begins: bool = False
    """Taken at the start of the transaction (context Transaction.Begin)."""


@dataclass(frozen=True, slots=True)
class Start:
    """A StartTransaction."""

    connector_no: int
    id_tag: str
    meter_wh: int
    told_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """A StopTransaction."""

    transaction_id: int
    id_tag: str | None
    meter_wh: int
    told_at: datetime | None
    category: StopCategory
    values: tuple[Values, ...]


def start(payload: Payload) -> Start:
    """What a StartTransaction says. Raises `BadMessage` without connector, idTag or meter."""
    tag = payload.get("idTag")
    if not isinstance(tag, str):
        raise BadMessage("OccurenceConstraintViolation", "idTag is missing")
    connector_no = _whole(payload, "connectorId")
    if not 1 <= connector_no <= 99:
        raise BadMessage("PropertyConstraintViolation", f"connectorId {connector_no}")
    return Start(connector_no, tag[:_TAG_LENGTH], _register(payload, "meterStart"), moment(payload.get("timestamp")))


def stop(payload: Payload) -> Stop:
    """What a StopTransaction says. Raises `BadMessage` without transactionId or meter."""
    tag, reason = payload.get("idTag"), payload.get("reason")
    transaction_id = _whole(payload, "transactionId")
    if abs(transaction_id) > _MOST_ID:
        raise BadMessage("PropertyConstraintViolation", f"transactionId {transaction_id}")
    return Stop(
        transaction_id,
        tag[:_TAG_LENGTH] if isinstance(tag, str) else None,
        _register(payload, "meterStop"),
        moment(payload.get("timestamp")),
        NO_REASON if reason is None else _STOP_CATEGORY.get(str(reason), StopCategory.UNKNOWN),
        tuple(values(payload.get("transactionData"))),
    )


def status(payload: Payload) -> tuple[int, ConnectorStatus, bool | None, tuple[str, ...]]:
    """Connector (0: the whole pile), status, plugged, faults of a StatusNotification. Raises `BadMessage` without connector."""
    known, plugged = _STATUS.get(str(payload.get("status")), (ConnectorStatus.UNKNOWN, None))
    code = str(payload.get("errorCode", "NoError"))
    faults = () if code == "NoError" else (code[:40],)
    return _whole(payload, "connectorId"), known, plugged, faults


def _whole(payload: Payload, name: str) -> int:
    value = _number(payload.get(name))
    if value is None or value != value.to_integral_value() or abs(value) > _MOST_WH:
        raise BadMessage("TypeConstraintViolation", f"{name} is no whole number")
    return int(value)


def _register(payload: Payload, name: str) -> int:
    """A register in Wh; firmware that sends a fraction is rounded down."""
    value = _number(payload.get(name))
    if value is None or abs(value) > _MOST_WH:
        raise BadMessage("TypeConstraintViolation", f"{name} is no number of Wh")
    return int(value)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(str(value).strip()) if isinstance(value, str) else Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) <= _MOST_WH else None


def moment(text: Any) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC, as the standard wants."""
    try:
        told = datetime.fromisoformat(str(text).strip())
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def believed(told: datetime | None, received_at: datetime) -> datetime:
    """The pile's own time where it can be true, else the time of receipt; the past may be long ago (off-line replay)."""
    if told is None or told.year < FIRST_YEAR or told > received_at + CLOCK_TOLERANCE:
        return received_at
    return told


# -- meter values


def values(meter_values: Any) -> Iterator[Values]:
    """The sets of values of a MeterValues or of transactionData, in their order; what is no set is passed over."""
    for one in meter_values if isinstance(meter_values, list) else ():
        if isinstance(one, Mapping):
            yield _values(one)


def _values(one: Mapping[str, Any]) -> Values:
    sampled = [s for s in one.get("sampledValue") or () if isinstance(s, Mapping)]
    soc = _total(sampled, "SoC", {"Percent": Decimal(1)})
    return Values(
        at=moment(one.get("timestamp")),
        register_wh=_total(sampled, ENERGY, {"Wh": Decimal(1), "kWh": Decimal(1000)}),
        voltage_v=_mean(_phases(sampled, "Voltage", {"V": Decimal(1)})),
        current_a=_total(sampled, "Current.Import", {"A": Decimal(1)}),
        soc=int(soc) if soc is not None and 0 <= soc <= 100 else None,
        begins=any(s.get("context") == "Transaction.Begin" for s in sampled),
    )


def _total(sampled: Sequence[Mapping[str, Any]], measurand: str, units: Mapping[str, Decimal]) -> Decimal | None:
    """The value of all phases together: as it is told, else the sum of the phases."""
    found = _phases(sampled, measurand, units)
    whole = [number for phase, number in found if phase is None]
    parts = {phase: number for phase, number in found if phase in _PHASES}
    if whole:
        return whole[-1]
    return sum(parts.values(), Decimal(0)) if parts else None


def _mean(found: Sequence[tuple[str | None, Decimal]]) -> Decimal | None:
    """Of the phases against neutral where they are told, else of what there is."""
    against_neutral = [number for phase, number in found if phase is None or phase.endswith("-N") or phase in _PHASES]
    numbers = against_neutral or [number for _, number in found]
    return (sum(numbers, Decimal(0)) / len(numbers)).quantize(Decimal("0.1")) if numbers else None


def _phases(
    sampled: Iterable[Mapping[str, Any]], measurand: str, units: Mapping[str, Decimal]
) -> list[tuple[str | None, Decimal]]:
    """(phase, value in the first unit) of a measurand at the outlet; energy is what a value without a name means."""
    found = []
    for one in sampled:
        if one.get("measurand", ENERGY) != measurand or one.get("format", "Raw") != "Raw":
            continue
        number, factor = _number(one.get("value")), units.get(str(one.get("unit", next(iter(units)))))
        if number is not None and factor is not None and one.get("location", "Outlet") == "Outlet":
            phase = one.get("phase")
            found.append((None if phase is None else str(phase), number * factor))
    return found
