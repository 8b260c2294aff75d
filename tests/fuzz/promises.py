"""What the codec promises for any bytes and any values, as checks that raise `BrokenPromise`; and what an input showed."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from charging_core.piles.protocols.ykc.codec import Frame, check, decode, decode_raw, encode
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.dialect import Dialect
from charging_core.piles.protocols.ykc.errors import DecodeError, EncodeError
from charging_core.piles.protocols.ykc.framing import FrameSplitter, FramingEvent
from charging_core.piles.protocols.ykc.plain import from_plain
from charging_core.piles.protocols.ykc.tables.directory import TABLES
from tests.fuzz.inputs import SIZES, framed

_TURNED = Dialect(cards_reversed=True, handshake_vin_reversed=True, pairs_highest_first=True)
_TIMES = {kind: tuple(f.name for f in table.fields if f.kind == "CP56Time2a") for kind, table in TABLES.items()}
_TEXTS = {kind: tuple(f.name for f in table.fields if f.kind == "ASCII reversed") for kind, table in TABLES.items()}
Shown = tuple[Any, ...]


class BrokenPromise(AssertionError):
    """Raised when the codec did what it may not do."""


def examine(wire: bytes, number: int = 0) -> Shown:
    """Give one input to everything that reads bytes; what it showed, as a signature. Raises `BrokenPromise`, or what was raised."""
    try:
        frame = decode(wire)
    except DecodeError as error:
        if not 0 <= error.position <= max(len(wire), 1):
            raise BrokenPromise(f"position {error.position} of {len(wire)} bytes") from error
        shown: Shown = (type(error).__name__, error.position if error.position < 2 else -1)
    else:
        shown = _of_frame(frame, wire, number)
    return (*shown, _raw(wire), *_stream(wire, number))


def _of_frame(frame: Frame, wire: bytes, number: int) -> Shown:
    if frame.known and not frame.encrypt and not frame.short and not frame.invalid:
        again = encode(frame.type, frame.fields, frame.sequence, frame.crc_order, frame.extra)
        if again != wire and not _padded(frame, wire, again):
            raise BrokenPromise(f"another frame came out: {again.hex()}")
    if number % 8 == 0:
        _in_words(frame)
    if frame.encrypt:
        decode(wire, decipher=lambda _kind, body: body[::-1])
    rest = min(len(frame.extra), 2)
    return frame.type, frame.encrypt, frame.short, frame.invalid, rest, frame.crc_order, len(frame.fields)


def _padded(frame: Frame, wire: bytes, again: bytes) -> bool:
    """Whether the bytes differ only where two spellings mean the same: masked bits of times, a reversed text's padding.

    Then a second round must change nothing any more.
    """
    if not (_TIMES[frame.type] or _TEXTS[frame.type]) or len(again) != len(wire):
        return False
    second = decode(again)
    return (
        second.fields == frame.fields
        and encode(second.type, second.fields, second.sequence, second.crc_order, second.extra) == again
    )


def _in_words(frame: Frame) -> None:
    told = describe(_TURNED.textbook(frame))
    if frame.known and not frame.encrypt and not frame.short:
        from_plain(frame.type, told["fields"])


def _raw(wire: bytes) -> str:
    try:
        decode_raw(wire)
    except DecodeError:
        try:
            check(wire, strict_crc=True)
        except DecodeError:
            return "bad"
        return "checked"
    return "raw"


def _stream(wire: bytes, number: int) -> Shown:
    """The splitter, with the input cut in two at a varying place and a rest given up at last: all bytes are accounted for."""
    splitter = FrameSplitter(strict_crc=number % 16 == 0)
    splitter.trusted = number % 2 == 0
    cut = number % (len(wire) + 1)
    items: list[bytes | FramingEvent] = [*splitter.feed(wire[:cut], 0.0), *splitter.feed(wire[cut:], 1.0)]
    items += splitter.feed(b"", 100.0)
    taken = sum(len(item) if isinstance(item, bytes) else getattr(item, "count", 0) for item in items)
    if taken != len(wire):
        raise BrokenPromise(f"{taken} of {len(wire)} bytes are accounted for")
    return (len(items) < 4, *{type(item).__name__ for item in items})


_ODD: tuple[Any, ...] = (
    None, True, -1, 1 << 90, 1.5, Decimal("NaN"), Decimal("1E+40"), Decimal("0.000001"), "", "0" * 64, "zz", "桩", b"\0",
    (), [], {}, object(), "2025-03-14T09:50:00", range(48), ("a",) * 48, (300,) * 48, "A" * 7, ("x",), ({},),
    datetime(2025, 1, 1, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC), datetime(2025, 1, 1),  # noqa: DTZ001
)  # fmt: skip


def examine_values(source: random.Random) -> None:
    """Give values that are right but for one or two to the writing side: bytes, or a declared error."""
    kind = source.choice((*_RIGHT, *_RIGHT, 0x77))
    values = dict(_RIGHT.get(kind, {}))
    for _ in range(source.choice((0, 1, 1, 2))):
        if values and source.random() < 0.1:
            del values[source.choice([*values])]
        elif values:
            values[source.choice([*values, "no such"]) if source.random() < 0.1 else source.choice([*values])] = (
                source.choice(_ODD)
            )
    try:
        extra = bytes(250 if source.random() < 0.05 else 0)
        encode(kind, values, b"\0\0" if source.random() < 0.95 else b"", extra=extra)
        if kind in TABLES:
            encode(kind, from_plain(kind, values))
    except EncodeError:
        return


def _right(kind: int) -> dict[str, Any]:
    """Values that fit a frame's table."""
    frame = decode(framed(kind, bytes(SIZES[kind])))
    table = TABLES[kind]
    values = {name: value for name, value in frame.fields.items() if name != getattr(table.tail, "count_field", None)}
    if table.tail is not None and table.tail.fields:
        entry = {field.name: "0" * 2 * field.length if field.kind != "BIN" else 0 for field in table.tail.fields}
        values[table.tail.name] = (entry, entry)
    return values


_RIGHT = {kind: _right(kind) for kind in TABLES}
