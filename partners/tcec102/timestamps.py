"""TimeStamp and Seq of the envelope (T/CEC 102.4; section 4.3 of the digest). China time, whatever zone the server has."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from charging_core.clock import CHINA, Clock
from partners.tcec102.options import TimeFormat

MAX_SEQ = 9999
"""Seq has four digits. It starts again at 0001 every second, and after 9999 inside one second."""

_DIGITS = {
    TimeFormat.SECONDS: re.compile(r"[0-9]{14}"),
    TimeFormat.MINUTES: re.compile(r"[0-9]{12}"),
    TimeFormat.EPOCH_S: re.compile(r"[0-9]{10}"),
    TimeFormat.EPOCH_MS: re.compile(r"[0-9]{13}"),
}
_PATTERN = {TimeFormat.SECONDS: "%Y%m%d%H%M%S", TimeFormat.MINUTES: "%Y%m%d%H%M"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=256)
def parse_timestamp(text: str, formats: tuple[TimeFormat, ...]) -> datetime:
    """The instant a TimeStamp names, aware, in UTC. The formats differ in length, so the order does not matter.

    Remembered for a while, because the calls of one second carry the same text.

    :raises ValueError: the text has none of the agreed formats or is no date.
    """
    for form in formats:
        if _DIGITS[form].fullmatch(text):
            return _instant(text, form)
    raise ValueError("no agreed format")


def render_timestamp(instant: datetime, form: TimeFormat) -> str:
    """``instant`` as a TimeStamp of the given form."""
    if form is TimeFormat.EPOCH_S:
        return str((instant - _EPOCH) // timedelta(seconds=1))
    if form is TimeFormat.EPOCH_MS:
        return str((instant - _EPOCH) // timedelta(milliseconds=1))
    return instant.astimezone(CHINA).strftime(_PATTERN[form])


class SeqCounter:
    """Gives each call of one sender its TimeStamp and Seq; threads may share it.

    Time and counter are taken under one lock, so that no pair is given twice (up to 9999 calls in a second).
    """

    def __init__(self, clock: Clock, form: TimeFormat = TimeFormat.SECONDS) -> None:
        self._clock = clock
        self._form = form
        self._lock = threading.Lock()
        self._second = ""
        self._count = 0

    def next(self) -> tuple[str, str]:
        """``(TimeStamp, Seq)`` of the next message."""
        with self._lock:
            instant = self._clock.now()
            second = render_timestamp(instant, TimeFormat.SECONDS)
            self._count = self._count % MAX_SEQ + 1 if second == self._second else 1
            self._second = second
            return render_timestamp(instant, self._form), f"{self._count:04d}"


def _instant(text: str, form: TimeFormat) -> datetime:
    if form is TimeFormat.EPOCH_S:
        return _EPOCH + timedelta(seconds=int(text))
    if form is TimeFormat.EPOCH_MS:
        return _EPOCH + timedelta(milliseconds=int(text))
    # strptime costs twenty times as much, and this runs for every call.
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}+08:00").astimezone(UTC)
