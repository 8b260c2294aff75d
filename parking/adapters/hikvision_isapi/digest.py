"""HTTP Digest for ISAPI devices: `qop=auth`, nonce reuse, one repetition when the nonce is stale (`specs/parking.md` 3.1).

The library of our HTTP client answers every 401 once more with the password, also when the password is wrong; devices count that and
lock the account. Here a refused password ends everything: `DigestAuth.refused` stays True until new credentials are configured.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from dataclasses import dataclass

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
# Strongest last: a device that offers several challenges gets the strongest that we know.
_PREFERENCE = ("MD5", "SHA-256")
_CHALLENGE = re.compile(r"(?:^|[,\s])Digest\s+(.*?)(?=,\s*(?:Digest|Basic)\s|$)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a device asks for in one `WWW-Authenticate: Digest`."""

    realm: str
    nonce: str
    algorithm: str
    qop: bool
    opaque: str | None
    stale: bool


def read_challenge(header: str | None) -> Challenge | None:
    """The strongest Digest challenge in `header` (several may be joined by commas), None if there is none we know.

    Basic is never answered: over plain HTTP it would send the password in clear.
    """
    offered = [_challenge(found) for found in _CHALLENGE.findall(header or "")]
    known = [challenge for challenge in offered if challenge is not None]
    return max(known, key=lambda challenge: _PREFERENCE.index(challenge.algorithm), default=None)


def _challenge(text: str) -> Challenge | None:
    members = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
    algorithm = members.get("algorithm", "MD5").upper()
    offered_qop = [word.strip().lower() for word in members.get("qop", "").split(",") if word.strip()]
    if algorithm not in _HASHES or "nonce" not in members or (offered_qop and "auth" not in offered_qop):
        return None
    return Challenge(
        realm=members.get("realm", ""),
        nonce=members["nonce"],
        algorithm=algorithm,
        qop=bool(offered_qop),
        opaque=members.get("opaque"),
        stale=members.get("stale", "").lower() == "true",
    )


def digest_response(
    challenge: Challenge, username: str, password: str, method: str, uri: str, nc: str, cnonce: str
) -> str:
    """The `response` member (RFC 7616, and RFC 2069 where the device offers no qop)."""

    def hashed(text: str) -> str:
        return hashlib.new(_HASHES[challenge.algorithm], text.encode()).hexdigest()

    secret = hashed(f"{username}:{challenge.realm}:{password}")
    request = hashed(f"{method}:{uri}")
    if not challenge.qop:
        return hashed(f"{secret}:{challenge.nonce}:{request}")
    return hashed(f"{secret}:{challenge.nonce}:{nc}:{cnonce}:auth:{request}")


class DigestAuth:
    """The credentials of one device with the nonce it last gave. Thread-safe; makes headers, sends nothing."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._count = 0
        self._refused = False

    @property
    def refused(self) -> bool:
        """Whether the device refused these credentials; nothing may be sent with them any more."""
        return self._refused

    def refuse(self) -> None:
        """Remember that the device refused these credentials."""
        self._refused = True

    def learn(self, challenge: Challenge) -> None:
        """Use the nonce of `challenge` from now on, counting from 1."""
        with self._lock:
            if self._challenge is None or challenge.nonce != self._challenge.nonce:
                self._challenge = challenge
                self._count = 0

    def header(self, method: str, uri: str) -> str | None:
        """The `Authorization` header for one request; None while no nonce is known."""
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return None
            self._count += 1
            count = f"{self._count:08x}"
        cnonce = secrets.token_hex(8)
        response = digest_response(challenge, self._username, self._password, method, uri, count, cnonce)
        members = [
            f'username="{_quoted(self._username)}"',
            f'realm="{_quoted(challenge.realm)}"',
            f'nonce="{challenge.nonce}"',
            f'uri="{uri}"',
            f"algorithm={challenge.algorithm}",
            f'response="{response}"',
        ]
        if challenge.qop:
            members += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
        if challenge.opaque is not None:
            members.append(f'opaque="{challenge.opaque}"')
        return "Digest " + ", ".join(members)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
