"""Cuts a byte stream into frames (specs/ykc.md 1.3): an incremental object without I/O or clock; the caller passes the time.

Good frames come out as `bytes`; what went wrong comes out as events between them, in stream order. A `Hopeless` event means
that the limits are passed and the caller should close the connection; the object keeps working if it does not.
"""

from dataclasses import dataclass

from charging_core.piles.protocols.ykc.codec import OVERHEAD, SMALLEST_LENGTH, START
from charging_core.piles.protocols.ykc.crc import CrcOrder, looks_like_2x, order_of


@dataclass(frozen=True, slots=True)
class Garbage:
    """So many bytes were skipped because no frame begins there."""

    count: int


@dataclass(frozen=True, slots=True)
class CrcError:
    """A whole frame by its length, whose CRC fits in no permitted order; its start byte was dropped.

    `suspect_2x`: read with the header of protocol 2.x it would be whole.
    """

    frame: bytes
    suspect_2x: bool = False


@dataclass(frozen=True, slots=True)
class Stale:
    """A frame was begun and not finished in time; its start byte was dropped."""

    pending: int


@dataclass(frozen=True, slots=True)
class Hopeless:
    """A limit is passed: "crc" (consecutive failures) or "garbage" (before the first trusted frame)."""

    reason: str


FramingEvent = Garbage | CrcError | Stale | Hopeless


class FrameSplitter:
    """One per connection. `feed` never raises, never loses a good frame, and holds at most one frame's worth of bytes."""

    def __init__(
        self,
        *,
        strict_crc: bool = False,
        crc_failure_limit: int = 5,
        garbage_limit: int = 1024,
        partial_frame_s: float = 10.0,
    ) -> None:
        self.strict_crc = strict_crc
        self.trusted = False
        """Set by the caller after a valid login: from then on garbage is counted but no reason to close."""
        self.crc_order = CrcOrder.STANDARD
        """The order that worked last on this connection; to be mirrored when sending (1.2)."""
        self._crc_failure_limit = crc_failure_limit
        self._garbage_limit = garbage_limit
        self._partial_frame_s = partial_frame_s
        self._buffer = bytearray()
        self._begun_at: float | None = None
        self._last_data_at = 0.0
        self._failures = 0
        self._doubtful = 0
        self._garbage = 0
        self._skipped = 0

    def feed(self, received: bytes, now: float) -> list[bytes | FramingEvent]:
        """Take what the socket gave at `now` (any monotonic seconds); whole frames and events, in stream order.

        Called with no bytes it only drops a frame that was begun more than `partial_frame_s` ago.
        """
        if received:
            if not self._buffer and self._is_one_good_frame(received):
                self._accepted(received)
                return [received]
            self._buffer += received
            self._last_data_at = now
        out: list[bytes | FramingEvent] = []
        while self._step(out, now):
            pass
        self._report_skipped(out)
        return out

    def _is_one_good_frame(self, received: bytes) -> bool:
        """The common case, cheaply: one read is one frame."""
        return (
            len(received) >= OVERHEAD + SMALLEST_LENGTH
            and received[0] == START
            and received[1] + OVERHEAD == len(received)
            and self._permitted(received)
        )

    def _step(self, out: list[bytes | FramingEvent], now: float) -> bool:
        """One decision at the head of the buffer; False when more bytes are needed."""
        self._skip_to_start()
        size = len(self._buffer)
        if size < 2:
            return self._wait(out, now)
        length = self._buffer[1]
        if length < SMALLEST_LENGTH:
            self._skip(1)
            return True
        if size < length + OVERHEAD:
            return self._wait(out, now)
        self._judge(bytes(self._buffer[: length + OVERHEAD]), out)
        return True

    def _skip_to_start(self) -> None:
        start = self._buffer.find(START)
        self._skip(len(self._buffer) if start < 0 else start)

    def _wait(self, out: list[bytes | FramingEvent], now: float) -> bool:
        """The head is a begun frame (or nothing): wait for the rest, or give it up when it is too old."""
        if not self._buffer:
            self._begun_at = None
            return False
        if self._begun_at is None:
            self._begun_at = self._last_data_at  # its first byte arrived with the last read at the latest
        if now - self._begun_at < self._partial_frame_s:
            return False
        self._report_skipped(out)
        out.append(Stale(len(self._buffer)))
        self._skip(1)
        return True

    def _judge(self, frame: bytes, out: list[bytes | FramingEvent]) -> None:
        self._report_skipped(out)
        if self._permitted(frame):
            self._take(len(frame))
            self._accepted(frame)
            out.append(frame)
            return
        out.append(CrcError(frame, looks_like_2x(self._buffer)))
        self._count_failure(len(frame), out)
        self._skip(1)

    def _permitted(self, frame: bytes) -> bool:
        order = order_of(frame)
        return order is CrcOrder.STANDARD or (order is not None and not self.strict_crc)

    def _accepted(self, frame: bytes) -> None:
        self._failures = 0
        self._doubtful = 0
        if frame[-1] != frame[-2]:  # two equal bytes fit both orders and say nothing
            self.crc_order = order_of(frame) or CrcOrder.STANDARD

    def _count_failure(self, size: int, out: list[bytes | FramingEvent]) -> None:
        """A 0x68 inside a frame that already failed is not a second failure, or one bad frame could close the link."""
        if self._doubtful:
            return
        self._doubtful = size
        self._failures += 1
        if self._failures == self._crc_failure_limit:
            out.append(Hopeless("crc"))

    def _skip(self, count: int) -> None:
        if count:
            self._take(count)
            self._skipped += count

    def _take(self, count: int) -> None:
        del self._buffer[:count]
        self._doubtful = max(0, self._doubtful - count)
        self._begun_at = None

    def _report_skipped(self, out: list[bytes | FramingEvent]) -> None:
        if not self._skipped:
            return
        out.append(Garbage(self._skipped))
        before = self._garbage
        self._garbage += self._skipped
        self._skipped = 0
        if not self.trusted and before <= self._garbage_limit < self._garbage:
            out.append(Hopeless("garbage"))
