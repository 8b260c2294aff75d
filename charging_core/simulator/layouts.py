"""The bodies of 云快充 1.5/1.6 as the pile sees them (ykc.md section 5): one declarative layout per frame type. Pure tables."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from itertools import chain

from charging_core.simulator.fields import Ascii, Coder, ConnectorNumber, Cp56Time, Digits, Fixed, Layout, Rest, Uint


class FrameType(IntEnum):
    """帧类型标志: odd numbers go up, even numbers come down."""

    LOGIN = 0x01
    LOGIN_REPLY = 0x02
    HEARTBEAT = 0x03
    HEARTBEAT_REPLY = 0x04
    MODEL_VERIFY = 0x05
    MODEL_VERIFY_REPLY = 0x06
    MODEL_REQUEST = 0x09
    MODEL_REPLY = 0x0A
    READ = 0x12
    SAMPLE = 0x13
    BMS_HANDSHAKE = 0x15
    BMS_PARAMETERS = 0x17
    BMS_END = 0x19
    BMS_ERROR = 0x1B
    BMS_ABORT = 0x1D
    CHARGER_ABORT = 0x21
    BMS_DEMAND = 0x23
    BMS_STATE = 0x25
    START_REQUEST = 0x31
    START_REQUEST_REPLY = 0x32
    START_REPLY = 0x33
    START = 0x34
    STOP_REPLY = 0x35
    STOP = 0x36
    RECORD = 0x3B
    RECORD_REPLY = 0x40
    BALANCE_REPLY = 0x41
    BALANCE = 0x42
    CARD_SYNC_REPLY = 0x43
    CARD_SYNC = 0x44
    CARD_CLEAR_REPLY = 0x45
    CARD_CLEAR = 0x46
    CARD_QUERY_REPLY = 0x47
    CARD_QUERY = 0x48
    WORK_REPLY = 0x51
    WORK = 0x52
    TIME_REPLY = 0x55
    TIME = 0x56
    MODEL_SET_REPLY = 0x57
    MODEL_SET = 0x58
    LOCK_REPORT = 0x61
    LOCK = 0x62
    LOCK_REPLY = 0x63
    REBOOT_REPLY = 0x91
    REBOOT = 0x92
    UPDATE_REPLY = 0x93
    UPDATE = 0x94
    PARALLEL_REQUEST = 0xA1
    PARALLEL_REQUEST_REPLY = 0xA2
    PARALLEL_START_REPLY = 0xA3
    PARALLEL_START = 0xA4
    QR = 0xF0
    QR_REPLY = 0xF1


RATE_COUNT = 4
SLOT_COUNT = 48

_PILE: dict[str, Coder] = {"pile_code": Digits(7)}
_CONNECTOR: dict[str, Coder] = {**_PILE, "connector": ConnectorNumber()}
# the ground lock frames declare the connector as BIN
_BAY: dict[str, Coder] = {**_PILE, "connector": Uint(1)}
_TRADE: dict[str, Coder] = {"trade_number": Digits(16), **_CONNECTOR}
_RESULT: dict[str, Coder] = {"result": Uint(1)}
_ANSWER: dict[str, Coder] = {**_PILE, **_RESULT}
_REASON: dict[str, Coder] = {**_RESULT, "reason": Uint(1)}
_SPARE: dict[str, Coder] = {"spare": Digits(4)}
_GROUP: dict[str, Coder] = {"parallel_number": Digits(6)}
_ENTRIES: dict[str, Coder] = {"entries": Rest()}
_COUNTED: dict[str, Coder] = {**_PILE, "count": Uint(1), **_ENTRIES}
_MODEL: dict[str, Coder] = {
    **_PILE,
    "model_number": Digits(2),
    **dict(
        chain.from_iterable(
            ((f"rate{i}_electricity", Fixed(4, 5)), (f"rate{i}_service", Fixed(4, 5))) for i in range(RATE_COUNT)
        )
    ),
    "loss_percent": Uint(1),
    "slots": Digits(SLOT_COUNT),
}
_START: dict[str, Coder] = {
    **_TRADE,
    "logical_card": Digits(8),
    "physical_card": Digits(8),
    "balance": Fixed(4, 2),
}
_START_REQUEST: dict[str, Coder] = {
    **_CONNECTOR,
    "mode": Uint(1),
    "needs_password": Uint(1),
    "account": Digits(8),
    "password": Digits(16),
    "vin": Ascii(17),
}
_START_REQUEST_REPLY: dict[str, Coder] = {
    **_TRADE,
    "logical_card": Digits(8),
    "balance": Fixed(4, 2),
    **_REASON,
}


def _record_rate(index: int) -> Iterator[tuple[str, Coder]]:
    yield f"rate{index}_price", Fixed(4, 5)
    yield f"rate{index}_energy", Fixed(4, 4)
    yield f"rate{index}_with_loss", Fixed(4, 4)
    yield f"rate{index}_amount", Fixed(4, 4)


_BMS: dict[int, Layout] = {
    FrameType.BMS_HANDSHAKE: {
        **_TRADE,
        "bms_version": Digits(3),
        "battery_type": Uint(1),
        "capacity_ah": Fixed(2, 1),
        "rated_voltage": Fixed(2, 1),
        "maker": Ascii(4),
        "pack_serial": Digits(4),
        "made_year": Uint(1),
        "made_month": Uint(1),
        "made_day": Uint(1),
        "charge_count": Uint(3),
        "owned": Uint(1),
        "reserved": Uint(1),
        "vin": Ascii(17),
        "bms_software": Digits(8),
    },
    FrameType.BMS_PARAMETERS: {
        **_TRADE,
        "cell_voltage_max": Fixed(2, 2),
        "current_max": Uint(2),
        "nominal_kwh": Fixed(2, 1),
        "voltage_max": Fixed(2, 1),
        "temperature_max": Uint(1),
        "soc": Fixed(2, 1),
        "battery_voltage": Fixed(2, 1),
        "output_voltage_max": Fixed(2, 1),
        "output_voltage_min": Fixed(2, 1),
        "output_current_max": Uint(2),
        "output_current_min": Uint(2),
    },
    FrameType.BMS_END: {
        **_TRADE,
        "soc": Uint(1),
        "cell_voltage_min": Fixed(2, 2),
        "cell_voltage_max": Fixed(2, 2),
        "temperature_min": Uint(1),
        "temperature_max": Uint(1),
        "minutes": Uint(2),
        "energy": Fixed(2, 1),
        "charger_number": Uint(4),
    },
    FrameType.BMS_ERROR: {**_TRADE, "timeouts": Digits(8)},
    FrameType.BMS_ABORT: {**_TRADE, "reason": Uint(1), "fault": Uint(2), "error": Uint(1)},
    FrameType.CHARGER_ABORT: {**_TRADE, "reason": Uint(1), "fault": Uint(2), "error": Uint(1)},
    FrameType.BMS_DEMAND: {
        **_TRADE,
        "demanded_voltage": Fixed(2, 1),
        "demanded_current": Uint(2),
        "mode": Uint(1),
        "measured_voltage": Fixed(2, 1),
        "measured_current": Uint(2),
        "cell_and_group": Uint(2),
        "soc": Uint(1),
        "minutes_remaining": Uint(2),
        "output_voltage": Fixed(2, 1),
        "output_current": Uint(2),
        "minutes_charged": Uint(2),
    },
    FrameType.BMS_STATE: {
        **_TRADE,
        "highest_cell": Uint(1),
        "temperature_max": Uint(1),
        "temperature_max_at": Uint(1),
        "temperature_min": Uint(1),
        "temperature_min_at": Uint(1),
        "limits": Uint(1),
        "permissions": Uint(1),
    },
}

_DEVICE: dict[int, Layout] = {
    FrameType.BALANCE: {**_CONNECTOR, "physical_card": Digits(8), "balance": Fixed(4, 2)},
    FrameType.BALANCE_REPLY: {**_PILE, "physical_card": Digits(8), **_RESULT},
    FrameType.CARD_SYNC: _COUNTED,
    FrameType.CARD_SYNC_REPLY: {**_PILE, **_REASON},
    FrameType.CARD_CLEAR: _COUNTED,
    FrameType.CARD_CLEAR_REPLY: {**_PILE, **_ENTRIES},
    FrameType.CARD_QUERY: _COUNTED,
    FrameType.CARD_QUERY_REPLY: {**_PILE, **_ENTRIES},
    FrameType.WORK: {**_PILE, "out_of_service": Uint(1), "max_power_percent": Uint(1)},
    FrameType.WORK_REPLY: _ANSWER,
    FrameType.LOCK_REPORT: {
        **_BAY,
        "position": Uint(1),
        "bay": Uint(1),
        "battery": Uint(1),
        "alarm": Uint(1),
        **_SPARE,
    },
    FrameType.LOCK: {**_BAY, "command": Uint(1), **_SPARE},
    FrameType.LOCK_REPLY: {**_BAY, **_RESULT, **_SPARE},
    FrameType.REBOOT: {**_PILE, "when": Uint(1)},
    FrameType.REBOOT_REPLY: _ANSWER,
    FrameType.UPDATE: {
        **_PILE,
        "pile_model": Uint(1),
        "power_kw": Uint(2),
        "server": Ascii(16),
        "port": Uint(2),
        "user": Ascii(16),
        "password": Ascii(16),
        "path": Ascii(32),
        "when": Uint(1),
        "timeout_min": Uint(1),
    },
    FrameType.UPDATE_REPLY: _ANSWER,
    FrameType.QR: {**_PILE, "format": Uint(1), "length": Uint(1), **_ENTRIES},
    FrameType.QR_REPLY: _ANSWER,
}

LAYOUTS: Mapping[int, Layout] = {
    **_BMS,
    **_DEVICE,
    FrameType.LOGIN: {
        **_PILE,
        "pile_type": Uint(1),
        "connectors": Uint(1),
        "protocol_version": Uint(1),
        "software": Ascii(8),
        "network": Uint(1),
        "sim": Digits(10),
        "carrier": Uint(1),
    },
    FrameType.LOGIN_REPLY: _ANSWER,
    FrameType.HEARTBEAT: {**_CONNECTOR, "state": Uint(1)},
    FrameType.HEARTBEAT_REPLY: {**_CONNECTOR, **_RESULT},
    FrameType.MODEL_VERIFY: {**_PILE, "model_number": Digits(2)},
    FrameType.MODEL_VERIFY_REPLY: {**_PILE, "model_number": Digits(2), **_RESULT},
    FrameType.MODEL_REQUEST: _PILE,
    FrameType.MODEL_REPLY: _MODEL,
    FrameType.MODEL_SET: _MODEL,
    FrameType.MODEL_SET_REPLY: _ANSWER,
    FrameType.READ: _CONNECTOR,
    FrameType.SAMPLE: {
        **_TRADE,
        "status": Uint(1),
        "homed": Uint(1),
        "plugged": Uint(1),
        "voltage": Fixed(2, 1),
        "current": Fixed(2, 1),
        "cable_temperature": Uint(1),
        "cable_code": Digits(8),
        "soc": Uint(1),
        "battery_temperature": Uint(1),
        "minutes_charged": Uint(2),
        "minutes_remaining": Uint(2),
        "energy": Fixed(4, 4),
        "with_loss": Fixed(4, 4),
        "amount": Fixed(4, 4),
        "fault_bits": Uint(2),
    },
    FrameType.START: _START,
    FrameType.START_REPLY: {**_TRADE, **_REASON},
    FrameType.START_REQUEST: _START_REQUEST,
    FrameType.START_REQUEST_REPLY: _START_REQUEST_REPLY,
    FrameType.PARALLEL_REQUEST: {**_START_REQUEST, "role": Uint(1), **_GROUP},
    FrameType.PARALLEL_REQUEST_REPLY: {**_START_REQUEST_REPLY, **_GROUP},
    FrameType.PARALLEL_START: {**_START, **_GROUP},
    FrameType.PARALLEL_START_REPLY: {**_TRADE, **_REASON, "role": Uint(1), **_GROUP},
    FrameType.STOP: _CONNECTOR,
    FrameType.STOP_REPLY: {**_CONNECTOR, **_REASON},
    FrameType.RECORD: {
        **_TRADE,
        "started_at": Cp56Time(),
        "ended_at": Cp56Time(),
        **dict(chain.from_iterable(_record_rate(i) for i in range(RATE_COUNT))),
        "meter_start": Fixed(5, 4),
        "meter_end": Fixed(5, 4),
        "total_energy": Fixed(4, 4),
        "total_with_loss": Fixed(4, 4),
        "total_amount": Fixed(4, 4),
        "vin": Ascii(17),
        "trade_flag": Uint(1),
        "trade_time": Cp56Time(),
        "stop_code": Uint(1),
        "physical_card": Digits(8),
    },
    FrameType.RECORD_REPLY: {"trade_number": Digits(16), **_RESULT},
    FrameType.TIME: {**_PILE, "time": Cp56Time()},
    FrameType.TIME_REPLY: {**_PILE, "time": Cp56Time()},
}
