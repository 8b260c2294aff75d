"""What a pile says about itself: the fields of 0x01, 0x13 and 0x3B from settings, readings and finished charges. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import Enum, IntEnum
from typing import Any

from charging_core.simulator.charge import Reading, StopCode, Vehicle
from charging_core.simulator.faults import Faults
from charging_core.simulator.settings import PileSettings

Fields = Mapping[str, Any]

NO_TRADE = "0" * 32
NO_CARD = "0" * 16
_VERSION_BYTES = {"1.5": 0x0F, "1.6": 0x10}
_TYPE_BYTES = {"dc": 0, "ac": 1}
NO_CODE = "0" * 16
DC_VOLTAGE = Decimal("400.0")
_VOLTAGE = {"dc": DC_VOLTAGE, "ac": Decimal("220.0")}
_NETWORK_LAN = 1
_CARRIER_OTHER = 4
# temperatures travel with an offset of -50: 35 and 32 degrees while charging
_WARM_CABLE = 85
_WARM_BATTERY = 82
_MAX_MINUTES = 0xFFFF
_BAY_TAKEN = 0xFF
_NOTHING, _CENT = Decimal(0), Decimal("0.01")


class Status(IntEnum):
    """状态 in 0x13."""

    FAULT = 1
    IDLE = 2
    CHARGING = 3


class Condition(Enum):
    """Health of a connector: its fault bits in 0x13, and the stop code of a charge it interrupts (None: healthy)."""

    NORMAL = (0x0000, None)
    EMERGENCY = (0x0001, StopCode.EMERGENCY)
    MODULE_FAULT = (0x0002, StopCode.MODULE_FAULT)

    def __init__(self, fault_bits: int, stop_code: StopCode | None) -> None:
        self.fault_bits = fault_bits
        self.stop_code = stop_code


class TradeFlag(IntEnum):
    """交易标识 in 0x3B: how a charge was started."""

    APP = 1
    CARD = 2
    OFFLINE_CARD = 4
    VIN = 5


@dataclass(frozen=True, slots=True)
class ParallelGroup:
    """并充: the number that all connectors of one charge share, and the role of this one (0 main, 1 auxiliary)."""

    number: str
    role: int


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What 0x34 orders, or 0x32 allows. `sequence` is kept because every answer to 0x34 repeats it; None: nobody waits for one."""

    trade_number: str
    connector: int
    balance_yuan: Decimal
    physical_card: str
    sequence: bytes | None
    flag: TradeFlag = TradeFlag.APP
    group: ParallelGroup | None = None


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """A finished charge as the pile keeps it until it is confirmed. Times are the pile's; meter in kWh."""

    order: StartOrder
    started_at: datetime
    ended_at: datetime
    trade_time: datetime
    reading: Reading
    meter_start: Decimal
    vin: str | None
    stop_code: int


def login_fields(settings: PileSettings, software: str | None = None) -> Fields:
    """0x01; `software` is the version after an update."""
    return {
        "pile_code": settings.code,
        "pile_type": _TYPE_BYTES[settings.type],
        "connectors": settings.connectors,
        "protocol_version": _VERSION_BYTES[settings.protocol_version],
        "software": software or settings.software,
        "network": _NETWORK_LAN,
        "sim": settings.sim_card,
        "carrier": _CARRIER_OTHER,
    }


def sample_fields(
    settings: PileSettings,
    connector: int,
    *,
    condition: Condition,
    vehicle: Vehicle | None,
    charging: tuple[StartOrder, Reading, int] | None,
    idle_trade: str = NO_TRADE,
) -> Fields:
    """0x13. `charging` is the order, its reading and the minutes still to go; everything of it is zero when idle, except for
    `idle_trade` of firmware that leaves an old trade number there."""
    plugged = vehicle is not None
    fields: dict[str, Any] = {
        "trade_number": idle_trade,
        "pile_code": settings.code,
        "connector": connector,
        "status": Status.IDLE if condition is Condition.NORMAL else Status.FAULT,
        "homed": int(not plugged),
        "plugged": int(plugged),
        "voltage": Decimal(0),
        "current": Decimal(0),
        "cable_temperature": 0,
        "cable_code": NO_CODE,
        "soc": 0,
        "battery_temperature": 0,
        "minutes_charged": 0,
        "minutes_remaining": 0,
        "energy": Decimal(0),
        "with_loss": Decimal(0),
        "amount": Decimal(0),
        "fault_bits": condition.fault_bits,
    }
    return fields if charging is None else fields | _charging_fields(settings, *charging)


def _charging_fields(settings: PileSettings, order: StartOrder, reading: Reading, minutes_left: int) -> dict[str, Any]:
    dc_only = {
        "soc": reading.soc,
        "battery_temperature": _WARM_BATTERY,
        "minutes_remaining": min(minutes_left, _MAX_MINUTES),
    }
    return {
        "trade_number": order.trade_number,
        "status": Status.CHARGING,
        "voltage": _VOLTAGE[settings.type],
        "current": current_of(settings, reading),
        "cable_temperature": _WARM_CABLE,
        "minutes_charged": min(reading.minutes, _MAX_MINUTES),
        "energy": reading.energy,
        "with_loss": reading.with_loss,
        "amount": reading.amount,
        **(dc_only if settings.type == "dc" else {}),
    }


def current_of(settings: PileSettings, reading: Reading) -> Decimal:
    """The output current in A, one decimal."""
    return (reading.power_kw * 1000 / _VOLTAGE[settings.type]).quantize(Decimal("0.1"))


def record_fields(settings: PileSettings, record: TradeRecord, faults: Faults) -> Fields:
    """0x3B with correct sums, unless the pile is told to make them wrong."""
    reading = record.reading
    fields: dict[str, Any] = {
        "trade_number": record.order.trade_number,
        "pile_code": settings.code,
        "connector": record.order.connector,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "meter_start": _NOTHING if faults.zero_meter else record.meter_start,
        "meter_end": _NOTHING if faults.zero_meter else record.meter_start + reading.energy,
        "total_energy": reading.energy,
        "total_with_loss": reading.with_loss,
        "total_amount": _amount(reading.amount, faults),
        "vin": record.vin or "",
        "trade_flag": int(record.order.flag) if faults.trade_flag is None else faults.trade_flag,
        "trade_time": record.trade_time,
        "stop_code": record.stop_code,
        "physical_card": record.order.physical_card,
    }
    for index, rate in enumerate(reading.rates):
        fields[f"rate{index}_price"] = rate.price
        fields[f"rate{index}_energy"] = rate.energy
        fields[f"rate{index}_with_loss"] = rate.with_loss
        fields[f"rate{index}_amount"] = _amount(rate.amount, faults)
    return fields


def with_other_amounts(fields: Fields) -> Fields:
    """The same record with every amount a yuan higher, as a firmware fault repeats it."""
    amounts = [name for name in fields if name.endswith("_amount")]
    return {**fields, **{name: fields[name] + 1 for name in amounts}}


def _amount(exact: Decimal, faults: Faults) -> Decimal:
    return exact.quantize(_CENT, ROUND_DOWN) if faults.cut_amounts else exact


def lock_fields(code: str, connector: int, position: int, *, occupied: bool) -> Fields:
    """0x61."""
    return {
        "pile_code": code,
        "connector": connector,
        "position": position,
        "bay": _BAY_TAKEN if occupied else 0,
        "battery": 100,
        "alarm": 0,
        "spare": "0" * 8,
    }
