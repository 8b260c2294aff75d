"""The way to one partner, step by step: proxy, name, port, TLS, clock. What `linktest` needs before it can ask anything.

Everything goes the way that calls go (`Egress`): through the link's proxy, with our certificate, under the same trust. A step returns what
it found, or raises `StepFailed` with words for people.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from partners.links import Egress
from partners.tcec102.sending import new_session

CONNECT_TIMEOUT_S = 5.0
SKEW_WARNING_S = 60.0
"""A minute off still passes every window that we know (600 s), but something is wrong with a clock."""

OBJECTION_S = 0.5
"""In TLS 1.3 a server judges our certificate only after the handshake; its objection is here within a round trip."""
_WANTS_CERTIFICATE = "CERTIFICATE_REQUIRED"

RealNow = Callable[[], datetime]


class StepFailed(Exception):
    """Raised when a step finds what is wrong; the message is for people."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach one address. `trust` is as `requests` takes it: True, False, or a file of authorities."""

    url: str
    egress: Egress
    trust: bool | str
    real_now: RealNow

    def name(self) -> str:
        """DNS, of the proxy when there is one: it looks up the other side's name itself."""
        host = self._first.hostname or ""
        try:
            found = socket.getaddrinfo(host, _port(self._first), proto=socket.IPPROTO_TCP)
        except OSError as error:
            raise StepFailed(f"域名 {host} 无法解析 / the name cannot be resolved: {error}") from error
        return ", ".join(sorted({str(entry[4][0]) for entry in found}))

    def connection(self) -> str:
        """TCP, to the other side itself or as far as the proxy."""
        proxied = self.egress.proxy is not None
        try:
            with socket.create_connection((self._first.hostname, _port(self._first)), CONNECT_TIMEOUT_S):
                return f"{'代理 / proxy ' if proxied else ''}{self._first.hostname}:{_port(self._first)}"
        except OSError as error:
            hint = "端口不通或 IP 未加白 / the port is closed, or our address is not on their allow-list"
            if proxied:
                hint = "代理不通 / the proxy cannot be reached"
            raise StepFailed(f"{hint}: {error}") from error

    def tls(self) -> str:
        """Their certificate, verified as every call verifies it, or not; ours is shown if we have one."""
        if self._first.scheme == "https" and self.egress.proxy is not None:
            return "经 TLS 代理, 由后续调用检查 / behind a TLS proxy: the calls below will tell"
        try:
            with (
                self._opened() as plain,
                self._context().wrap_socket(plain, server_hostname=self._target.hostname) as secured,
            ):
                certificate = secured.getpeercert() or {}
                _expect_silence(secured)
                return f"{secured.version()}, {certificate.get('notAfter', '')}"
        except ssl.SSLCertVerificationError as error:
            raise StepFailed(f"证书不可信 / the certificate is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            if _WANTS_CERTIFICATE in str(error):
                raise StepFailed(
                    "对方要求客户端证书 / they want our certificate: client_certificate is missing or not theirs"
                ) from error
            raise StepFailed(f"TLS 握手失败 / TLS handshake failed: {error}") from error

    def skew(self) -> str:
        """Our clock against the Date header."""
        try:
            with new_session(self.egress.proxy, self.egress.certificate) as session:
                answer = session.head(self.url, timeout=CONNECT_TIMEOUT_S, allow_redirects=False, verify=self.trust)
        except (requests.RequestException, OSError) as error:
            return f"未能测量 / not measured ({type(error).__name__})"
        theirs = _date_header(answer.headers.get("Date", ""))
        if theirs is None:
            return "对方未给出时间 / they send no Date header"
        seconds = (self.real_now() - theirs).total_seconds()
        if abs(seconds) > SKEW_WARNING_S:
            raise StepFailed(
                f"时钟相差 {seconds:+.0f} 秒，请校准 NTP / clocks differ by {seconds:+.0f} s; TimeStamp may be refused"
            )
        return f"{seconds:+.1f} s"

    @property
    def _target(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def _first(self) -> SplitResult:
        """Where our own connection ends."""
        return urlsplit(self.egress.proxy or self.url)

    @contextmanager
    def _opened(self) -> Iterator[socket.socket]:
        """A connection on which TLS with the other side can begin."""
        first, target = self._first, self._target
        line = http.client.HTTPConnection(first.hostname or "", _port(first), timeout=CONNECT_TIMEOUT_S)
        if self.egress.proxy is not None:
            line.set_tunnel(target.hostname or "", _port(target))
        line.connect()
        try:
            yield line.sock
        finally:
            line.close()

    def _context(self) -> ssl.SSLContext:
        if self.trust is False:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context(cafile=self.trust if isinstance(self.trust, str) else _CALLS_TRUST)
        if self.egress.certificate is not None:
            context.load_cert_chain(*self.egress.certificate)
        return context


_CALLS_TRUST: str = DEFAULT_CA_BUNDLE_PATH
"""The authorities that `requests` trusts, which need not be those of the machine."""


def _expect_silence(secured: ssl.SSLSocket) -> None:
    """A server of HTTP waits for our request; whatever comes before is its objection. Raises `OSError`."""
    secured.settimeout(OBJECTION_S)
    try:
        if not secured.recv(1):
            raise ConnectionError("对方随即断开 / they hung up at once")
    except TimeoutError:
        return


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _date_header(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
