"""What TCP connections carried, put together from captured packets: each direction's bytes in order, once.

Reads IPv4 and IPv6 over Ethernet (with VLAN tags), raw IP, loopback and Linux "any" captures. Pieces of fragmented IP packets and
everything that is not TCP are left out. A gap that the capture never fills is skipped at the end of its connection.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from charging_core.piles.protocols.capture import Packet

_ETHERNET, _RAW, _NULL, _LOOP, _COOKED, _COOKED_2 = 1, (12, 14, 101), 0, 108, 113, 276
_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, (0x8100, 0x88A8)
_TCP = 6
_EXTENSIONS = (0, 43, 60)
"""IPv6 headers that may stand before TCP: hop-by-hop, routing, destination options."""
_SYN = 0x02
_HELD_LIMIT = 1 << 20
"""Bytes held back for a missing piece; after that the piece is taken as lost."""


class Flow(NamedTuple):
    """One direction of a connection."""

    source: str
    source_port: int
    target: str
    target_port: int


class Piece(NamedTuple):
    """Bytes in their place; `lost` bytes before them are missing in the capture."""

    at: float | None
    flow: Flow
    data: bytes
    lost: int


class _Segment(NamedTuple):
    flow: Flow
    sequence: int
    flags: int
    data: bytes


def pieces(captured: Iterable[Packet]) -> Iterator[Piece]:
    """What each direction carried, in the order in which it could be read."""
    directions: dict[Flow, _Direction] = {}
    for packet in captured:
        segment = _segment(packet)
        if segment is None:
            continue
        if segment.flags & _SYN and segment.flow in directions:
            yield from directions.pop(segment.flow).rest()
        direction = directions.setdefault(segment.flow, _Direction(segment.flow))
        yield from direction.take(packet.at, segment)
    for direction in directions.values():
        yield from direction.rest()


@dataclass(slots=True)
class _Direction:
    flow: Flow
    expected: int | None = None
    held: dict[int, tuple[float | None, bytes]] = field(default_factory=dict)

    def take(self, at: float | None, segment: _Segment) -> Iterator[Piece]:
        sequence = segment.sequence
        if segment.flags & _SYN:
            sequence = self.expected = (sequence + 1) % 2**32
        if self.expected is None:
            self.expected = sequence
        if segment.data and len(segment.data) > len(self.held.get(sequence, (None, b""))[1]):
            self.held[sequence] = (at, segment.data)
        yield from self._ready()
        if sum(len(data) for _, data in self.held.values()) > _HELD_LIMIT:
            yield from self.rest()

    def _ready(self) -> Iterator[Piece]:
        while (sequence := self._next(0)) is not None:
            yield from self._piece(sequence, 0)

    def rest(self) -> Iterator[Piece]:
        """Everything still held, with its gaps."""
        while self.held:
            sequence = min(self.held, key=self._ahead)
            yield from self._piece(sequence, max(0, self._ahead(sequence)))

    def _next(self, furthest: int) -> int | None:
        return next((sequence for sequence in self.held if self._ahead(sequence) <= furthest), None)

    def _ahead(self, sequence: int) -> int:
        """How far a sequence lies ahead of the expected one; negative: behind it. Numbers turn over at 2^32."""
        return (sequence - (self.expected or 0) + 2**31) % 2**32 - 2**31

    def _piece(self, sequence: int, lost: int) -> Iterator[Piece]:
        at, data = self.held.pop(sequence)
        fresh = data[max(0, -self._ahead(sequence)) :]  # what a repetition brings again is left out
        if fresh:
            self.expected = (sequence + len(data)) % 2**32
            yield Piece(at, self.flow, fresh, lost)


def _segment(packet: Packet) -> _Segment | None:
    try:
        return _of_ip(_ip(packet))
    except IndexError:  # cut short by the recorder's snap length
        return None


def _ip(packet: Packet) -> bytes:
    """The IP packet inside; empty when there is none."""
    data, kind = packet.data, packet.link_type
    if kind in _RAW:
        return data
    if kind in (_NULL, _LOOP):
        return data[4:]
    if kind == _COOKED:
        return data[16:]
    if kind == _COOKED_2:
        return data[20:]
    return _of_ethernet(data) if kind == _ETHERNET else b""


def _of_ethernet(data: bytes) -> bytes:
    place = 12
    while int.from_bytes(data[place : place + 2], "big") in _VLAN:
        place += 4
    return data[place + 2 :] if int.from_bytes(data[place : place + 2], "big") in (_IPV4, _IPV6) else b""


def _of_ip(data: bytes) -> _Segment | None:
    if not data:
        return None
    if data[0] >> 4 == 4:
        return _of_ipv4(data)
    return _of_ipv6(data) if data[0] >> 4 == 6 else None


def _of_ipv4(data: bytes) -> _Segment | None:
    begins, size = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    fragment = int.from_bytes(data[6:8], "big") & 0x3FFF
    if data[9] != _TCP or fragment:
        return None
    body = data[begins : size or len(data)]  # 0: the network card cuts large packets after the recorder saw them
    return _of_tcp(data[12:16], data[16:20], body)


def _of_ipv6(data: bytes) -> _Segment | None:
    following, place = data[6], 40
    size = int.from_bytes(data[4:6], "big")
    while following in _EXTENSIONS:
        following, place = data[place], place + 8 + data[place + 1] * 8
    if following != _TCP:
        return None
    return _of_tcp(data[8:24], data[24:40], data[place : 40 + size if size else len(data)])


def _of_tcp(source: bytes, target: bytes, data: bytes) -> _Segment | None:
    if len(data) < 20:
        return None
    ports = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    flow = Flow(str(ipaddress.ip_address(source)), ports[0], str(ipaddress.ip_address(target)), ports[1])
    return _Segment(flow, int.from_bytes(data[4:8], "big"), data[13], data[(data[12] >> 4) * 4 :])
