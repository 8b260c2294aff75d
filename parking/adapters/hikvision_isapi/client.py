"""Authenticated calls to one ISAPI device (`specs/parking.md` 3.1)."""

from __future__ import annotations

from parking.adapters.hikvision_isapi.digest import Challenge, DigestAuth, read_challenge
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.adapters.http import HttpAnswer, HttpCaller
from parking.errors import AuthFailed, ConnectFailed

_PARALLEL = 2
"""Devices refuse more connections than this beside an event stream (3.1)."""

_XML = "application/xml; charset=UTF-8"
_UNAUTHORISED = 401


class IsapiClient:
    """Calls one device with one account. Thread-safe."""

    def __init__(self, settings: IsapiSettings) -> None:
        self._settings = settings
        self._auth = DigestAuth(settings.username, settings.password.get_secret_value())
        self._http = HttpCaller(
            settings.base_url, settings.tls, connect_timeout_s=settings.connect_timeout_s, parallel=_PARALLEL
        )

    def call(
        self, method: str, target: str, xml: str | None = None, *, read_timeout_s: float | None = None
    ) -> HttpAnswer:
        """One request, carried out at most once; the password goes over the wire at most twice.

        Twice only when the first refusal may be about an old nonce: the device says `stale`, or it forgot a nonce that we reused.
        Raises `AuthFailed` when the device refuses the credentials, then and on every later call without sending anything;
        otherwise a `TransportError`.
        """
        if self._auth.refused:
            raise AuthFailed("the device refused this account before; waiting for new credentials")
        timeout_s = read_timeout_s or self._settings.read_timeout_s
        passwords_sent, fresh = 0, False
        while True:
            authorisation = self._auth.header(method, target)
            answer = self._send(method, target, xml, authorisation, timeout_s)
            if answer.status != _UNAUTHORISED:
                return answer
            challenge = self._challenge(answer)
            passwords_sent += authorisation is not None
            if passwords_sent == 2 or (passwords_sent == 1 and fresh and not challenge.stale):
                raise self._refusal(challenge)
            self._auth.learn(challenge)
            fresh = True

    def close(self) -> None:
        """Close pooled connections."""
        self._http.close()

    def _challenge(self, answer: HttpAnswer) -> Challenge:
        challenge = read_challenge(answer.headers.get("www-authenticate"))
        if challenge is None:
            self._auth.refuse()
            raise AuthFailed("the device asks for an authentication other than Digest with MD5 or SHA-256")
        return challenge

    def _refusal(self, challenge: Challenge) -> Exception:
        if challenge.stale:
            return ConnectFailed("the device declares its own fresh nonces stale; nothing was carried out")
        self._auth.refuse()
        return AuthFailed("the device refuses user name or password")

    def _send(
        self, method: str, target: str, xml: str | None, authorisation: str | None, timeout_s: float
    ) -> HttpAnswer:
        headers = {"Accept": "*/*"}
        if xml is not None:
            headers["Content-Type"] = _XML
        if authorisation is not None:
            headers["Authorization"] = authorisation
        body = None if xml is None else xml.encode()
        return self._http.call(method, target, headers, body, read_timeout_s=timeout_s)
