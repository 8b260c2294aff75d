"""Instants and spans as people type them: ISO 8601 (China time when no offset is given), or a span such as `90m`, `24h`, `7d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from charging_core.clock import CHINA
from charging_core.errors import InvalidInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_NOT_A_TIME = "不是 ISO 8601 时间 / not an ISO 8601 time"
_NOT_A_SPAN = "应为如 90m、24h、7d 的时长 / a span looks like 90m, 24h or 7d"


def instant(field: str, text: str) -> datetime:
    """The instant of an ISO 8601 text. Raises `InvalidInput` for `field`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(field, _NOT_A_TIME) from error
    return found if found.tzinfo else found.replace(tzinfo=CHINA)


def instant_or_ago(field: str, text: str, now: datetime) -> datetime:
    """Like `instant`, and a span means so long before `now`."""
    return now - span(field, text) if _SPAN.fullmatch(text) else instant(field, text)


def span(field: str, text: str) -> timedelta:
    """The span of a text, longer than nothing. Raises `InvalidInput` for `field`."""
    found = _SPAN.fullmatch(text)
    if found is None or not int(found[1]):
        raise InvalidInput(field, _NOT_A_SPAN)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
