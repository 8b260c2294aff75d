"""The artemis gateway's header signature as its server side computes it (digest 4.2): pure functions.

The rule that trips clients: an absent header gives no line at all, not an empty one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

LINE_HEADERS = ("accept", "content-md5", "content-type", "date")
"""Headers that contribute their bare value, in this order, when they are sent."""

NEVER_SIGNED = frozenset(
    {
        "x-ca-signature",
        "x-ca-signature-headers",
        "accept",
        "content-md5",
        "content-type",
        "date",
        "content-length",
        "server",
        "connection",
        "host",
        "transfer-encoding",
        "x-application-context",
        "content-encoding",
    }
)


def string_to_sign(
    method: str,
    headers: Mapping[str, str],
    signed: Iterable[str],
    path: str,
    params: Mapping[str, str],
    body: bytes = b"",
) -> str:
    """The text both sides sign. `headers` has lower-case names; `params` are the first values of query and form.

    A sent Content-MD5 is ignored and computed from `body`, as the real server does.
    """
    lines = [method.upper()]
    for name in LINE_HEADERS:
        if name in headers:
            lines.append(content_md5(body) if name == "content-md5" else headers[name])
    names = sorted({name.strip().lower() for name in signed} - NEVER_SIGNED)
    lines += [f"{name}:{headers.get(name, '').strip()}" for name in names if name]
    return "\n".join([*lines, resource(path, params)])


def resource(path: str, params: Mapping[str, str]) -> str:
    """Path and sorted parameters, un-encoded; a parameter with an empty value is just its name."""
    if not params:
        return path
    return path + "?" + "&".join(f"{name}={value}" if value else name for name, value in sorted(params.items()))


def signature(text: str, app_secret: str) -> str:
    """Base64 of HMAC-SHA256 over `text`."""
    return base64.b64encode(hmac.new(app_secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def content_md5(body: bytes) -> str:
    """Base64 of the MD5 of the exact body."""
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def same(given: str, expected: str) -> bool:
    """Constant-time comparison of two signatures."""
    return hmac.compare_digest(given.encode(), expected.encode())
