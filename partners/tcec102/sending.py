"""One HTTP request of the client and its answer, bounded in time and size; sessions that are safe to use from threads."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from partners.tcec102.errors import ConnectFailed, ConnectionBroken, TimedOut, TransportError
from partners.tcec102.results import Attempt

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A page of 200 stations with all their connectors is about 1 MB encrypted."""
_CHUNK_BYTES = 64 * 1024
_NEVER_SENT = frozenset({"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"})
_NO_TUNNEL = "Tunnel connection failed"
"""How `http.client` says that a proxy refused CONNECT."""


class Limits(NamedTuple):
    """Time-outs in seconds: to connect, between two pieces of the answer, for the whole exchange."""

    connect_s: float
    read_s: float
    total_s: float


class HttpPost(Protocol):
    """The part of ``requests.Session`` that is used, so that a test may put a function in its place."""

    def post(
        self,
        url: str,
        *,
        data: bytes,
        headers: Mapping[str, str],
        timeout: tuple[float, float],
        verify: bool | str,
        allow_redirects: bool,
        stream: bool,
    ) -> requests.Response:
        """Send one POST; the options are those of ``requests``."""
        ...  # pragma: no cover


def new_session(proxy: str | None = None, certificate: tuple[str, str] | None = None) -> requests.Session:
    """A session that takes no proxies, certificates or passwords from the environment of the process, only those given.

    ``certificate`` is our own: the PEM files of certificate and key.
    """
    session = requests.Session()
    session.trust_env = False
    session.cert = certificate
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    return session


class ThreadSessions:
    """One kept-alive session per thread, because a ``requests.Session`` is not made to be shared.

    :param proxy: address of the proxy through which everything goes.
    :param certificate: PEM files of our certificate and its key.
    """

    def __init__(self, proxy: str | None = None, certificate: tuple[str, str] | None = None) -> None:
        self._proxy = proxy
        self._certificate = certificate
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: list[requests.Session] = []

    def post(self, url: str, **options: Any) -> requests.Response:
        """Send with this thread's session."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = new_session(self._proxy, self._certificate)
            with self._lock:
                self._all.append(session)
        return session.post(url, **options)

    def close(self) -> None:
        """Close every thread's connections. Call it when no thread is sending any more."""
        with self._lock:
            for session in self._all:
                session.close()
            self._all.clear()
        self._local = threading.local()


class Sending:
    """A request under way; keeps what is known of it at every moment, so that a failed one can be recorded too."""

    def __init__(
        self,
        interface: str,
        url: str,
        request_raw: bytes,
        *,
        authorization: str | None,
        limits: Limits,
        verify_tls: bool | str = True,
    ) -> None:
        self.interface = interface
        self.url = url
        self.request_raw = request_raw
        self.reply_raw = b""
        self.status: int | None = None
        self._authorization = authorization
        self._limits = limits
        self._verify_tls = verify_tls
        self._started = time.perf_counter()
        self._ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (self._ended or time.perf_counter()) - self._started

    def run(self, http: HttpPost) -> Attempt:
        """Send and read the whole answer.

        :raises ConnectFailed: it was never sent.
        :raises TimedOut: no complete answer in time.
        :raises ConnectionBroken: anything else that broke on the way.
        """
        try:
            self._send(http)
        except requests.ConnectTimeout as error:
            raise self._failed(ConnectFailed, error) from error
        except (requests.Timeout, ReadTimeoutError, _SlowReplyError) as error:
            raise self._failed(TimedOut, error) from error
        except requests.ConnectionError as error:
            raise self._failed(ConnectFailed if _never_sent(error) else ConnectionBroken, error) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise self._failed(ConnectionBroken, error) from error
        finally:
            self._ended = time.perf_counter()
        return self._attempt()

    def _send(self, http: HttpPost) -> None:
        headers = {"Content-Type": "application/json;charset=utf-8"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        with http.post(
            self.url,
            data=self.request_raw,
            headers=headers,
            timeout=(self._limits.connect_s, self._limits.read_s),
            verify=self._verify_tls,
            allow_redirects=False,
            stream=True,
        ) as response:
            self.status = response.status_code
            self.reply_raw = self._read(response)

    def _read(self, response: requests.Response) -> bytes:
        """Read piece by piece: the read time-out only bounds one piece, so a dripping answer needs a total of its own."""
        deadline = self._started + self._limits.total_s
        chunks, size = [], 0
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                raise requests.RequestException("reply too large")
            if time.perf_counter() > deadline:
                raise _SlowReplyError("the answer did not end in time")
        return b"".join(chunks)

    def _attempt(self) -> Attempt:
        duration_ms = round(self.seconds * 1000, 3)
        return Attempt(self.interface, self.url, self.request_raw, self.reply_raw, self.status, duration_ms)

    def _failed(self, kind: type[TransportError], error: Exception) -> TransportError:
        return kind(f"{type(error).__name__}: {error}", self._attempt())


class _SlowReplyError(Exception):
    """Raised inside this module when an answer takes longer than the total time-out."""


def _never_sent(error: requests.ConnectionError) -> bool:
    """Did it fail before a connection stood? The exceptions of requests only tell by what lies inside them.

    Neither `ProxyError` nor `SSLError` alone proves it: urllib3 says so too of a line that breaks after the request.
    """
    causes = list(_causes(error))
    if any(type(one).__name__ in _NEVER_SENT for one in causes):
        return True
    if any(isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError) for one in causes):
        return False
    return any(isinstance(one, ssl.SSLError) or _NO_TUNNEL in str(one) for one in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    inside = (getattr(error, "reason", None), getattr(error, "original_error", None), *error.args)
    for one in inside:
        if isinstance(one, BaseException):
            yield from _causes(one)
