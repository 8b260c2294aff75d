"""Frames out of what engineers have at hand: hex text, log files, network captures. Pure: nothing is opened here.

Every find is either a frame that decodes, or a piece that does not, with the position of the first bad byte in what was given.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from charging_core.piles.protocols.capture import packets
from charging_core.piles.protocols.tcp import Flow, Piece, pieces
from charging_core.piles.protocols.ykc.codec import OVERHEAD, START, Frame, decode
from charging_core.piles.protocols.ykc.crc import looks_like_2x
from charging_core.piles.protocols.ykc.errors import DecodeError, NotAFrame
from charging_core.piles.protocols.ykc.framing import CrcError, FrameSplitter, FramingEvent, Garbage

_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?68(?:[\s,:;-]*(?:0x)?[0-9A-Fa-f]{2})+(?![0-9A-Za-z])", re.ASCII)
"""A run of hex bytes that begins with the start byte, however they are separated."""
_HINT_2X = "疑似 2.x 帧头 / 2.x header suspected"
_PAIR = re.compile(r"(?:0x)?([0-9A-Fa-f]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One frame, or one piece that is none: then `problem` says why, and `position` where in what was given."""

    wire: bytes
    frame: Frame | None
    problem: str = ""
    position: int | None = None
    line: int | None = None
    at: float | None = None
    flow: Flow | None = None


def of_hex(text: str, *, strict_crc: bool = False) -> Iterator[Found]:
    """The frames of hex text with separators of any kind. Raises `NotAFrame` where the text is no hexadecimal."""
    digits = re.sub(r"0x|[\s,:;-]", "", text)
    bad = re.search(r"[^0-9A-Fa-f]", digits)
    if bad is not None:
        raise NotAFrame(f"{bad.group()!r} 不是十六进制 / is not hexadecimal", bad.start() // 2)
    if len(digits) % 2:
        raise NotAFrame("十六进制位数为奇数 / an odd number of hexadecimal digits", len(digits) // 2)
    return of_bytes(bytes.fromhex(digits), strict_crc=strict_crc)


def of_bytes(given: bytes, *, strict_crc: bool = False) -> Iterator[Found]:
    """The frames of a run of bytes, cut by their length bytes; after a piece that is no frame it goes on at the next 0x68."""
    place = 0
    while place < len(given):
        end = _end_of_frame(given, place)
        found = _tried(given[place:end], place, strict_crc)
        if found.frame is None and looks_like_2x(given[place:]):
            found = replace(found, problem=f"{found.problem}; {_HINT_2X}")
        yield found
        place = end


def _end_of_frame(given: bytes, place: int) -> int:
    if given[place] == START and place + 1 < len(given):
        return min(place + given[place + 1] + OVERHEAD, len(given))
    following = given.find(START, place + 1)
    return len(given) if following < 0 else following


def _tried(wire: bytes, place: int, strict_crc: bool) -> Found:
    try:
        return Found(wire, decode(wire, strict_crc=strict_crc))
    except DecodeError as error:
        return Found(wire, None, error.problem, place + error.position)


def of_log(lines: Iterable[str], *, strict_crc: bool = False) -> Iterator[Found]:
    """The frames in a log: in each line the run of hex bytes that begins with 68; lines without one are passed over."""
    for number, line in enumerate(lines, 1):
        runs = [bytes.fromhex("".join(_PAIR.findall(run.group()))) for run in _HEX.finditer(line)]
        wire = next((run for run in runs if _holds_a_frame(run)), runs[0] if runs else b"")
        for found in of_bytes(wire, strict_crc=strict_crc):
            yield Found(found.wire, found.frame, found.problem, found.position, number)


def _holds_a_frame(run: bytes) -> bool:
    """Tells a frame from a time of day or a counter that happens to begin with 68."""
    return len(run) > 1 and run[1] + OVERHEAD <= len(run)


def of_capture(capture: bytes, *, strict_crc: bool = False) -> Iterator[Found]:
    """The frames of all TCP connections of a pcap or pcapng file, in the order in which they were complete. Raises `BadCapture`.

    Directions that never show a whole frame carry something else and are passed over.
    """
    directions: dict[Flow, _Direction] = {}
    for piece in pieces(packets(capture)):
        direction = directions.setdefault(piece.flow, _Direction(strict_crc))
        yield from direction.take(piece)


@dataclass(slots=True)
class _Direction:
    """One direction of a connection; what cannot be read waits until a whole frame proves that it is YKC."""

    strict_crc: bool
    splitter: FrameSplitter | None = None
    doubtful: list[Found] = field(default_factory=list)
    proven: bool = False

    def take(self, piece: Piece) -> list[Found]:
        if self.splitter is None or piece.lost:  # a frame that was begun before a gap will never be complete
            # the age of a half frame means nothing in a capture: nothing is given up for it
            self.splitter = FrameSplitter(strict_crc=self.strict_crc, partial_frame_s=float("inf"))
        items = self.splitter.feed(piece.data, 0.0)
        found = [one for item in items if (one := _of_stream(item, piece)) is not None]
        if piece.lost:
            found.insert(
                0,
                Found(
                    b"", None, f"抓包缺失 {piece.lost} 字节 / the capture lacks bytes", 0, None, piece.at, piece.flow
                ),
            )
        self.proven = self.proven or any(one.frame for one in found)
        self.doubtful += found
        if not self.proven:
            return []
        found, self.doubtful = self.doubtful, []
        return found


def _of_stream(item: bytes | FramingEvent, piece: Piece) -> Found | None:
    if isinstance(item, bytes):
        return Found(item, decode(item), at=piece.at, flow=piece.flow)
    if isinstance(item, CrcError):
        size = len(item.frame)
        problem = f"CRC does not fit; {_HINT_2X}" if item.suspect_2x else "CRC does not fit"
        return Found(item.frame, None, problem, size - 2, None, piece.at, piece.flow)
    if isinstance(item, Garbage) and item.count > 1:  # one byte is the start byte of a frame that was reported
        return Found(b"", None, f"{item.count} 字节不成帧 / bytes that begin no frame", 0, None, piece.at, piece.flow)
    return None
