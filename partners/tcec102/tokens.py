"""Access tokens: the ones we issue, and the one we hold of a partner (T/CEC 102.4 Annex A; section 8 of the digest).

Token life is real time, whatever clock the business runs on (DECISIONS 26).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Protocol

from partners.tcec102.ports import (
    DEFAULT_TOKEN_TTL_S,
    MAX_TOKEN_TTL_S,
    Handler,
    InboundLink,
    IssuedToken,
    TokenStore,
)

TOKEN_BYTES = 24
"""192 random bits; the standard asks for nothing, section 8 for at least 128."""
MAX_TOKENS_PER_LINK = 256
"""Valid tokens of one link at once. A partner with several nodes needs a few; one that asks before every call needs a
bound, and loses its oldest token first."""
FALLBACK_TTL_S = 300
"""Life of a partner's token whose TokenAvailableTime is not positive or not a number."""
DEFAULT_MARGIN_S = 300
"""Renew a partner's token when less than this is left."""

FAIL_NO_OPERATOR = 1
FAIL_WRONG_SECRET = 2


class TokenRecords(Protocol):
    """Durable home of issued tokens. Only digests are kept, so the store cannot give a token away."""

    def save(self, link_id: str, digest: str, expires_at: float) -> None:
        """Keep a digest until ``expires_at`` (Unix seconds); expired ones may be deleted."""
        ...  # pragma: no cover

    def find(self, link_id: str, digest: str) -> float | None:
        """When the token of this digest expires; None when it is unknown."""
        ...  # pragma: no cover


class MemoryTokenStore:
    """Issued tokens of one process; lost when it ends, after which partners get 4002 once and renew."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._links: dict[str, OrderedDict[str, float]] = {}

    def issue(self, link_id: str, ttl_s: int) -> IssuedToken:
        """A new token, valid beside the older ones."""
        token = secrets.token_hex(TOKEN_BYTES)
        self.keep(link_id, token, self._now() + ttl_s)
        return IssuedToken(token, ttl_s)

    def keep(self, link_id: str, token: str, expires_at: float) -> None:
        """Remember a token; drops the expired ones and, beyond the bound, the oldest."""
        with self._lock:
            tokens = self._links.setdefault(link_id, OrderedDict())
            for old in [old for old, expiry in tokens.items() if expiry <= self._now()]:
                del tokens[old]
            tokens[token] = expires_at
            while len(tokens) > MAX_TOKENS_PER_LINK:
                tokens.popitem(last=False)

    def revoke(self, link_id: str) -> None:
        """Forget every token of a link."""
        with self._lock:
            self._links.pop(link_id, None)

    def cached(self, link_id: str, token: str) -> bool:
        """Known and not expired."""
        expires_at = self._links.get(link_id, _NONE).get(token)
        return expires_at is not None and expires_at > self._now()

    def check(self, link_id: str, token: str) -> bool:
        """The same: memory is all there is."""
        return self.cached(link_id, token)


class DurableTokenStore:
    """Issued tokens in a durable home shared by several processes, with a memory in front of it."""

    def __init__(self, records: TokenRecords, now: Callable[[], float] = time.time) -> None:
        self._records = records
        self._now = now
        self._memory = MemoryTokenStore(now)

    def issue(self, link_id: str, ttl_s: int) -> IssuedToken:
        """A new token; durable before it is given out."""
        token = secrets.token_hex(TOKEN_BYTES)
        expires_at = self._now() + ttl_s
        self._records.save(link_id, token_digest(token), expires_at)
        self._memory.keep(link_id, token, expires_at)
        return IssuedToken(token, ttl_s)

    def revoke(self, link_id: str) -> None:
        """Forget what this process remembers; the records are their owner's to delete, first."""
        self._memory.revoke(link_id)

    def cached(self, link_id: str, token: str) -> bool:
        """Known to this process and not expired."""
        return self._memory.cached(link_id, token)

    def check(self, link_id: str, token: str) -> bool:
        """Known to any process and not expired."""
        if self._memory.cached(link_id, token):
            return True
        expires_at = self._records.find(link_id, token_digest(token))
        if expires_at is None or expires_at <= self._now():
            return False
        self._memory.keep(link_id, token, expires_at)
        return True


