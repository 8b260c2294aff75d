"""One inbound call, checked exactly in the order of the standard (section 7 of the digest, DECISIONS 6).

    size 4003 · rate -1 · JSON 4003 · five members 4003 · operator 4003 · Sig 4001 · token 4002 · time 4003 · decrypt 4003 ·
    interface 4004 · business members 4004 · handler

The first violation answers. Until the operator is known the answer is unsigned; afterwards it is sealed with the link's keys.
The HTTP status is always 200.

``receive`` does all of it in the calling thread. An event loop takes the same steps apart: ``begin`` (cheap), ``proceed``
(cheap unless it ``may_block``), ``work`` (the handler and the sealing; may block), ``finish`` (count and record).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

import orjson
import structlog

from charging_core.clock import Clock
from partners.tcec102 import envelope as envelopes
from partners.tcec102 import metrics
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    RET_OK,
    AddressRefused,
    BadSeq,
    BadTimeStamp,
    BusinessError,
    ConfigurationError,
    MissingMember,
    OversizedBody,
    RateLimited,
    Refusal,
    Replayed,
    SystemFailure,
    TokenRefused,
    UnknownInterface,
    UnknownOperator,
)
from partners.tcec102.exchanges import ExchangeSink, record_safely
from partners.tcec102.memory import MemoryReplays
from partners.tcec102.options import KeyStyle
from partners.tcec102.ports import Handler, InboundLink, LinkDirectory, RateLimiter, ReplayMemory, TokenStore
from partners.tcec102.timestamps import parse_timestamp
from partners.tcec102.tokens import bearer_token, token_handler
from partners.tcec102.visit import InboundCall, Visit

MAX_BODY_BYTES = 1024 * 1024
"""1 MiB (DECISIONS 6): a daily statement of ten thousand orders still fits."""
CHECK_EVERY = 16
"""One of so many answers of ours is held against the contract; all of them would cost a twentieth of the speed."""
TOKEN_INTERFACE = "query_token"  # noqa: S105 - the name of an interface
_OTHER = "other"
"""Metric label of interfaces that are not in the contract."""

log = structlog.get_logger()

T = TypeVar("T")


class Sampler:
    """Takes the first of every ``every`` answers. Threads may race for one; a sample need not be exact."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = -1

    def take(self) -> bool:
        """Is this one to be looked at?"""
        self._count = (self._count + 1) % self._every
        return self._count == 0


@dataclass(frozen=True, slots=True)
class Door:
    """Everything a call needs, assembled once: contract, links, tokens, limiter, handlers by interface name, record.

    ``query_token`` is answered by the token store unless a handler is given. ``inline_handlers`` names handlers that never
    block, which the edge then calls on its event loop. ``names`` and ``tokenless`` are all interfaces, and those without a token.
    """

    contract: Contract
    links: LinkDirectory
    tokens: TokenStore
    limiter: RateLimiter
    handlers: Mapping[str, Handler]
    clock: Clock
    sink: ExchangeSink | None = None
    inline_handlers: frozenset[str] = frozenset()
    max_body_bytes: int = MAX_BODY_BYTES
    replays: ReplayMemory = field(default_factory=MemoryReplays)
    sampler: Sampler = field(default_factory=lambda: Sampler(CHECK_EVERY))
    meter: metrics.CallMeter = field(default_factory=lambda: metrics.CallMeter("in"))
    names: frozenset[str] = field(init=False)
    tokenless: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        handlers = {TOKEN_INTERFACE: token_handler(self.tokens), **self.handlers}
        unknown = sorted(set(handlers) - set(self.contract))
        if unknown:
            raise ConfigurationError(f"handlers of interfaces that the contract does not have: {unknown}")
        object.__setattr__(self, "handlers", handlers)
        object.__setattr__(self, "names", frozenset(self.contract))
        object.__setattr__(
            self, "tokenless", frozenset(name for name in self.contract if not self.contract[name].needs_token)
        )


class Reply(NamedTuple):
    """The answer: the envelope as JSON bytes, to be sent with HTTP status 200."""

    ret: int
    payload: bytes


def receive(call: InboundCall, door: Door) -> Reply:
    """Check, open, handle and answer one call. Never raises; every outcome is an answer."""
    visit = begin(call, door)
    proceed(visit)
    work(visit)
    return finish(visit)


