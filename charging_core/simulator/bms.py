"""What a DC pile passes on of the dialogue with the battery (GB/T 27930): 0x15, 0x17, 0x19, 0x1D, 0x21, 0x23, 0x25. Pure.

The battery is invented from the vehicle: 400 V, 96 cells, warm. AC piles send none of these frames.
"""

from collections.abc import Iterator
from decimal import Decimal

from charging_core.simulator.charge import FULL_SOC, Reading, StopCode, Vehicle
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.messages import DC_VOLTAGE, NO_CODE, Fields, StartOrder, current_of
from charging_core.simulator.settings import PileSettings

Told = Iterator[tuple[FrameType, Fields]]

# BMS protocol V1.1: bytes 3..2 = 0001h, byte 1 = 01h
_BMS_VERSION = "010100"
_TERNARY = 6
_CELLS = 96
_CELL_MAX = Decimal("4.25")
_CELL_MIN_SOC, _CELL_FULL = Decimal("3.40"), Decimal("4.15")
# temperatures travel with an offset of -50, currents with one of -400 A in steps of 0.1 A
_COOL, _WARM, _HOTTEST = 50 + 24, 50 + 32, 50 + 55
_CURRENT_OFFSET = 4000
_CONSTANT_VOLTAGE, _CONSTANT_CURRENT = 1, 2
_TAPER_SOC = 80
# all bit pairs normal, charging allowed in bits 4-5 of the second byte
_NORMAL, _ALLOWED = 0x00, 0x10
# the first bit pair of 0x1D: SOC reached; of 0x21: condition reached, abnormal (third pair), emergency stop (fifth pair of its faults)
_SOC_REACHED = 0x01
_CONDITION, _ABNORMAL = 0x01, 0x10
_EMERGENCY, _OTHER = 0x0100, 0x0400
_MOST = 0xFFFF


def at_start(settings: PileSettings, order: StartOrder, vehicle: Vehicle) -> Told:
    """0x15 and 0x17, once per charge, before current flows."""
    trade = _trade(settings, order)
    yield (
        FrameType.BMS_HANDSHAKE,
        {
            **trade,
            "bms_version": _BMS_VERSION,
            "battery_type": _TERNARY,
            "capacity_ah": min(vehicle.battery_kwh * 1000 / DC_VOLTAGE, Decimal(6500)).quantize(Decimal("0.1")),
            "rated_voltage": DC_VOLTAGE,
            "maker": "SIMU",
            "pack_serial": "00000001",
            "made_year": 2024 - 1985,
            "made_month": 6,
            "made_day": 1,
            "charge_count": 100,
            "owned": 1,
            "reserved": 0,
            "vin": vehicle.vin or "",
            "bms_software": NO_CODE,
        },
    )
    yield (
        FrameType.BMS_PARAMETERS,
        {
            **trade,
            "cell_voltage_max": _CELL_MAX,
            "current_max": _CURRENT_OFFSET + 2500,
            "nominal_kwh": vehicle.battery_kwh.quantize(Decimal("0.1")),
            "voltage_max": _CELL_MAX * _CELLS,
            "temperature_max": _HOTTEST,
            "soc": Decimal(vehicle.soc),
            "battery_voltage": DC_VOLTAGE,
            "output_voltage_max": Decimal(750),
            "output_voltage_min": Decimal(200),
            "output_current_max": _CURRENT_OFFSET + 2500,
            "output_current_min": _CURRENT_OFFSET,
        },
    )


def while_charging(settings: PileSettings, order: StartOrder, reading: Reading, minutes_left: int) -> Told:
    """0x23 and 0x25, with every sample."""
    trade = _trade(settings, order)
    current = _CURRENT_OFFSET + int(current_of(settings, reading).scaleb(1))
    tapering = reading.soc >= _TAPER_SOC
    yield (
        FrameType.BMS_DEMAND,
        {
            **trade,
            "demanded_voltage": DC_VOLTAGE,
            "demanded_current": current,
            "mode": _CONSTANT_VOLTAGE if tapering else _CONSTANT_CURRENT,
            "measured_voltage": DC_VOLTAGE,
            "measured_current": current,
            "cell_and_group": int(_cell(reading.soc).scaleb(2)),
            "soc": reading.soc,
            "minutes_remaining": min(minutes_left, _MOST),
            "output_voltage": DC_VOLTAGE,
            "output_current": current,
            "minutes_charged": min(reading.minutes, _MOST),
        },
    )
    yield (
        FrameType.BMS_STATE,
        {
            **trade,
            "highest_cell": 12,
            "temperature_max": _WARM,
            "temperature_max_at": 3,
            "temperature_min": _COOL,
            "temperature_min_at": 7,
            "limits": _NORMAL,
            "permissions": _ALLOWED,
        },
    )


def at_end(settings: PileSettings, order: StartOrder, reading: Reading, code: int) -> Told:
    """0x1D or 0x21 where somebody aborted, then 0x19; not a substitute for the trade record."""
    trade = _trade(settings, order)
    if code == StopCode.FULL:
        yield FrameType.BMS_ABORT, {**trade, "reason": _SOC_REACHED, "fault": 0, "error": 0}
    elif code > StopCode.BY_HAND:
        fault = _EMERGENCY if code == StopCode.EMERGENCY else _OTHER
        yield FrameType.CHARGER_ABORT, {**trade, "reason": _ABNORMAL, "fault": fault, "error": 0}
    else:
        yield FrameType.CHARGER_ABORT, {**trade, "reason": _CONDITION, "fault": 0, "error": 0}
    yield (
        FrameType.BMS_END,
        {
            **trade,
            "soc": reading.soc,
            "cell_voltage_min": _cell(reading.soc) - Decimal("0.02"),
            "cell_voltage_max": _cell(reading.soc),
            "temperature_min": _COOL,
            "temperature_max": _WARM,
            "minutes": min(reading.minutes, _MOST),
            "energy": reading.energy.quantize(Decimal("0.1")),
            "charger_number": 1,
        },
    )


def _trade(settings: PileSettings, order: StartOrder) -> Fields:
    return {"trade_number": order.trade_number, "pile_code": settings.code, "connector": order.connector}


def _cell(soc: int) -> Decimal:
    """Voltage of the highest cell: straight between empty and full."""
    return (_CELL_MIN_SOC + (_CELL_FULL - _CELL_MIN_SOC) * soc / FULL_SOC).quantize(Decimal("0.01"))
