"""Reads ISAPI documents: XML or JSON into nested members, matched on local names only (`specs/parking.md` 3.2).

Namespaces differ by model and firmware, so they are dropped. Entities and document type declarations are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

Members = Mapping[str, Any]

_MAX_DEPTH = 16
"""Real documents nest five deep; pushes are not authenticated, so what nests deeper is not followed."""

STATUS_OK = (0, 1)
STATUS_BUSY = 2
STATUS_DEVICE_ERROR = 3
STATUS_INVALID_OPERATION = 4


class DocumentUnreadable(ValueError):
    """Raised when a body is neither XML nor a JSON object, or carries entities."""


@dataclass(frozen=True, slots=True)
class ResponseStatus:
    """What a device says about a request. HTTP 200 is no success: `status_code` 0 or 1 is."""

    status_code: int
    status_string: str
    sub_status: str

    @property
    def ok(self) -> bool:
        """Whether the device accepted the request."""
        return self.status_code in STATUS_OK


def read_document(body: bytes) -> tuple[str, Members]:
    """Root name and members. A repeated element keeps its first occurrence; JSON has its single root member unwrapped.

    Stray bytes in front of the first `<` are dropped (seen on real cameras). Raises `DocumentUnreadable`.
    """
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        return _read_json(text)
    start = text.find(b"<")
    if start < 0:
        raise DocumentUnreadable("no XML and no JSON")
    try:
        root = fromstring(text[start:].rstrip(b"\x00 \t\r\n"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise DocumentUnreadable(f"not well-formed XML: {type(error).__name__}") from error
    members = _members(root)
    return _local(root.tag), members if isinstance(members, dict) else {}


def read_response_status(body: bytes) -> ResponseStatus | None:
    """The `ResponseStatus` in an answer, None when it is another document or unreadable."""
    try:
        _root, members = read_document(body)
    except DocumentUnreadable:
        return None
    code = str(members.get("statusCode", "")).strip()
    if not code.isdecimal() or len(code) > 4:
        return None
    return ResponseStatus(int(code), text_of(members, "statusString"), text_of(members, "subStatusCode"))


def text_of(members: Members, *names: str) -> str:
    """The first non-empty text among `names`, stripped; empty if there is none."""
    for name in names:
        value = members.get(name)
        if value is not None and not isinstance(value, dict | list) and str(value).strip():
            return str(value).strip()
    return ""


def _read_json(text: bytes) -> tuple[str, Members]:
    try:
        opened = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise DocumentUnreadable("not well-formed JSON") from error
    if not isinstance(opened, dict):
        raise DocumentUnreadable("not a JSON object")
    if len(opened) == 1:
        name, inner = next(iter(opened.items()))
        if isinstance(inner, dict):
            return str(name), inner
    return "", opened


def _members(element: Element, depth: int = 0) -> dict[str, Any] | str:
    if not len(element) or depth == _MAX_DEPTH:
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        found.setdefault(_local(child.tag), _members(child, depth + 1))
    return found


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
