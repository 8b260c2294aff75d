"""The other side's books: every trade record as bytes on the wire, with its acknowledgements. Uses no codec."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

_TYPE_AT, _BODY_AT = 5, 6
_RECORD, _CONFIRM, _START_REQUEST = 0x3B, 0x40, 0x31
_RATES = 4


@dataclass(slots=True)
class Slip:
    """One trade record as it was sent first: energies of the four rates and the total, and how often it went and was confirmed."""

    energies: tuple[Decimal, ...]
    total: Decimal
    stop_code: int
    flag: int
    bodies: set[bytes]
    sent: int = 0
    confirmed: int = 0


@dataclass(slots=True)
class Books:
    """Fills the simulator's frame log: all piles write here, on one event loop."""

    slips: dict[str, Slip] = field(default_factory=dict)
    frames: Counter[str] = field(default_factory=Counter)

    def write(self, pile_code: str, direction: str, raw: bytes) -> None:
        """One frame of a pile."""
        self.frames[direction] += 1
        kind, body = raw[_TYPE_AT], raw[_BODY_AT:-2]
        if direction == "up" and kind == _RECORD:
            slip = self.slips.setdefault(body[:16].hex().upper(), _slip(body))
            slip.sent += 1
            slip.bodies.add(body)
        elif direction == "down" and kind == _CONFIRM:
            self.slips[body[:16].hex().upper()].confirmed += 1

    @property
    def energy(self) -> Decimal:
        """All energy that was ever recorded, kWh."""
        return sum((slip.total for slip in self.slips.values()), Decimal(0))


def _slip(body: bytes) -> Slip:
    energies = tuple(_kwh(body, 42 + 16 * rate) for rate in range(_RATES))
    return Slip(energies, _kwh(body, 112), body[149], body[141], set())


def _kwh(body: bytes, at: int) -> Decimal:
    return Decimal(int.from_bytes(body[at : at + 4], "little")).scaleb(-4)
