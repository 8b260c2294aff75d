"""Frames of 云快充 1.5/1.6 as the pile sees them: frame builder, frame parser, stream reader. What bodies hold: `layouts`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charging_core.simulator.crc import check_bytes
from charging_core.simulator.errors import FrameError
from charging_core.simulator.fields import Layout, decode_body, encode_body
from charging_core.simulator.layouts import LAYOUTS

START = 0x68
# sequence 2, encrypt flag 1, type 1: counted by the length byte together with the body
HEADER_SIZE = 4
# start byte, length byte and the two check bytes are not counted by the length byte
UNCOUNTED_SIZE = 4
_MAX_LENGTH = 255


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