def token_digest(token: str) -> str:
    """SHA-256 of a token in hex. No salt: tokens are random and long."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def token_handler(store: TokenStore) -> Handler:
    """The handler of ``query_token``: failure is told inside Data with Ret 0, by the reasons of section 8."""

    def query_token(link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
        reason = _refusal(link, body["OperatorID"], body["OperatorSecret"])
        issued = IssuedToken("", 0) if reason else store.issue(link.link_id, link.token_ttl_s)
        return {
            "OperatorID": body["OperatorID"],
            "SuccStat": 1 if reason else 0,
            "AccessToken": issued.token,
            "TokenAvailableTime": issued.ttl_s,
            "FailReason": reason,
        }

    return query_token


def bearer_token(header: str | None, schemes: tuple[str, ...]) -> str | None:
    """The token of an Authorization header under the first scheme that fits; None when it has none."""
    for scheme in schemes:
        if header is not None and header.startswith(scheme):
            return header[len(scheme) :].strip() or None
    return None


def _refusal(link: InboundLink, operator_id: str, secret: str) -> int:
    if operator_id not in link.operator_ids:
        return FAIL_NO_OPERATOR
    theirs = secret.encode()
    fits = [hmac.compare_digest(keys.operator_secret.encode(), theirs) for keys in link.keys]
    return 0 if any(fits) else FAIL_WRONG_SECRET


_NONE: Mapping[str, float] = MappingProxyType({})


# ------------------------------------------------------------------------------------------- the token we hold of a partner


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """A token as the partner gave it, with its life already clamped."""

    token: str
    ttl_s: float


def usable_ttl(available_time: Any) -> float:
    """TokenAvailableTime as seconds that can be trusted (section 8): above 7 days (a millisecond epoch was sent) it is
    7200, not positive or not a number it is 300. Floats and texts occur.
    """
    try:
        seconds = Decimal(str(available_time).strip())
    except InvalidOperation:
        return FALLBACK_TTL_S
    if not seconds.is_finite() or seconds <= 0:
        return FALLBACK_TTL_S
    return DEFAULT_TOKEN_TTL_S if seconds > MAX_TOKEN_TTL_S else float(seconds)


class TokenCache:
    """The partner's token of one link, shared by all threads. Only one of them renews it; the others wait for that one.

    :param margin_s: renew when less than this is left, but never before half of the token's life has passed.
    """

    def __init__(self, margin_s: float = DEFAULT_MARGIN_S, now: Callable[[], float] = time.monotonic) -> None:
        self._margin_s = margin_s
        self._now = now
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0
        self._flight: Future[str] | None = None

    def obtain(self, fetch: Callable[[], Grant]) -> str:
        """The valid token; calls ``fetch`` when there is none.

        :raises Exception: what ``fetch`` raised, in every thread that waited for it. Nothing is kept of a failure.
        """
        with self._lock:
            if self._token and self._now() < self._good_until:
                return self._token
            flight, leads = self._flight, self._flight is None
            if flight is None:
                flight = self._flight = Future()
        if leads:
            self._fetch(fetch, flight)
        return flight.result()

    def drop(self, token: str) -> None:
        """Forget ``token`` after a 4002, unless another thread has renewed it meanwhile."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _fetch(self, fetch: Callable[[], Grant], flight: Future[str]) -> None:
        try:
            grant = fetch()
        except BaseException as error:
            with self._lock:
                self._flight = None
            flight.set_exception(error)
            return
        with self._lock:
            self._token = grant.token
            self._good_until = self._now() + grant.ttl_s - min(self._margin_s, grant.ttl_s / 2)
            self._flight = None
        flight.set_result(grant.token)
