"""One HTTP call to parking equipment: bounded in time and size, no proxies, no redirects, and honest about what may have happened.

The difference between "nothing was sent" (`ConnectFailed`) and "sent, no answer" (`ReadTimedOut`, `AnswerBroken`) decides whether a
grant or an open command may be repeated, so it is made here, once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ReadTimeoutError

from parking.adapters.tls import TlsSettings, TrustingAdapter
from parking.errors import AnswerBroken, ConnectFailed, ReadTimedOut, TlsFailed, TransportError

MAX_ANSWER_BYTES = 1 << 20
"""No answer that we ask for is larger; a picture or an endless stream is cut off here."""

_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers (names in lower case; repeated ones joined with ", "), body and duration of one call."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_ms: int

    @property
    def text(self) -> str:
        """The body as UTF-8, unreadable bytes replaced."""
        return self.body.decode("utf-8", "replace")


class HttpCaller:
    """Calls one base address. Thread-safe; `parallel` bounds the calls in flight (cameras refuse more than a few)."""

    def __init__(self, base_url: str, tls: TlsSettings, *, connect_timeout_s: float, parallel: int) -> None:
        self._base_url = base_url.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._gate = threading.BoundedSemaphore(parallel)
        self._session = requests.Session()
        self._session.trust_env = False
        # A pinned certificate is checked by its fingerprint (tls.py); a chain to verify does not exist for it.
        self._session.verify = tls.pin_sha256 is None
        self._session.headers.clear()
        self._session.mount("http://", TrustingAdapter(tls, parallel))
        self._session.mount("https://", TrustingAdapter(tls, parallel))

    def call(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, read_timeout_s: float
    ) -> HttpAnswer:
        """Send one request and read its whole answer. Raises a `TransportError`; any HTTP status is an answer."""
        with self._gate:
            started_s = time.monotonic()
            try:
                return self._exchange(method, target, headers, body, read_timeout_s, started_s)
            except (requests.RequestException, HTTPError, OSError) as error:
                raise _transport_error(error) from error

    def close(self) -> None:
        """Close pooled connections."""
        self._session.close()

    def _exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        read_timeout_s: float,
        started_s: float,
    ) -> HttpAnswer:
        with self._session.request(
            method,
            self._base_url + target,
            data=body,
            headers=dict(headers),
            timeout=(self._connect_timeout_s, read_timeout_s),
            allow_redirects=False,
            stream=True,
        ) as reply:
            content = _read(reply, started_s + self._connect_timeout_s + read_timeout_s)
            return HttpAnswer(
                status=reply.status_code,
                headers={name.lower(): value for name, value in reply.headers.items()},
                body=content,
                duration_ms=int((time.monotonic() - started_s) * 1000),
            )


def _read(reply: requests.Response, deadline_s: float) -> bytes:
    received = bytearray()
    for chunk in reply.iter_content(_CHUNK):
        received += chunk
        if len(received) > MAX_ANSWER_BYTES:
            raise AnswerBroken(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline_s:
            raise ReadTimedOut("the answer did not end in time")
    return bytes(received)


def _transport_error(error: Exception) -> TransportError:
    """The error of ours that says what may have happened at the other side."""
    causes = list(_causes(error))
    if any(isinstance(cause, requests.exceptions.SSLError) for cause in causes):
        return TlsFailed(f"the certificate is not trusted: {error}")
    if any(isinstance(cause, requests.exceptions.ConnectTimeout | NewConnectionError) for cause in causes):
        return ConnectFailed(f"no connection: {error}")
    if any(isinstance(cause, requests.exceptions.ReadTimeout | ReadTimeoutError) for cause in causes):
        return ReadTimedOut("sent, but no answer in time")
    return AnswerBroken(f"the connection broke: {error}")


def _causes(error: BaseException) -> list[object]:
    """The error, what it wraps and what the pool gave up on: requests hides the reason three levels down."""
    found: list[object] = [error]
    for inner in error.args:
        if isinstance(inner, MaxRetryError):
            found += [inner, inner.reason]
        elif isinstance(inner, Exception):
            found.append(inner)
    return found
