"""Times as parking equipment writes them, read tolerantly (`specs/parking.md` 4.3, 4.4, 4.11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from charging_core.clock import CHINA, to_china

_TIME = re.compile(
    r"\s*(?P<date>\d{4}-\d{2}-\d{2})[T ](?P<time>\d{2}:\d{2}:\d{2})(?:[.:,](?P<fraction>\d{1,9}))?\s*"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)


def read_time(text: str | None) -> datetime | None:
    """The instant in UTC, or None when `text` holds none.

    Takes milliseconds after a dot or (an ISC habit) a colon, offsets with and without a colon, a blank for the T; a time without
    offset is China time; anything behind the time is ignored.
    """
    found = _TIME.match(text or "")
    if found is None:
        return None
    zone = found["zone"] or "+08:00"
    fraction = (found["fraction"] or "0")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{found['date']}T{found['time']}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def iso_china(instant: datetime) -> str:
    """`2024-10-27T08:00:00+08:00`, the form that ISC asks for (seconds, China offset)."""
    return to_china(instant).replace(microsecond=0, tzinfo=CHINA).isoformat()
