"""Call the other side of a link.

    session = ThreadSessions()
    client = TcecClient(link, session, TokenCache(), SystemClock(), Contract.standard())
    result = client.call("notification_charge_order_info", body)
    if result.ok and result.body["ConfirmResult"] == 0: ...

A call is sent once. The only repetition is after a token error (Ret 4002, or HTTP 401/403 of a gateway without an envelope): the
call was refused before it was processed, so one renewed token and one repeat are safe, also for start and stop. Every other
retry is a decision of whoever keeps the ladder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
import requests
import structlog

from charging_core.clock import Clock
from partners.tcec102 import envelope as envelopes
from partners.tcec102 import metrics
from partners.tcec102.contract import Contract, Interface
from partners.tcec102.errors import (
    RET_OK,
    RET_TOKEN,
    BadReply,
    ConfigurationError,
    GarbledReply,
    HttpFailure,
    InvalidBody,
    InvalidReplyBody,
    Tcec102Error,
    TokenRejected,
)
from partners.tcec102.exchanges import Direction, Exchange, ExchangeSink, FinishedExchange, record_safely
from partners.tcec102.keys import KeySet
from partners.tcec102.options import (
    STANDARD_BODY,
    STANDARD_ENVELOPE,
    STANDARD_WRITE,
    BodyOptions,
    EnvelopeOptions,
    WriteOptions,
)
from partners.tcec102.results import Attempt, CallResult
from partners.tcec102.sending import HttpPost, Limits, Sending
from partners.tcec102.timestamps import SeqCounter
from partners.tcec102.tokens import Grant, TokenCache, usable_ttl

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 12.0
"""A partner is asked to answer business calls within 3 s on average; a gateway in front of it cuts at 10 s or more."""
TOTAL_TIMEOUT_S = 30.0
"""A body that drips keeps every single read short; this ends it."""
_GATEWAY_TOKEN_STATUS = frozenset({401, 403})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutboundLink:
    """One partner as somebody we call: where, as whom, with which keys (the partner's), and how it deviates.

    ``operator_id`` is our own code as it stands in the envelope. ``paths`` overrides the path of single interfaces: absolute
    (``/notification_stationStatus``, on the same host) or a whole URL.
    """

    link_id: str
    operator_id: str
    base_url: str
    keys: KeySet = field(repr=False)
    paths: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    envelope: EnvelopeOptions = STANDARD_ENVELOPE
    bodies: BodyOptions = STANDARD_BODY
    writing: WriteOptions = STANDARD_WRITE
    token_scheme: str = "Bearer "  # noqa: S105 - the word before the token
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    total_timeout_s: float = TOTAL_TIMEOUT_S
    verify_tls: bool | str = True
    """True, or the path of a CA bundle; False only for test environments."""

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"link {self.link_id}: base_url is not http(s)")

    def url(self, interface: str) -> str:
        """The full URL of an interface."""
        path = self.paths.get(interface)
        if path is None:
            return f"{self.base_url.rstrip('/')}/{interface}"
        if path.startswith(("http://", "https://")):
            return path
        scheme, _, rest = self.base_url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}/{path.lstrip('/')}"


class TcecClient:
    """The calling side of one link; threads may share it if ``http`` may be shared (``ThreadSessions``).

    :param tokens: the link's token; share one between all clients of the same link.
    :param clock: gives TimeStamp.
    :param sink: receives every HTTP exchange, also the failed ones.
    """

    def __init__(
        self,
        link: OutboundLink,
        http: HttpPost,
        tokens: TokenCache,
        clock: Clock,
        contract: Contract,
        *,
        sink: ExchangeSink | None = None,
        meter: metrics.CallMeter | None = None,
    ) -> None:
        self.link = link
        self._http = http
        self._tokens = tokens
        self._clock = clock
        self._contract = contract
        self._sink = sink
        self._meter = meter or metrics.CallMeter("out")
        self._seq = SeqCounter(clock, link.envelope.time_format_out)

    def call(self, interface: str, body: Mapping[str, Any]) -> CallResult:
        """Send one call and give back what the partner answered, whatever its Ret.

        :raises ConfigurationError: the contract has no such interface, or the body cannot be written.
        :raises TransportError: no envelope came back (``ConnectFailed``, ``TimedOut``, ``ConnectionBroken``, ``HttpFailure``).
        :raises BadReply: the answer cannot be used (``GarbledReply``, ``ReplySignatureMismatch``, …).
        :raises TokenRejected: the partner gives us no token.
        """
        described = self._described(interface)
        plain = self._written(described, body)
        if not described.needs_token:
            return self._exchange(described, plain, body, None)
        token = self._tokens.obtain(self._fetch_token)
        try:
            result = self._exchange(described, plain, body, token)
            if result.ret != RET_TOKEN:
                return result
        except HttpFailure as error:
            if error.status not in _GATEWAY_TOKEN_STATUS:
                raise
        self._tokens.drop(token)
        return self._exchange(described, plain, body, self._tokens.obtain(self._fetch_token))

    def fetch_token(self) -> str:
        """The link's token, renewed if need be; for a test of the link.

        :raises TokenRejected, TransportError, BadReply: as ``call``.
        """
        return self._tokens.obtain(self._fetch_token)

    def _described(self, interface: str) -> Interface:
        try:
            return self._contract[interface]
        except KeyError as error:
            raise ConfigurationError(f"the contract has no interface {interface!r}") from error

    def _written(self, interface: Interface, body: Mapping[str, Any]) -> bytes:
        """The body's JSON. One that violates the contract is counted and sent: the partner's judgement counts."""
        if wrong := interface.request.check_outgoing(body):
            metrics.BAD_BODIES.labels(interface.name, "request").inc()
            log.error(
                "tcec102_own_request_violates_contract",
                interface=interface.name,
                link_id=self.link.link_id,
                field=wrong[0].field,
            )
        return interface.request.write(body, self.link.writing)

    def _fetch_token(self) -> Grant:
        interface = self._described("query_token")
        body = {"OperatorID": self.link.operator_id, "OperatorSecret": self.link.keys.operator_secret}
        result = self._exchange(interface, interface.request.write(body), body, None)
        answer = result.body or {}
        token = answer.get("AccessToken")
        if not result.ok or answer.get("SuccStat") != 0 or not _fits_a_header(token):
            raise TokenRejected(result.ret, answer.get("FailReason"), result.msg)
        return Grant(str(token), usable_ttl(answer.get("TokenAvailableTime")))

    def _exchange(self, interface: Interface, plain: bytes, body: Mapping[str, Any], token: str | None) -> CallResult:
        """One HTTP request, one answer; counted and recorded whatever happens."""
        sending = self._sending(interface, plain, token)
        at, result, error = self._clock.now(), None, None
        try:
            result = self._opened(interface, sending.run(self._http))
            return result
        except Tcec102Error as caught:
            error = caught
            raise
        finally:
            self._count(interface, sending, result, error)
            record_safely(self._sink, self._recorded(interface, body, sending, result, error, at))

    def _sending(self, interface: Interface, plain: bytes, token: str | None) -> Sending:
        link = self.link
        limits = Limits(link.connect_timeout_s, link.read_timeout_s, link.total_timeout_s)
        authorization = None if token is None else link.token_scheme + token
        return Sending(
            interface.name,
            link.url(interface.name),
            self._sealed(interface, plain),
            authorization=authorization,
            limits=limits,
            verify_tls=link.verify_tls,
        )

    def _sealed(self, interface: Interface, plain: bytes) -> bytes:
        timestamp, seq = self._seq.next()
        options = self.link.envelope
        encrypted = interface.name not in options.plaintext_out
        return orjson.dumps(
            envelopes.seal_request(
                plain, self.link.operator_id, self.link.keys, timestamp, seq, options=options, encrypted=encrypted
            )
        )

    def _opened(self, interface: Interface, attempt: Attempt) -> CallResult:
        link, status = self.link, attempt.http_status or 0
        try:
            reply = envelopes.open_reply(
                attempt.reply_raw,
                link.keys,
                options=link.envelope,
                allow_plain=interface.name in link.envelope.plaintext_in,
                byte_order_mark=link.bodies.byte_order_mark,
            )
            body = reply.body
            if reply.ret == RET_OK:
                body = interface.reply.read(body, link.bodies)
        except GarbledReply as error:
            if status != requests.codes.ok:
                raise HttpFailure(status, attempt) from error
            error.attempt = attempt
            raise
        except BadReply as error:
            error.attempt = attempt
            raise
        except InvalidBody as error:
            raise InvalidReplyBody(error.msg, field=error.field, attempt=attempt) from error
        if not reply.verified:
            log.warning("tcec102_reply_unverified", interface=interface.name, link_id=link.link_id, ret=reply.ret)
        return CallResult(
            ret=reply.ret,
            msg=reply.msg,
            body=body if isinstance(body, dict) else None,
            http_status=status,
            duration_ms=attempt.duration_ms,
            request_raw=attempt.request_raw,
            reply_raw=attempt.reply_raw,
            verified=reply.verified,
        )

    def _count(
        self, interface: Interface, sending: Sending, result: CallResult | None, error: Tcec102Error | None
    ) -> None:
        if result is not None:
            self._meter.count(interface.name, result.ret, sending.seconds)
        else:
            metrics.FAILURES.labels(interface.name, type(error).__name__ if error else "unexpected").inc()

    def _recorded(
        self,
        interface: Interface,
        body: Mapping[str, Any],
        sending: Sending,
        result: CallResult | None,
        error: Tcec102Error | None,
        at: datetime,
    ) -> Exchange:
        return FinishedExchange(
            direction=Direction.OUT,
            interface=interface.name,
            path=sending.url,
            at=at,
            duration_ms=sending.seconds * 1000,
            ret=result.ret if result else None,
            msg=result.msg if result else str(error or ""),
            failed_check=type(error).__name__ if error else "",
            http_status=sending.status,
            link_id=self.link.link_id,
            operator_id=self.link.operator_id,
            request_raw=sending.request_raw,
            request_body=body,
            reply_raw=sending.reply_raw,
            reply_body=result.body if result else None,
        )


def _fits_a_header(token: Any) -> bool:
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()
