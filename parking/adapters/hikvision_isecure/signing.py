"""Signature of the artemis gateway: HMAC-SHA256 over method, headers and path (`specs/parking.md` 4.2). Pure.

A header that is not sent has *no line at all* in the signed text; one that is sent empty has an empty line. (The gateway of another
vendor looks the same and keeps empty lines; code made for it fails here.)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

_LINES = ("accept", "content-md5", "content-type", "date")
_NEVER_SIGNED = frozenset(
    {
        *_LINES,
        "x-ca-signature",
        "x-ca-signature-headers",
        "content-length",
        "server",
        "connection",
        "host",
        "transfer-encoding",
        "x-application-context",
        "content-encoding",
    }
)


def content_md5(body: bytes) -> str:
    """Base64 of the MD5 of exactly the bytes that are sent."""
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def signed_target(path: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """Path (with `/artemis`) and parameters sorted by name, unencoded; an empty value is just its name, a repeated name counts once."""
    first: dict[str, str] = {}
    for name, value in parameters:
        first.setdefault(name, value)
    query = "&".join(f"{name}={first[name]}" if first[name] else name for name in sorted(first))
    return f"{path}?{query}" if query else path


def string_to_sign(method: str, headers: Mapping[str, str], target: str, signed: Iterable[str]) -> str:
    """The text under the signature. `headers` are those really sent; `signed` names the extra ones to cover."""
    sent = {name.lower(): value for name, value in headers.items()}
    lines = [method.upper()]
    lines += [sent[name] for name in _LINES if name in sent]
    lines += [f"{name}:{sent[name].strip()}" for name in signable(signed) if name in sent]
    return "\n".join([*lines, target])


def signable(names: Iterable[str]) -> list[str]:
    """The header names that may be listed in `X-Ca-Signature-Headers`: lower case, sorted."""
    return sorted({name.lower() for name in names} - _NEVER_SIGNED)


def sign(text: str, app_secret: str) -> str:
    """Base64 of HMAC-SHA256 of `text` under `app_secret`, both UTF-8."""
    return base64.b64encode(hmac.digest(app_secret.encode(), text.encode(), "sha256")).decode()


def signature_headers(method: str, headers: Mapping[str, str], target: str, app_secret: str) -> dict[str, str]:
    """`headers` plus `X-Ca-Signature-Headers` and `X-Ca-Signature`, covering every `X-Ca-*` header given."""
    names = signable(name for name in headers if name.lower().startswith("x-ca-"))
    text = string_to_sign(method, headers, target, names)
    return {**headers, "X-Ca-Signature-Headers": ",".join(names), "X-Ca-Signature": sign(text, app_secret)}
