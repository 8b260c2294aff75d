"""Frames to values and back (specs/ykc.md 1, 4, 5). Pure: no I/O, no clock, no log; raises only `ykc.errors`.

`decode` accepts what piles really send: bodies longer than published (rest kept as `extra`), shorter ones (whole fields only,
marked `short`), unknown types (body kept), invalid times (None, named in `invalid`). What it refuses is a broken frame.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from charging_core.piles.protocols.ykc.crc import CrcOrder, crc_bytes, modbus, order_of
from charging_core.piles.protocols.ykc.errors import (
    BadValue,
    CrcMismatch,
    FrameTooLong,
    LengthMismatch,
    MissingField,
    NotAFrame,
    UnknownFrameType,
)
from charging_core.piles.protocols.ykc.fields import FrameTable, Tail
from charging_core.piles.protocols.ykc.layout import Layout
from charging_core.piles.protocols.ykc.tables.directory import TABLES

START = 0x68
OVERHEAD = 4
"""Bytes of a frame that its length byte does not count: start, length, CRC."""
HEADER = 6
"""Body offset 0 is frame offset 6."""
SMALLEST_LENGTH = 4
"""Sequence, encrypt flag and type are always there."""
LARGEST_LENGTH = 255
"""What the length byte can say. The text's limit of 200 is exceeded by frames of the text itself, so it is not enforced."""

Decipher = Callable[[int, bytes], bytes]
"""(frame type, cipher text) -> plain body. Key, mode and padding are not published (specs/ykc.md 12): a plug-in point."""


class Frame(NamedTuple):
    """One decoded frame."""

    type: int
    sequence: bytes
    """Two opaque bytes, echoed verbatim in a reply (1.1)."""
    encrypt: int
    """0 plain; otherwise the body was not decoded and is `extra`, unless a decipher was given."""
    crc_order: CrcOrder
    fields: Mapping[str, Any]
    extra: bytes
    """Bytes after the published layout; the whole body of an unknown or enciphered frame."""
    short: bool
    """The body is shorter than published: `fields` holds only what is whole."""
    invalid: tuple[str, ...]
    """Time fields whose bytes are no valid time; their value is None."""
    known: bool
    """Whether there is a table for this type."""


class _Compiled(NamedTuple):
    table: FrameTable
    layout: Layout
    tail: Tail | None
    item: Layout | None


def _compile(table: FrameTable) -> _Compiled:
    tail = table.tail
    return _Compiled(table, Layout(table.fields), tail, Layout(tail.fields) if tail and tail.fields else None)


_COMPILED: Mapping[int, _Compiled] = MappingProxyType({table.type: _compile(table) for table in TABLES.values()})


def check(frame: bytes, *, strict_crc: bool = False) -> CrcOrder:
    """Check start, length and CRC of one whole frame; the CRC order that fits. Raises a `DecodeError`."""
    size = len(frame)
    if not size or frame[0] != START:
        raise NotAFrame("no frame starts here", 0)
    if size < OVERHEAD + SMALLEST_LENGTH:
        raise NotAFrame(f"{size} bytes are fewer than any frame has", size)
    if frame[1] + OVERHEAD != size:
        raise LengthMismatch(f"length says {frame[1] + OVERHEAD} bytes, there are {size}", 1)
    order = order_of(frame)
    if order is None or (strict_crc and order is not CrcOrder.STANDARD):
        raise CrcMismatch("CRC does not fit", size - 2)
    return order


def decode(frame: bytes, *, strict_crc: bool = False, decipher: Decipher | None = None) -> Frame:
    """Decode one whole frame. Raises a `DecodeError`; never anything else, whatever the bytes."""
    order = check(frame, strict_crc=strict_crc)
    kind, sequence, encrypt = frame[5], frame[2:4], frame[4]
    compiled = _COMPILED.get(kind)
    if compiled is None or (encrypt and decipher is None):
        return Frame(kind, sequence, encrypt, order, {}, frame[HEADER:-2], False, (), compiled is not None)
    if encrypt and decipher is not None:
        body = decipher(kind, frame[HEADER:-2])
        fields, extra, short = _read(compiled, body, 0, len(body))
    else:
        fields, extra, short = _read(compiled, frame, HEADER, len(frame) - 2)
    invalid = compiled.layout.invalid_times(fields) if compiled.layout.times else ()
    return Frame(kind, sequence, encrypt, order, fields, extra, short, invalid, True)


