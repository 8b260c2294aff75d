"""What the door asks of its surroundings, and the description of an inbound link.

Ready-made implementations: ``memory.MemoryLinkDirectory``, ``memory.TokenBuckets``, ``tokens.MemoryTokenStore`` and
``tokens.DurableTokenStore``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from partners.tcec102.errors import ConfigurationError
from partners.tcec102.keys import KeySet
from partners.tcec102.options import (
    STANDARD_BODY,
    STANDARD_ENVELOPE,
    STANDARD_WRITE,
    BodyOptions,
    EnvelopeOptions,
    WriteOptions,
)

DEFAULT_TOKEN_TTL_S = 7200
"""Typical validity of a token; the standard allows up to 7 days."""
MAX_TOKEN_TTL_S = 604_800
"""7 days, the standard's maximum (section 8)."""


@dataclass(frozen=True, slots=True)
class InboundLink:
    """One partner as a caller of ours: who it is, our keys for it, what it may do, how it deviates.

    ``keys`` holds the valid sets, newest first; several during a rotation. ``operator_ids`` are the codes it may call with.
    ``accept_schemes`` are the texts before the token, tried longest first ("" = none at all). ``interfaces`` None allows
    every interface that has a handler. ``interface_aliases`` maps a misspelt name to the right one.

    :raises ConfigurationError: no key set, no operator, a token life outside the standard, or plain text without allow-list.
    """

    link_id: str
    operator_ids: tuple[str, ...]
    our_operator_id: str
    keys: tuple[KeySet, ...] = field(repr=False)
    enabled: bool = True
    envelope: EnvelopeOptions = STANDARD_ENVELOPE
    bodies: BodyOptions = STANDARD_BODY
    writing: WriteOptions = STANDARD_WRITE
    token_ttl_s: int = DEFAULT_TOKEN_TTL_S
    accept_schemes: tuple[str, ...] = ("Bearer ",)
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    interfaces: frozenset[str] | None = None
    interface_aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not self.keys or not self.operator_ids:
            raise ConfigurationError(f"link {self.link_id}: a key set and an operator id are due")
        if not 1 <= self.token_ttl_s <= MAX_TOKEN_TTL_S:
            raise ConfigurationError(f"link {self.link_id}: token_ttl_s is 1 to {MAX_TOKEN_TTL_S}")
        if self.envelope.plaintext_in and not self.allowed_networks:
            raise ConfigurationError(f"link {self.link_id}: plaintext_in needs an address allow-list")
        object.__setattr__(self, "accept_schemes", tuple(sorted(self.accept_schemes, key=len, reverse=True)))


class Route(NamedTuple):
    """A path of ours, split: the link's base (with its final slash) and the interface name."""

    base: str
    interface: str


class LinkDirectory(Protocol):
    """Which links exist. Both functions are called for every message and answer from memory."""

    def resolve(self, path: str) -> Route | None:
        """The route of a URL path, or None when the path is none of T/CEC 102's."""
        ...  # pragma: no cover

    def find(self, base: str, operator_id: str) -> InboundLink | None:
        """The one link of this base and caller (DECISIONS 8), enabled or not; None when there is none."""
        ...  # pragma: no cover


class IssuedToken(NamedTuple):
    """A token and its validity in seconds."""

    token: str
    ttl_s: int


class TokenStore(Protocol):
    """Tokens that we issued. Several of one link are valid at once (section 8)."""

    def issue(self, link_id: str, ttl_s: int) -> IssuedToken:
        """A new random token. May block."""
        ...  # pragma: no cover

    def cached(self, link_id: str, token: str) -> bool:
        """Is it known, from memory alone, to be valid? Never blocks; False means "ask ``check``"."""
        ...  # pragma: no cover

    def check(self, link_id: str, token: str) -> bool:
        """Is it valid? The truth; may block."""
        ...  # pragma: no cover


class RateLimiter(Protocol):
    """Limits callers before anything of their message is read."""

    def allow(self, base: str, remote: str) -> bool:
        """May one more call of this address to this base pass now?"""
        ...  # pragma: no cover


class ReplayMemory(Protocol):
    """Which signed texts have come lately. Called only for links that refuse replays, and never on an event loop: it may block."""

    def is_new(self, link_id: str, key: bytes, keep_s: float) -> bool:
        """True the first time within ``keep_s`` seconds, and remember it; one step, so that of two at once one is new."""
        ...  # pragma: no cover


Handler = Callable[[InboundLink, dict[str, Any]], Mapping[str, Any]]
"""Answers one interface: the validated body in, the answer's body out. May raise ``BusinessError`` or ``Busy``."""
