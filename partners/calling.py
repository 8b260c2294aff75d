"""Our calls to partners: one client per link, and the answer or failure in the words of the worker."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from charging_core.clock import Clock
from partners.exchanges import body_text
from partners.links import Link
from partners.tcec102.client import TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    RET_BUSY,
    RET_SYSTEM,
    BadReply,
    ConfigurationError,
    ConnectFailed,
    HttpFailure,
    Tcec102Error,
    TimedOut,
    TokenRejected,
    TransportError,
)
from partners.tcec102.exchanges import ExchangeSink
from partners.tcec102.masking import mask
from partners.tcec102.results import Attempt, CallResult
from partners.tcec102.sending import ThreadSessions
from partners.tcec102.tokens import TokenCache
from worker.api import Exchange

NO_ADDRESS = "no_address"
"""The link is switched off or has no outbound address: nothing is sent, the delivery waits for its ladder."""
TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason code
UNWRITABLE = "unwritable"
CONNECTION, TIMEOUT, INVALID_ANSWER, HTTP = "connection", "timeout", "invalid_answer", "http"

_REFUSED_HTTP = frozenset({401, 403})


class Clients:
    """Clients by link, made anew when the link's version changes; connections are kept per thread."""

    def __init__(self, clock: Clock, contract: Contract, sink: ExchangeSink | None = None) -> None:
        self._clock = clock
        self._contract = contract
        self._sink = sink
        self._sessions = ThreadSessions()
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[int, TcecClient]] = {}

    def client(self, link: Link) -> TcecClient | None:
        """The client of a link; None when it has no outbound address or is switched off."""
        if link.outbound is None or not link.enabled:
            return None
        with self._lock:
            kept = self._clients.get(link.id)
            if kept is not None and kept[0] == link.version:
                return kept[1]
            margin = link.profile.spec.token.refresh_margin_s
            client = TcecClient(
                link.outbound, self._sessions, TokenCache(margin), self._clock, self._contract, sink=self._sink
            )
            self._clients[link.id] = (link.version, client)
            return client

    def close(self) -> None:
        """Close all connections."""
        self._sessions.close()


def exchange_of(client: TcecClient | None, interface: str, body: Mapping[str, Any]) -> Exchange:
    """Send one call and tell what happened; never raises for what the other side or the network does."""
    request = body_text(mask(dict(body))) or ""
    if client is None:
        return Exchange(request_text=request, answer_text="链路停用或无地址 no address", error=NO_ADDRESS, sent=False)
    try:
        return _answered(request, client.call(interface, body))
    except Tcec102Error as error:
        return _failed(request, error)


def _answered(request: str, result: CallResult) -> Exchange:
    answer = {"Ret": result.ret, "Msg": result.msg, "Data": result.body or {}}
    return Exchange(
        request_text=request,
        answer_text=body_text(mask(answer)) or "",
        http_status=result.http_status,
        answer=answer,
        duration_ms=round(result.duration_ms),
    )


def _failed(request: str, error: Tcec102Error) -> Exchange:
    attempt: Attempt | None = getattr(error, "attempt", None)
    status = attempt.http_status if attempt else None
    # A gateway that refuses us without an envelope has judged our address or token: a case for the link's settings.
    gateway = isinstance(error, HttpFailure) and error.status in _REFUSED_HTTP
    return Exchange(
        request_text=request,
        answer_text=f"{type(error).__name__}: {error}"[:500],
        http_status=status,
        answer={},
        duration_ms=round(attempt.duration_ms) if attempt else 0,
        error=TOKEN_REFUSED if gateway else error_word(error),
        sent=not isinstance(error, ConnectFailed | ConfigurationError | TokenRejected),
    )


def error_word(error: Tcec102Error) -> str:
    """The worker's word for a failure without a usable answer."""
    if isinstance(error, TokenRejected):
        # Busy or broken is for now; everything else about a token is a wrong secret or an unknown operator.
        return HTTP if error.ret in (RET_BUSY, RET_SYSTEM) else TOKEN_REFUSED
    if isinstance(error, TimedOut):
        return TIMEOUT
    if isinstance(error, HttpFailure):
        return HTTP
    if isinstance(error, TransportError):
        return CONNECTION
    return INVALID_ANSWER if isinstance(error, BadReply) else UNWRITABLE
