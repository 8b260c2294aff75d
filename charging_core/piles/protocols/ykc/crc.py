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
