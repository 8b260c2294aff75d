"""CRC-16/MODBUS over sequence … end of body, and the two orders in which piles send it (specs/ykc.md 1.2)."""

from enum import StrEnum

from fastcrc import crc16

modbus = crc16.modbus


class CrcOrder(StrEnum):
    """Order of the two CRC bytes on the wire."""

    STANDARD = "standard"
    """Low byte first: the order of the valid official samples and of nearly all piles."""
    REVERSED = "reversed"
    """High byte first: what firmware sends that took the appendix routine literally."""


def checksum(covered: bytes) -> int:
    """CRC register after the bytes from the sequence to the end of the body; 0x4B37 for ASCII "123456789"."""
    return int(modbus(covered))


def crc_bytes(covered: bytes, order: CrcOrder = CrcOrder.STANDARD) -> bytes:
    """The two bytes that follow `covered` on the wire."""
    return checksum(covered).to_bytes(2, "little" if order is CrcOrder.STANDARD else "big")


def order_of(frame: bytes) -> CrcOrder | None:
    """The order in which the CRC of a whole frame fits, standard tried first; None when it fits in neither.

    A CRC of two equal bytes fits both ways and reads as standard.
    """
    expected = modbus(frame[2:-2])
    low, high = frame[-2], frame[-1]
    if low | high << 8 == expected:
        return CrcOrder.STANDARD
    return CrcOrder.REVERSED if high | low << 8 == expected else None


_HEADER_2X = 11
"""Bytes of a 2.x frame that its length counts besides the body: sequence, send time, encrypt flag, type."""

_LARGEST_2X = 2048
"""The longest published frame of 2.x, a trade record with 48 rates, has 1.1 kB; more would only cost time on garbage."""


def looks_like_2x(received: bytes | bytearray) -> bool:
    """Whether a frame of protocol 2.x begins here: a 16-bit length that fits, and a CRC that does (specs/ykc.md 11).

    To be asked only of bytes that are no frame of 1.x: 2.x is detected, not spoken.
    """
    if len(received) < 3:
        return False
    length = received[1] | received[2] << 8
    end = 3 + length
    if not _HEADER_2X <= length <= _LARGEST_2X or len(received) < end + 2:
        return False
    expected = checksum(bytes(received[3:end]))
    return expected in (received[end] | received[end + 1] << 8, received[end] << 8 | received[end + 1])
