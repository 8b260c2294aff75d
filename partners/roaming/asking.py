"""Our questions to other operators: one call, and its answer or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partners.calling import Clients, call_in_turn
from partners.errors import RoamingFailed
from partners.links import Link
from partners.tcec102.errors import (
    RET_BUSINESS,
    ConfigurationError,
    ConnectFailed,
    InvalidReplyBody,
    Tcec102Error,
    TokenRejected,
)

NOT_SENT = (ConnectFailed, TokenRejected, ConfigurationError)
"""Failures after which it is certain that nothing reached the other side's business."""
REFUSED_RETS = frozenset({4001, 4002, 4003})
"""Refused at the door, before anything is processed."""


def ask(clients: Clients, link: Link, interface: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The opened answer in the standard's form.

    Raises `RoamingFailed`: `sent` says whether the other side may have acted, `unknown_order` that it knows no such thing (Ret 4004).
    """
    try:
        result = call_in_turn(clients.in_turn(link), interface, body)
    except Tcec102Error as error:
        sent = not isinstance(error, NOT_SENT)
        words = "应答不合规 unusable answer" if isinstance(error, InvalidReplyBody) else str(error)
        raise RoamingFailed(interface, f"{type(error).__name__}: {words}"[:200], sent=sent) from error
    if not result.ok or result.body is None:
        raise RoamingFailed(
            interface,
            f"Ret {result.ret} {result.msg}"[:200],
            sent=result.ret not in REFUSED_RETS,
            ret=result.ret,
            body=result.body,
            unknown=result.ret == RET_BUSINESS,
        )
    return result.body
