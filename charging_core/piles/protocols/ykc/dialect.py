"""What the specification leaves open, as settings of a pile's model (specs/ykc.md 16): `protocol_options` of the pile.

A dialect turns a decoded frame of a deviating pile into the textbook one before anything acts on it, so that nothing else
asks about it. What is harmless in either reading (heartbeats per connector or per pile, the order of an off-line replay) is no
setting: both are accepted. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.errors import BadOption
from charging_core.piles.protocols.ykc.tables.directory import TABLES

_PAIRED = {
    frame_type: frozenset(field.name for field in TABLES[frame_type].fields if field.bits)
    for frame_type in (0x1B, 0x1D, 0x21, 0x25)
}
"""Fields of two-bit groups, by frame type."""
_CARDS = frozenset({"physical_card", "account"})
_HANDSHAKE = 0x15


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a pile reads the open points. The defaults are what most piles do."""

    strict_crc: bool = False
    """Accept the standard CRC order only; a pile that logs in with the reversed one is refused."""
    cards: bool = True
    """Charges may be started at the pile: false refuses every card and VIN with "does not support cards"."""
    cards_reversed: bool = False
    """Physical card numbers come last byte first (3, trap 14)."""
    handshake_vin_reversed: bool = False
    """The VIN of 0x15 is sent last character first, as in 0x31."""
    pairs_highest_first: bool = False
    """The two-bit groups of 0x1B, 0x1D, 0x21 and 0x25 are counted from the highest bits down."""
    qr_ok: int | None = None
    """The result of 0xF1 that means "done"; none: both readings exist, so any answer counts and its number is kept."""
    verify_with_own_number: bool = False
    """0x06 carries the model number the pile should run instead of the one it named."""
    reject_undecodable_records: bool = False
    """A trade record without even a whole trade number is answered by 0x40 with result 1 instead of not at all (P2)."""

    def card(self, digits: str) -> str:
        """A physical card number from the wire in reading order, and back."""
        return _bytes_reversed(digits) if self.cards_reversed else digits

    def textbook(self, frame: Frame) -> Frame:
        """The frame as a pile without deviations would have meant it."""
        changes: dict[str, Any] = {}
        if self.cards_reversed:
            changes |= _each(frame, _CARDS, _bytes_reversed)
        if self.handshake_vin_reversed and frame.type == _HANDSHAKE:
            changes |= _each(frame, frozenset({"vin"}), lambda text: text[::-1])
        if self.pairs_highest_first and frame.type in _PAIRED:
            changes |= _each(frame, _PAIRED[frame.type], _pairs_turned)
        return frame._replace(fields={**frame.fields, **changes}) if changes else frame


TEXTBOOK = Dialect()


def read_options(options: Mapping[str, Any]) -> Dialect:
    """The dialect that a pile's `protocol_options` describe. Raises `BadOption` for an unknown name or a value of no use."""
    known = Dialect.__dataclass_fields__
    for name, value in options.items():
        if name not in known:
            raise BadOption(f"未知的桩协议选项 / unknown protocol option: {name}")
        good = value in (0, 1, None) and not isinstance(value, bool) if name == "qr_ok" else isinstance(value, bool)
        if not good:
            raise BadOption(f"桩协议选项 {name} 取值无效 / protocol option {name} cannot be {value!r}")
    return Dialect(**options)


def _each(frame: Frame, names: frozenset[str], turn: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: turn(frame.fields[name]) for name in names if name in frame.fields}


def _bytes_reversed(digits: str) -> str:
    return bytes.fromhex(digits)[::-1].hex().upper()


def _pairs_turned(value: int) -> int:
    """Each byte's four pairs in the opposite order; a field of two bytes keeps its bytes."""
    turned = 0
    for shift in range(0, max(value.bit_length(), 1), 2):
        turned |= (value >> shift & 3) << (shift // 8 * 8 + 6 - shift % 8)
    return turned
