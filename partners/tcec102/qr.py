"""The text of a pile's QR code: ``hlht://{ConnectorID}.{OperatorID}/{custom}`` (trap 21 of the digest). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs

_STANDARD = re.compile(r"hlht://([^./?#]{1,64})\.(\w{9})(?:/(.*))?", re.ASCII | re.DOTALL)
_SWAPPED = re.compile(r"hlht://(\w{9})\.([^./?#]{1,64})(?:/(.*))?", re.ASCII | re.DOTALL)
MAX_CHARS = 1024
"""Longest text that is looked at; a QR code of the usual size holds a few hundred."""


class QrContent(NamedTuple):
    """What a code names. ``custom`` goes verbatim into QRCode of query_start_charge; empty when there is none."""

    connector_id: str
    operator_id: str
    custom: str

    @property
    def extra(self) -> tuple[str, ...]:
        """The values of ``?extra=a|b|c``; a supplier uses the first for minutes and the second for 0.01 yuan."""
        found = parse_qs(self.custom.partition("?")[2]).get("extra", [""])[0]
        return tuple(found.split("|")) if found else ()


def parse_qr(text: str, *, swapped: bool = False) -> QrContent | None:
    """What the code names, or None when it is not of this form.

    :param swapped: the supplier's variant with the operator first.
    """
    match = (_SWAPPED if swapped else _STANDARD).fullmatch(text[:MAX_CHARS].strip())
    if match is None or len(text) > MAX_CHARS:
        return None
    first, second, custom = match[1], match[2], match[3] or ""
    return QrContent(second, first, custom) if swapped else QrContent(first, second, custom)
