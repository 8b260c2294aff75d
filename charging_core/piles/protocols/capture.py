"""Network captures (pcap and pcapng) as packets: enough to read what a tcpdump beside a pile recorded, without a library.

Pure: bytes in, packets out. A capture that ends in the middle of a packet (the recorder was stopped) gives what is whole.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from charging_core.piles.errors import PileError

_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 6),
    b"\xa1\xb2\xc3\xd4": (">", 6),
    b"\x4d\x3c\xb2\xa1": ("<", 9),
    b"\xa1\xb2\x3c\x4d": (">", 9),
}
"""The file's first four bytes -> byte order, decimals of a second."""
_PCAP_HEADER = 24
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_TIME_RESOLUTION = 9
_SMALLEST_BLOCK = 12


class BadCapture(PileError):
    """Raised when bytes are neither a pcap nor a pcapng capture."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured packet. `at` is seconds since 1970, None where the capture has no time; `link_type` as libpcap numbers it."""

    at: float | None
    link_type: int
    data: bytes


def packets(capture: bytes) -> Iterator[Packet]:
    """The packets of a capture, in its order. Raises `BadCapture`."""
    start = capture[:4]
    if start in _PCAP:
        return _pcap(capture, *_PCAP[start])
    if len(start) == 4 and int.from_bytes(start, "big") == _SECTION:
        return _pcapng(capture)
    raise BadCapture("既不是 pcap 也不是 pcapng 文件 / neither a pcap nor a pcapng file")


def _pcap(capture: bytes, order: str, decimals: int) -> Iterator[Packet]:
    if len(capture) < _PCAP_HEADER:
        return
    link_type = struct.unpack_from(order + "I", capture, 20)[0] & 0xFFFF
    record = struct.Struct(order + "IIII")
    place = _PCAP_HEADER
    while place + record.size <= len(capture):
        seconds, fraction, size, _ = record.unpack_from(capture, place)
        place += record.size
        if place + size > len(capture):
            return
        yield Packet(seconds + fraction / 10**decimals, link_type, capture[place : place + size])
        place += size


@dataclass(slots=True)
class _Interface:
    link_type: int
    ticks_per_s: int


class _Section:
    """A section of a pcapng file: its byte order and its interfaces."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[_Interface] = []

    def packet(self, kind: int, body: bytes) -> Packet | None:
        """The packet of a block; None for a block of another kind, or one that is broken."""
        try:
            if kind == _INTERFACE:
                self.interfaces.append(self._interface(body))
            elif kind == _ENHANCED:
                return self._enhanced(body)
            elif kind == _SIMPLE:
                return Packet(None, self.interfaces[0].link_type, body[4:])
        except (struct.error, IndexError):
            return None
        return None

    def _enhanced(self, body: bytes) -> Packet:
        number, high, low, size, _ = struct.unpack_from(self.order + "IIIII", body, 0)
        interface = self.interfaces[number]
        return Packet((high << 32 | low) / interface.ticks_per_s, interface.link_type, body[20 : 20 + size])

    def _interface(self, body: bytes) -> _Interface:
        (link_type,) = struct.unpack_from(self.order + "H", body, 0)
        ticks, place = 10**6, 8
        while place + 4 <= len(body):
            option, size = struct.unpack_from(self.order + "HH", body, place)
            if option == _TIME_RESOLUTION and size == 1:
                resolution = body[place + 4]
                ticks = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
            place += 4 + size + -size % 4
        return _Interface(link_type, ticks)


def _pcapng(capture: bytes) -> Iterator[Packet]:
    section = _Section("<")
    place = 0
    while place + _SMALLEST_BLOCK <= len(capture):
        if int.from_bytes(capture[place : place + 4], "big") == _SECTION:
            little = int.from_bytes(capture[place + 8 : place + 12], "little") == _BYTE_ORDER
            section = _Section("<" if little else ">")
        kind, size = struct.unpack_from(section.order + "II", capture, place)
        if size < _SMALLEST_BLOCK or place + size > len(capture):
            return
        packet = section.packet(kind, capture[place + 8 : place + size - 4])
        if packet is not None:
            yield packet
        place += size
