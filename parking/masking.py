"""Keeps personal data and secrets out of what the room records: plates, cards, phones, names, key material."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from parking.plates import mask_plate

MAX_TRACE_TEXT = 4000
"""Characters of one side of an exchange that are kept; enough for every command, not for lists of thousands."""

_PERSONAL = frozenset(
    {
        "plateno",
        "licenseplate",
        "originallicenseplate",
        "platenumber",
        "plate",
        "cardno",
        "phoneno",
        "owner",
        "personname",
    }
)
_XML_PERSONAL = re.compile(
    r"(<(?:\w+:)?(?:licensePlate|originalLicensePlate|plateNumber|plate|cardNo)(?:\s[^>]*)?>)([^<]*)(<)", re.IGNORECASE
)


def mask_members(value: Any) -> Any:
    """A copy of a JSON value in which personal members are masked, at any depth."""
    if isinstance(value, dict):
        return {
            name: mask_plate(str(member)) if _personal(name) and member else mask_members(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [mask_members(member) for member in value]
    return value


def json_trace(value: Any) -> str:
    """Masked JSON text, cut to `MAX_TRACE_TEXT`."""
    return json.dumps(mask_members(value), ensure_ascii=False, default=str)[:MAX_TRACE_TEXT]


def xml_trace(text: str) -> str:
    """Masked XML text, cut to `MAX_TRACE_TEXT`."""
    return _XML_PERSONAL.sub(lambda found: found[1] + mask_plate(found[2]) + found[3], text)[:MAX_TRACE_TEXT]


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` without any of `secrets`: gateways echo key material in their error texts."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def _personal(name: object) -> bool:
    return isinstance(name, str) and name.strip().lower() in _PERSONAL
