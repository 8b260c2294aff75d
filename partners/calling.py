"""Our calls to partners: one client per link, and the answer or failure in the words of the worker."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from charging_core.clock import Clock
from partners.exchanges import body_text
from partners.links import Egress, Link
from partners.tcec102 import jsonio
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    RET_BUSY,
    RET_ENVELOPE,
    RET_OK,
    RET_SIGNATURE,
    RET_SYSTEM,
    RET_TOKEN,
    BadReply,
    ConfigurationError,
    ConnectFailed,
    HttpFailure,
    ReplySignatureMismatch,
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
_PASSING = frozenset({RET_BUSY, RET_SYSTEM, RET_TOKEN, RET_ENVELOPE})
TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason code
UNWRITABLE = "unwritable"
CONNECTION, TIMEOUT, INVALID_ANSWER, HTTP = "connection", "timeout", "invalid_answer", "http"

_REFUSED_HTTP = frozenset({401, 403})
KEY_REFUSALS = (RET_SIGNATURE, RET_ENVELOPE)
"""What a wrong SigSecret or DataSecret is answered with, always before the message is processed (`specs/tcec102.md` 7)."""


class Clients:
    """Clients by link, made anew when the link's version changes; connections are kept per thread and way out (`Egress`)."""

    def __init__(self, clock: Clock, contract: Contract, sink: ExchangeSink | None = None) -> None:
        self._clock = clock
        self._contract = contract
        self._sink = sink
        self._ways: dict[Egress, ThreadSessions] = {}
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[int, dict[bool, TcecClient]]] = {}

    def client(self, link: Link) -> TcecClient | None:
        """The client of a link with the key set that is valid now; None when it has no outbound address or is switched off."""
        return next(iter(self.in_turn(link)), None)

    def in_turn(self, link: Link) -> list[TcecClient]:
        """The client with the valid key set and, during a rotation, the one with the other set. Empty as `client` is None."""
        clients: list[TcecClient] = []
        if not link.enabled:
            return clients
        with self._lock:
            version, kept = self._clients.get(link.id, (0, {}))
            if version != link.version:
                kept = {}
                self._clients[link.id] = (link.version, kept)
            for one in link.sets_at(self._clock.now()):
                following = one is link.outbound_next
                if following not in kept:
                    kept[following] = self._made(link, one)
                clients.append(kept[following])
        return clients

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for sessions in self._ways.values():
                sessions.close()

    def _made(self, link: Link, outbound: OutboundLink) -> TcecClient:
        sessions = self._ways.get(link.egress)
        if sessions is None:
            sessions = self._ways[link.egress] = ThreadSessions(link.egress.proxy, link.egress.certificate)
        tokens = TokenCache(link.profile.spec.token.refresh_margin_s)
        return TcecClient(outbound, sessions, tokens, self._clock, self._contract, sink=self._sink)


def call_in_turn(clients: Sequence[TcecClient], interface: str, body: Mapping[str, Any]) -> CallResult:
    """Call with the first client; with the next one when the keys were refused, which is before anything is processed.

    Raises what the last attempt raised, as `TcecClient.call`; `ConfigurationError` without a client.
    """
    if not clients:
        raise ConfigurationError("the link is disabled or has no outbound address")
    for client in clients[:-1]:
        try:
            result = client.call(interface, body)
        except (TokenRejected, ReplySignatureMismatch) as error:
            if not _keys_refused(error):
                raise
            continue
        if result.ret not in KEY_REFUSALS:
            return result
    return clients[-1].call(interface, body)


def _keys_refused(error: TokenRejected | ReplySignatureMismatch) -> bool:
    """A refused secret, or a refusal that is signed with the set we do not use yet (any more)."""
    if isinstance(error, TokenRejected):
        return error.ret in (RET_OK, *KEY_REFUSALS)
    try:
        return error.attempt is not None and jsonio.read_object(error.attempt.reply_raw).get("Ret") in KEY_REFUSALS
    except ValueError:
        return False


def exchange_of(clients: TcecClient | Sequence[TcecClient] | None, interface: str, body: Mapping[str, Any]) -> Exchange:
    """Send one call and tell what happened; never raises for what the other side or the network does.

    `clients`: one, several to be tried in turn during a rotation of keys, or none because there is no way out.
    """
    request = body_text(mask(dict(body))) or ""
    clients = [clients] if isinstance(clients, TcecClient) else clients
    if not clients:
        return Exchange(request_text=request, answer_text="链路停用或无地址 no address", error=NO_ADDRESS, sent=False)
    try:
        return _answered(request, call_in_turn(clients, interface, body))
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
    # Their 4001 is signed with the very key that we have wrong.
    gateway = gateway or (isinstance(error, ReplySignatureMismatch) and _keys_refused(error))
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
        # An operator, secret or key that they do not know is wrong until somebody corrects it. Busy or broken is for now; and so may be
        # a refused envelope (their clock, or ours): a person would have to release the link after every such moment.
        return HTTP if error.ret in _PASSING else TOKEN_REFUSED
    if isinstance(error, TimedOut):
        return TIMEOUT
    if isinstance(error, HttpFailure):
        return HTTP
    if isinstance(error, TransportError):
        return CONNECTION
    return INVALID_ANSWER if isinstance(error, BadReply) else UNWRITABLE
