"""Hide secrets and personal data in opened messages before anybody stores, logs or shows them.

Names are matched without regard to case, in every spelling that is met; values keep just enough to recognise them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

HIDDEN = "***"

MAX_DEPTH = 24
"""Levels that are looked into; no message of the standard has more than six. A sender must not decide how deep we recurse."""

_SECRETS = (
    "OperatorSecret",
    "DataSecret",
    "DataSecretIV",
    "DataIV",
    "SigSecret",
    "AccessToken",
    "Authorization",
    "Token",
)
_PLATES = (
    "PlateNum",
    "PlateNumber",
    "PlateNo",
    "Plate",
    "CarNumber",
    "CarNo",
    "LicensePlate",
    "LicensePlateNo",
    "CarNum",
)
_PHONES = ("PhoneNum", "PhoneNumber", "Phone", "Mobile", "UserTel", "UserPhone", "Tel")
_TAILS = ("Vin", "VinCode", "CardNo", "CardNum", "IdCardNo", "PhysicalCardNo", "UserID", "OutUserId")
_NAMES = ("UserName", "DriverName", "OwnerName")


def mask_text(text: str, head: int, tail: int) -> str:
    """``text`` with everything but its first ``head`` and last ``tail`` characters replaced; short texts vanish."""
    if len(text) <= head + tail:
        return HIDDEN
    return text[:head] + HIDDEN + text[len(text) - tail :]


def mask(value: Any) -> Any:
    """A copy of an opened body with secrets and personal data hidden; the original is not touched.

    A text that is itself a JSON object or list (some partners nest bodies so) is masked inside. What lies deeper than `MAX_DEPTH`
    is hidden altogether.
    """
    return _mask(value, MAX_DEPTH)


def _mask(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {name: _mask_member(name, item, depth - 1) for name, item in value.items()} if depth else HIDDEN
    if isinstance(value, list | tuple) and not isinstance(value, orjson.Fragment):
        return [_mask(item, depth - 1) for item in value] if depth else HIDDEN
    if isinstance(value, str) and value[:1] in ("{", "["):
        return _mask_nested(value, depth - 1) if depth else HIDDEN
    return value


def mask_raw(raw: bytes) -> bytes:
    """An HTTP body for the record. A proper envelope stays as it is, since its Data is ciphertext; plain business
    content, sent by mistake or by agreement, is masked. What is not JSON is masked by pattern.
    """
    try:
        members = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _PATTERN.sub(rb'\g<1>"' + HIDDEN.encode() + b'"', raw)
    masked = mask(members)
    return raw if masked == members else orjson.dumps(masked)


def _keep(head: int, tail: int) -> Callable[[str], str]:
    return lambda text: mask_text(text, head, tail)


def _hide(_text: str) -> str:
    return HIDDEN


def _table(rules: Iterable[tuple[tuple[str, ...], Callable[[str], str]]]) -> dict[str, Callable[[str], str]]:
    return {name.lower(): rule for names, rule in rules for name in names}


_RULES = _table(
    ((_SECRETS, _hide), (_PLATES, _keep(2, 1)), (_PHONES, _keep(3, 4)), (_TAILS, _keep(0, 4)), (_NAMES, _keep(1, 0)))
)
_NAMES_PATTERN = "|".join(sorted(_RULES, key=len, reverse=True))
_PATTERN = re.compile(
    rb"""(["']?\b(?:""" + _NAMES_PATTERN.encode() + rb""")["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,}&]+)""",
    re.IGNORECASE,
)


def _mask_member(name: str, item: Any, depth: int) -> Any:
    rule = _RULES.get(name.strip().lower())
    if rule is None:
        return _mask(item, depth)
    if item is None or item == "":
        return item
    return rule(item) if isinstance(item, str) else HIDDEN


def _mask_nested(text: str, depth: int) -> str:
    try:
        inner = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _PATTERN.sub(rb'\g<1>"' + HIDDEN.encode() + b'"', text.encode("utf-8", "replace")).decode("utf-8")
    masked = _mask(inner, depth)
    return text if masked == inner else orjson.dumps(masked).decode("utf-8")