def decode_raw(frame: bytes) -> tuple[Any, ...]:
    """The fixed fields as integers and byte strings, CRC checked (standard order only); for counting, not for business.

    Raises a `DecodeError`, also for an unknown type or a body shorter than its table.
    """
    size = len(frame)
    if size < OVERHEAD + SMALLEST_LENGTH or frame[0] != START or frame[1] + OVERHEAD != size:
        raise NotAFrame("no frame starts here", 0)
    if modbus(frame[2:-2]) != frame[-2] | frame[-1] << 8:
        raise CrcMismatch("CRC does not fit", size - 2)
    compiled = _COMPILED.get(frame[5])
    if compiled is None or compiled.layout.size > size - HEADER - 2:
        raise NotAFrame("no table fits", 5)
    return compiled.layout.read_raw(frame, HEADER)


def encode(
    frame_type: int,
    fields: Mapping[str, Any],
    sequence: bytes = b"\0\0",
    crc_order: CrcOrder = CrcOrder.STANDARD,
    extra: bytes = b"",
) -> bytes:
    """The bytes of one frame; `extra` is appended to the body. Raises an `EncodeError`.

    Every field must be given, except reserved ones and the counter of a list, which is counted here.
    """
    compiled = _COMPILED.get(frame_type)
    if compiled is None:
        raise UnknownFrameType(f"no table for frame type 0x{frame_type:02X}")
    if len(sequence) != 2:
        raise BadValue("a sequence has two bytes")
    body = _write(compiled, fields) + extra
    length = SMALLEST_LENGTH + len(body)
    if length > LARGEST_LENGTH:
        raise FrameTooLong(f"0x{frame_type:02X} would need a length of {length}")
    covered = sequence + bytes((0, frame_type)) + body
    return bytes((START, length)) + covered + crc_bytes(covered, crc_order)


def _read(compiled: _Compiled, buffer: bytes, start: int, end: int) -> tuple[dict[str, Any], bytes, bool]:
    layout = compiled.layout
    after = start + layout.size
    if after > end:
        fields = layout.read_whole_fields(buffer[start:end])
        return fields, b"", True
    fields = layout.read(buffer, start)
    if compiled.tail is None:
        return fields, buffer[after:end], False
    return _read_tail(compiled.tail, compiled.item, fields, buffer[after:end])


def _read_tail(
    tail: Tail, item: Layout | None, fields: dict[str, Any], rest: bytes
) -> tuple[dict[str, Any], bytes, bool]:
    size = 1 if item is None else item.size
    room = len(rest) // size
    count = room if tail.count_field is None else int(fields[tail.count_field])
    taken = min(count, room)
    if item is None:
        fields[tail.name] = rest[:taken].decode("latin-1")
    else:
        fields[tail.name] = tuple(item.read(rest, place * size) for place in range(taken))
    return fields, rest[taken * size :], taken < count


def _write(compiled: _Compiled, fields: Mapping[str, Any]) -> bytes:
    layout, tail, item = compiled.layout, compiled.tail, compiled.item
    if tail is None:
        layout.refuse_unknown(fields)
        return layout.write(fields)
    layout.refuse_unknown(fields, tail.name)
    if tail.name not in fields:
        raise MissingField(f"{tail.name} is missing")
    entries = fields[tail.name]
    if not isinstance(entries, str if item is None else tuple | list):
        raise BadValue(f"{tail.name} takes {'text' if item is None else 'a list'}, not {type(entries).__name__}")
    if tail.count_field is not None:
        fields = {**fields, tail.count_field: len(entries)}
    return layout.write(fields) + _write_tail(tail, item, entries)


def _write_tail(tail: Tail, item: Layout | None, entries: Any) -> bytes:
    if item is None:
        try:
            return bytes(entries.encode("latin-1"))
        except UnicodeEncodeError as error:
            raise BadValue(f"{tail.name} has characters the wire cannot carry") from error
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise BadValue(f"{tail.name} takes entries with names, not {type(entry).__name__}")
        item.refuse_unknown(entry)
    return b"".join(item.write(entry) for entry in entries)
