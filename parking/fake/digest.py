"""HTTP Digest as a camera checks it (RFC 7616, MD5, qop=auth; digest of the vendor 3.1): nonces that expire, a lock-out."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

LOCK_AFTER = 5
"""Wrong passwords until the account is locked."""

_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]*))')
_REQUIRED = frozenset(("username", "realm", "nonce", "uri", "response", "qop", "nc", "cnonce"))


class Verdict(Enum):
    """What the gate makes of one request."""

    OK = "ok"
    ABSENT = "no credentials"
    MALFORMED = "malformed credentials"
    STALE = "nonce expired or used"
    WRONG = "wrong user or password"
    LOCKED = "locked"


@dataclass
class _Nonce:
    ends: float
    used: set[str] = field(default_factory=set)


class DigestGate:
    """Checks `Authorization` headers against one account. Time is real seconds (`ticks`). Thread-safe."""

    def __init__(
        self,
        username: str,
        password: str,
        realm: str,
        *,
        nonce_ttl_s: float = 60,
        lock_s: float = 300,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = (username, realm, password)
        self._nonce_ttl_s = nonce_ttl_s
        self._lock_s = lock_s
        self._ticks = ticks
        self._nonces: dict[str, _Nonce] = {}
        self._failures = 0
        self._locked_until = 0.0
        self._lock = threading.Lock()

    def check(self, method: str, target: str, header: str) -> Verdict:
        """The verdict on one request; counts failures and locks the account after the fifth in a row."""
        with self._lock:
            if self._ticks() < self._locked_until:
                return Verdict.LOCKED
            if not header:
                return Verdict.ABSENT
            fields = parse_authorization(header)
            if not fields.keys() >= _REQUIRED or fields["qop"] != "auth" or fields["uri"] != target:
                return Verdict.MALFORMED
            return self._known(method, fields)

    def challenge(self, *, stale: bool = False) -> str:
        """A `WWW-Authenticate` value with a fresh nonce."""
        nonce = secrets.token_hex(20)
        with self._lock:
            now = self._ticks()
            self._nonces = {text: known for text, known in self._nonces.items() if known.ends > now}
            self._nonces[nonce] = _Nonce(now + self._nonce_ttl_s)
        return (
            f'Digest realm="{self._account[1]}", qop="auth", algorithm=MD5, nonce="{nonce}", '
            f'stale="{"true" if stale else "false"}"'
        )

    def expire_nonces(self) -> None:
        """The next request with an old nonce is answered stale."""
        with self._lock:
            self._nonces.clear()

    def unlock(self) -> None:
        """Forget failures and lock."""
        with self._lock:
            self._failures, self._locked_until = 0, 0.0

    @property
    def failures(self) -> int:
        """Wrong passwords in a row."""
        return self._failures

    def _known(self, method: str, fields: dict[str, str]) -> Verdict:
        username, realm, password = self._account
        expected = digest_response(username, realm, password, method, fields)
        named = fields["username"] == username and fields["realm"] == realm
        if not named or not hmac.compare_digest(fields["response"].lower().encode(), expected.encode()):
            return self._failed()
        nonce = self._nonces.get(fields["nonce"])
        if nonce is None or nonce.ends <= self._ticks() or fields["nc"] in nonce.used:
            return Verdict.STALE
        nonce.used.add(fields["nc"])
        self._failures = 0
        return Verdict.OK

    def _failed(self) -> Verdict:
        self._failures += 1
        if self._failures < LOCK_AFTER:
            return Verdict.WRONG
        self._locked_until = self._ticks() + self._lock_s
        self._failures = 0
        return Verdict.LOCKED


def digest_response(username: str, realm: str, password: str, method: str, fields: dict[str, str]) -> str:
    """The `response` of the client for these fields (uri, nonce, nc, cnonce, qop)."""
    ha1 = _md5(f"{username}:{realm}:{password}")
    ha2 = _md5(f"{method}:{fields['uri']}")
    return _md5(":".join((ha1, fields["nonce"], fields["nc"], fields["cnonce"], fields["qop"], ha2)))


def parse_authorization(header: str) -> dict[str, str]:
    """The fields of a Digest header; empty when it is another scheme."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(rest)}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
