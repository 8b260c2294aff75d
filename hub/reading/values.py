"""How values look in JSON and on screen: decimals as exact text, times in China's offset, personal data masked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from charging_core.clock import china_text, to_china

_PERSONAL = frozenset({"plate", "phone", "vin", "plate_number", "card"})


def plain(value: Any) -> Any:
    """The value with decimals as text, times as ISO 8601 in China's offset, and nothing else that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return to_china(value).isoformat()
    return value


def mask(text: str | None) -> str | None:
    """The first two and the last two characters; all stars when it is too short for that."""
    if text is None:
        return None
    if len(text) < 6:
        return "*" * len(text)
    return f"{text[:2]}{'*' * (len(text) - 4)}{text[-2:]}"


def masked(members: Mapping[str, Any]) -> dict[str, Any]:
    """The same members with plates, phones, VINs and cards masked, at every depth."""
    return {key: mask(str(item)) if key in _PERSONAL and item else _inside(item) for key, item in members.items()}


def _inside(item: Any) -> Any:
    if isinstance(item, Mapping):
        return masked(item)
    return [_inside(part) for part in item] if isinstance(item, list) else item


def when(instant: datetime | None) -> str:
    """`yyyy-MM-dd HH:mm:ss` in China time for people; empty for none."""
    return "" if instant is None else china_text(instant)


def yuan(amount: Decimal | None) -> str:
    """Yuan with two decimals; empty for none."""
    return "" if amount is None else f"{amount:.2f}"
