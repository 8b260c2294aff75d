"""Splits what a camera posts into its document and its pictures (`specs/parking.md` 3.4.1).

Part types and names cannot be trusted: pictures come as `application/octet-stream`, documents under any file name. A document is
known by its type or its leading `<`, a picture by the bytes FF D8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from parking.errors import EventUnreadable
from parking.port import Picture

MAX_PUSH_BYTES = 10 << 20
_MAX_PARTS = 32
_JPEG = b"\xff\xd8"
_DOCUMENT_TYPES = ("application/xml", "text/xml", "application/json")
_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
_FILE_NAME = re.compile(rb'filename="?([^";\r\n]*)"?', re.IGNORECASE)
_PART_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)"?', re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class PushParts:
    """The document of a push and the pictures beside it."""

    document: bytes
    pictures: tuple[Picture, ...]


def split_push(content_type: str, body: bytes) -> PushParts:
    """The parts of a push. Raises `EventUnreadable` when it is too large or holds no document."""
    if len(body) > MAX_PUSH_BYTES:
        raise EventUnreadable("too_large", f"a push of {len(body)} bytes is over {MAX_PUSH_BYTES}")
    if not content_type.lower().lstrip().startswith("multipart/"):
        return PushParts(body, ())
    document: bytes | None = None
    pictures: list[Picture] = []
    for headers, content in _parts(_boundary(content_type, body), body):
        if content.startswith(_JPEG):
            pictures.append(Picture(_name(headers), content))
        elif document is None and _is_document(headers, content):
            document = content
    if document is None:
        raise EventUnreadable("no_document", "a multipart push without an event document")
    return PushParts(document, tuple(pictures))


def _boundary(content_type: str, body: bytes) -> bytes:
    found = _BOUNDARY.search(content_type)
    if found is not None:
        return found[1].strip().encode()
    first_line = body.lstrip().split(b"\n", 1)[0].strip()
    if not first_line.startswith(b"--") or len(first_line) < 3:
        raise EventUnreadable("no_boundary", "a multipart push without a boundary")
    return first_line[2:]


def _parts(boundary: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
    # Some firmware writes the dashes into the header's boundary, too; both spellings delimit, at the start of a line only.
    word = re.escape(boundary.removeprefix(b"--") if b"--" + boundary not in body else boundary)
    delimiter = re.compile(rb"(?:^|\r?\n)--" + word + rb"(--)?[ \t]*(?=\r?\n|$)")
    delimiters = list(islice(delimiter.finditer(body), _MAX_PARTS + 1))
    ends = [found.start() for found in delimiters[1:]] + [len(body)]
    found: list[tuple[bytes, bytes]] = []
    for here, end_at in zip(delimiters, ends, strict=False):
        if here[1]:
            break
        chunk = body[here.end() : end_at]
        end = _HEADER_END.search(chunk)
        if end is not None:
            found.append((chunk[: end.start()], chunk[end.end() :]))
    return found


def _is_document(headers: bytes, content: bytes) -> bool:
    lowered = headers.lower()
    return any(kind.encode() in lowered for kind in _DOCUMENT_TYPES) or content.lstrip().startswith((b"<", b"{"))


def _name(headers: bytes) -> str:
    found = _FILE_NAME.search(headers) or _PART_NAME.search(headers)
    return found[1].decode("utf-8", "replace").rpartition("/")[2] if found else ""