def begin(call: InboundCall, door: Door) -> Visit:
    """The checks up to the signature: no I/O, no lock that waits."""
    visit = Visit(call, door, door.clock.now())
    _run(_ADMISSION, visit)
    return visit


def may_block(visit: Visit) -> bool:
    """Has ``proceed`` to look up the token, or what has come before? Proves the token by the way if memory knows it."""
    link = visit.link
    if not visit.open or link is None:
        return False
    if link.envelope.refuse_replays:
        return True
    token = _presented_token(visit) if _needs_token(visit) else None
    if token is None:
        return False
    visit.token_proven = visit.door.tokens.cached(link.link_id, token)
    return not visit.token_proven


def proceed(visit: Visit) -> None:
    """The checks from the token to the business members."""
    _run(_OPENING, visit)


def work(visit: Visit) -> None:
    """Call the handler and seal the answer; refused calls are only sealed. May block."""
    _run((_handle,), visit)
    try:
        visit.payload = _sealed(visit)
    except Exception:
        log.exception("tcec102_answer_not_sealed", interface=visit.name, link_id=_link_id(visit))
        visit.refuse(SystemFailure())
        visit.answer = None
        visit.payload = _sealed(visit)


def finish(visit: Visit) -> Reply:
    """Count and record the call."""
    door = visit.door
    ret = RET_OK if visit.ret is None else visit.ret
    seconds = time.perf_counter() - visit.started
    door.meter.count(visit.name if visit.name in door.names else _OTHER, ret, seconds)
    if visit.failed_check:
        metrics.REFUSALS.labels(visit.failed_check).inc()
    if door.sink is not None:
        visit.ret, visit.duration_ms = ret, seconds * 1000
        record_safely(door.sink, visit)
    return Reply(ret, visit.payload)


# ------------------------------------------------------------------------------------------------------------- checks

_Step = Callable[[Visit], None]


def _run(steps: tuple[_Step, ...], visit: Visit) -> None:
    """Run the steps until one refuses. The edge of the loop: an unexpected exception becomes Ret 500, and a log entry."""
    if visit.ret is not None:
        return
    try:
        for step in steps:
            step(visit)
    except Refusal as refusal:
        visit.refuse(refusal)
    except BusinessError as error:
        visit.ret, visit.msg, visit.answer = error.ret, error.msg, error.body
        visit.failed_check = Refusal.check
    except Exception:
        log.exception("tcec102_call_failed", interface=visit.name, link_id=_link_id(visit))
        visit.refuse(SystemFailure())


def _check_size(visit: Visit) -> None:
    if visit.call.problem is not None:
        raise visit.call.problem
    if len(visit.call.body) > visit.door.max_body_bytes:
        raise OversizedBody


def _check_rate(visit: Visit) -> None:
    if not visit.door.limiter.allow(visit.call.base, visit.call.remote):
        raise RateLimited


def _check_members(visit: Visit) -> None:
    visit.envelope = envelopes.parse_request(visit.call.body)


def _check_operator(visit: Visit) -> None:
    envelope = _proven(visit.envelope)
    link = visit.door.links.find(visit.call.base, envelope.operator_id)
    if link is None or not link.enabled:
        raise UnknownOperator(field="OperatorID")
    if link.allowed_networks and not _is_allowed(link, visit.call.remote):
        raise AddressRefused
    visit.link, visit.keys = link, link.keys[0]
    visit.name = link.interface_aliases.get(visit.call.interface, visit.call.interface)
    style = link.envelope.request_keys_in
    if style is not None and envelope.style is not style:
        raise MissingMember(field="OperatorID")


def _check_signature(visit: Visit) -> None:
    link = _proven(visit.link)
    visit.keys = envelopes.matching_keys(_proven(visit.envelope), link.keys, link.envelope)


def _check_token(visit: Visit) -> None:
    if visit.token_proven or not _needs_token(visit):
        return
    token = _presented_token(visit)
    if token is None or not visit.door.tokens.check(_proven(visit.link).link_id, token):
        raise TokenRefused


