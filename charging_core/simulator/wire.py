"""Frames of 云快充 1.5/1.6 as the pile sees them: layouts (ykc.md section 5), frame builder, frame parser, stream reader."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any

from charging_core.simulator.crc import check_bytes
from charging_core.simulator.errors import FrameError
from charging_core.simulator.fields import (
    Ascii,
    Coder,
    ConnectorNumber,
    Cp56Time,
    Digits,
    Fixed,
    Layout,
    Uint,
    decode_body,
    encode_body,
)

START = 0x68
# sequence 2, encrypt flag 1, type 1: counted by the length byte together with the body
HEADER_SIZE = 4
# start byte, length byte and the two check bytes are not counted by the length byte
UNCOUNTED_SIZE = 4
_MAX_LENGTH = 255


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
    START_REPLY = 0x33
    START = 0x34
    STOP_REPLY = 0x35
    STOP = 0x36
    RECORD = 0x3B
    RECORD_REPLY = 0x40
    TIME_REPLY = 0x55
    TIME = 0x56
    MODEL_SET_REPLY = 0x57
    MODEL_SET = 0x58


RATE_COUNT = 4
SLOT_COUNT = 48

_PILE: dict[str, Coder] = {"pile_code": Digits(7)}
_CONNECTOR: dict[str, Coder] = {**_PILE, "connector": ConnectorNumber()}
_TRADE: dict[str, Coder] = {"trade_number": Digits(16), **_CONNECTOR}
_RESULT: dict[str, Coder] = {"result": Uint(1)}
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


def _record_rate(index: int) -> Iterator[tuple[str, Coder]]:
    yield f"rate{index}_price", Fixed(4, 5)
    yield f"rate{index}_energy", Fixed(4, 4)
    yield f"rate{index}_with_loss", Fixed(4, 4)
    yield f"rate{index}_amount", Fixed(4, 4)


LAYOUTS: Mapping[int, Layout] = {
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
    FrameType.LOGIN_REPLY: {**_PILE, **_RESULT},
    FrameType.HEARTBEAT: {**_CONNECTOR, "state": Uint(1)},
    FrameType.HEARTBEAT_REPLY: {**_CONNECTOR, **_RESULT},
    FrameType.MODEL_VERIFY: {**_PILE, "model_number": Digits(2)},
    FrameType.MODEL_VERIFY_REPLY: {**_PILE, "model_number": Digits(2), **_RESULT},
    FrameType.MODEL_REQUEST: _PILE,
    FrameType.MODEL_REPLY: _MODEL,
    FrameType.MODEL_SET: _MODEL,
    FrameType.MODEL_SET_REPLY: {**_PILE, **_RESULT},
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
    FrameType.START: {**_TRADE, "logical_card": Digits(8), "physical_card": Digits(8), "balance": Fixed(4, 2)},
    FrameType.START_REPLY: {**_TRADE, **_RESULT, "reason": Uint(1)},
    FrameType.STOP: _CONNECTOR,
    FrameType.STOP_REPLY: {**_CONNECTOR, **_RESULT, "reason": Uint(1)},
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


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame without its start, length and check bytes. The two sequence bytes are opaque (ykc.md 1.1)."""

    type: int
    body: bytes
    sequence: bytes = b"\0\0"
    encrypt: int = 0


def build(frame: Frame, *, reversed_crc: bool = False) -> bytes:
    """The bytes on the wire."""
    counted = frame.sequence + bytes((frame.encrypt, frame.type)) + frame.body
    if len(counted) > _MAX_LENGTH or len(frame.sequence) != 2:
        raise FrameError(f"no legal frame of type {frame.type:#04x} with a body of {len(frame.body)} bytes")
    return bytes((START, len(counted))) + counted + check_bytes(counted, reversed_order=reversed_crc)


def parse(raw: bytes, *, reversed_crc: bool = False) -> Frame:
    """The frame of exactly these bytes; FrameError if start, length or check bytes are wrong."""
    if len(raw) < HEADER_SIZE + UNCOUNTED_SIZE or raw[0] != START or len(raw) != raw[1] + UNCOUNTED_SIZE:
        raise FrameError(f"no frame: {raw.hex()}")
    counted = raw[2:-2]
    if raw[-2:] != check_bytes(counted, reversed_order=reversed_crc):
        raise FrameError(f"wrong check bytes: {raw.hex()}")
    return Frame(type=counted[3], body=counted[4:], sequence=counted[:2], encrypt=counted[2])


def encode(frame_type: int, values: Mapping[str, Any]) -> bytes:
    """Body of a frame type in LAYOUTS."""
    return encode_body(_layout(frame_type), values)


def decode(frame_type: int, body: bytes) -> dict[str, Any]:
    """Values of a body; FrameError for a type without layout or a short body."""
    return decode_body(_layout(frame_type), body)


def _layout(frame_type: int) -> Layout:
    try:
        return LAYOUTS[frame_type]
    except KeyError:
        raise FrameError(f"no layout for type {frame_type:#04x}") from None


class FrameReader:
    """Cuts a byte stream into valid frames; bytes that are none are dropped one by one and counted in `dropped`."""

    def __init__(self, *, reversed_crc: bool = False) -> None:
        self.dropped = 0
        self._reversed_crc = reversed_crc
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """The whole raw frames that are complete now, in order."""
        self._buffer += received
        return list(self._frames())

    def _frames(self) -> Iterator[bytes]:
        while len(self._buffer) >= 2:
            size = self._buffer[1] + UNCOUNTED_SIZE
            if self._buffer[0] != START or size < HEADER_SIZE + UNCOUNTED_SIZE:
                self._drop()
            elif len(self._buffer) < size:
                return
            elif self._valid(raw := bytes(self._buffer[:size])):
                del self._buffer[:size]
                yield raw
            else:
                self._drop()

    def _valid(self, raw: bytes) -> bool:
        return raw[-2:] == check_bytes(raw[2:-2], reversed_order=self._reversed_crc)

    def _drop(self) -> None:
        del self._buffer[0]
        self.dropped += 1
