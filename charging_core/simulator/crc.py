"""CRC-16/MODBUS by table (ykc.md 1.2): reflected, polynomial 0xA001, start 0xFFFF, no final XOR."""

_POLYNOMIAL = 0xA001
_START = 0xFFFF


def _entry(index: int) -> int:
    register = index
    for _ in range(8):
        register = register >> 1 ^ _POLYNOMIAL if register & 1 else register >> 1
    return register


_TABLE = tuple(_entry(index) for index in range(256))


def crc16(data: bytes) -> int:
    """The register after `data`; 0x4B37 for b"123456789"."""
    register = _START
    for byte in data:
        register = register >> 8 ^ _TABLE[(register ^ byte) & 0xFF]
    return register


def check_bytes(data: bytes, *, reversed_order: bool) -> bytes:
    """The two bytes on the wire: low byte first, or high byte first as firmware with the reversed order sends them."""
    return crc16(data).to_bytes(2, "big" if reversed_order else "little")