def _check_time(visit: Visit) -> None:
    envelope, options = _proven(visit.envelope), _proven(visit.link).envelope
    try:
        sent_at = parse_timestamp(envelope.timestamp, options.time_formats_in)
    except ValueError as error:
        raise BadTimeStamp(field="TimeStamp") from error
    shortest, longest = options.seq_widths
    if not (envelope.seq.isascii() and envelope.seq.isdigit() and shortest <= len(envelope.seq) <= longest):
        raise BadSeq(field="Seq")
    if options.max_skew_s is not None:
        _check_window(visit, sent_at, options.max_skew_s)


def _check_window(visit: Visit, sent_at: datetime, max_skew_s: int) -> None:
    if abs(visit.at - sent_at) > timedelta(seconds=max_skew_s):
        raise BadTimeStamp("outside the window", field="TimeStamp")
    link = _proven(visit.link)
    # A text can come back as long as its time stamp passes: from the earliest to the latest clock of the window.
    if not link.envelope.refuse_replays:
        return
    if not visit.door.replays.is_new(link.link_id, _replay_key(visit, link), 2.0 * max_skew_s):
        raise Replayed(field="Data")


def _replay_key(visit: Visit, link: InboundLink) -> bytes:
    sent = _proven(visit.envelope)
    text = f"{link.link_id}\n{sent.operator_id}\n{sent.data}\n{sent.timestamp}\n{sent.seq}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _decrypt(visit: Visit) -> None:
    link = _proven(visit.link)
    visit.body = envelopes.open_data(
        _proven(visit.envelope),
        _proven(visit.keys),
        link.envelope,
        allow_plain=visit.name in link.envelope.plaintext_in,
        byte_order_mark=link.bodies.byte_order_mark,
    )


def _check_interface(visit: Visit) -> None:
    allowed = _proven(visit.link).interfaces
    if visit.name not in visit.door.handlers or (allowed is not None and visit.name not in allowed):
        raise UnknownInterface


def _check_body(visit: Visit) -> None:
    visit.body = visit.door.contract[visit.name].request.read(visit.body, _proven(visit.link).bodies)


_ADMISSION: tuple[_Step, ...] = (_check_size, _check_rate, _check_members, _check_operator, _check_signature)
_OPENING: tuple[_Step, ...] = (_check_token, _check_time, _decrypt, _check_interface, _check_body)


# ------------------------------------------------------------------------------------------------------------ private


def _handle(visit: Visit) -> None:
    visit.answer = visit.door.handlers[visit.name](_proven(visit.link), visit.body)


def _sealed(visit: Visit) -> bytes:
    style = KeyStyle.UPPER if visit.envelope is None else visit.envelope.style
    ret = RET_OK if visit.ret is None else visit.ret
    if visit.keys is None or visit.link is None:
        return orjson.dumps(envelopes.unsigned_reply(ret, visit.msg, style))
    options = visit.link.envelope
    encrypted = visit.name not in options.plaintext_out
    body = None if visit.answer is None else _answer_bytes(visit, visit.link)
    if body is not None and encrypted and visit.ret is None:
        return envelopes.success_bytes(body, visit.keys, options=options, style=style)
    return orjson.dumps(
        envelopes.seal_reply(ret, visit.msg, body, visit.keys, options=options, style=style, encrypted=encrypted)
    )


def _answer_bytes(visit: Visit, link: InboundLink) -> bytes:
    """The answer in the contract's scale. A sample of the answers is checked: a violation is our bug, counted and logged, but
    the partner gets the answer, because a nearly right one serves it better than a 500."""
    schema = visit.door.contract[visit.name].reply
    if visit.ret is None and visit.door.sampler.take() and (wrong := schema.check_outgoing(visit.answer)):
        metrics.BAD_BODIES.labels(visit.name, "reply").inc()
        log.error(
            "tcec102_own_reply_violates_contract", interface=visit.name, link_id=link.link_id, field=wrong[0].field
        )
    return schema.write(visit.answer, link.writing)


def _needs_token(visit: Visit) -> bool:
    return visit.name not in visit.door.tokenless


def _presented_token(visit: Visit) -> str | None:
    return bearer_token(visit.call.authorization, _proven(visit.link).accept_schemes)


def _is_allowed(link: InboundLink, remote: str) -> bool:
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    return any(address in network for network in link.allowed_networks)


def _proven(value: T | None) -> T:
    """What an earlier check has put there."""
    if value is None:
        raise RuntimeError("a check ran before the one it depends on")
    return value


def _link_id(visit: Visit) -> str | None:
    return visit.link.link_id if visit.link else None
