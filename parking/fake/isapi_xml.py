"""The XML documents of the fake camera: written by hand like firmware does, read on local names only (digest 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml import ElementTree as SafeTree
from defusedxml.common import DefusedXmlException

from parking.fake.camera_config import Namespace

URIS: Mapping[Namespace, str] = {
    "isapi": "http://www.isapi.org/ver20/XMLSchema",
    "hikvision": "http://www.hikvision.com/ver20/XMLSchema",
    "std-cgi": "http://www.std-cgi.com/ver10/XMLSchema",
    "prefix": "http://www.isapi.org/ver20/XMLSchema",
}
"""Real firmware spells its namespace in these ways, or leaves it out ("none")."""

STATUS_STRINGS: Mapping[int, str] = {
    0: "OK",
    1: "OK",
    2: "Device Busy",
    3: "Device Error",
    4: "Invalid Operation",
    5: "Invalid XML Format",
    6: "Invalid XML Content",
    7: "Reboot Required",
}


class XmlError(ValueError):
    """Raised when a body is not XML, or XML with entities."""


def document(root: str, members: Mapping[str, Any], namespace: Namespace) -> bytes:
    """An XML document; nested mappings become elements, lists repeat them, None leaves them out."""
    prefix = "ns1:" if namespace == "prefix" else ""
    name = "xmlns:ns1" if prefix else "xmlns"
    attributes = f' version="2.0" {name}="{URIS[namespace]}"' if namespace in URIS else ""
    inside = "".join(_element(key, value, prefix) for key, value in members.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{prefix}{root}{attributes}>\n{inside}</{prefix}{root}>\n'
    return text.encode()


def response_status(url: str, code: int, sub_status: str, namespace: Namespace) -> bytes:
    """The answer to nearly everything; HTTP status and `statusCode` need not agree."""
    members = {
        "requestURL": url,
        "statusCode": code,
        "statusString": STATUS_STRINGS.get(code, "Unknown"),
        "subStatusCode": sub_status,
    }
    return document("ResponseStatus", members, namespace)


def values(body: bytes) -> dict[str, str]:
    """The text of every leaf element by local name (first occurrence), and the root as `""`. Raises `XmlError`."""
    try:
        root = SafeTree.fromstring(body)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise XmlError(str(error)) from error
    found = {"": _local(root.tag)}
    for element in root.iter():
        found.setdefault(_local(element.tag), (element.text or "").strip())
    return found


def _element(name: str, value: Any, prefix: str) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_element(name, item, prefix) for item in value)
    if isinstance(value, Mapping):
        inside = "".join(_element(key, member, prefix) for key, member in value.items())
        return f"<{prefix}{name}>\n{inside}</{prefix}{name}>\n"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{prefix}{name}>{escape(text)}</{prefix}{name}>\n"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
