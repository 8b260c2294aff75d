"""What no onlooker may see of a frame that is shown or kept. Pure."""

from charging_core.piles.protocols.ykc.crc import CrcOrder, crc_bytes

_START_REQUESTS = frozenset({0x31, 0xA1})
_PASSWORD = slice(24, 40)
"""Of the whole frame: the 16 bytes of the password in a start request."""


def without_pin(frame_type: int, frame: bytes, order: CrcOrder | None) -> bytes:
    """The frame with its card password blanked and a CRC that fits; every other frame as it is."""
    if frame_type not in _START_REQUESTS or not any(frame[_PASSWORD]):
        return frame
    whole = bytearray(frame[:-2])
    end = min(_PASSWORD.stop, len(whole))
    whole[_PASSWORD.start : end] = bytes(end - _PASSWORD.start)
    return bytes(whole) + crc_bytes(bytes(whole[2:]), order or CrcOrder.STANDARD)
