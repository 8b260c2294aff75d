"""Errors of the partners room.

PartnerError
├── LinkInvalid      a link cannot be saved or used: profile, keys, environment, route; `field` names the member
├── UnknownLink      no link of that name in this tenant
├── LinkUnusable     a link that exists cannot be opened by this process: a lost key, a removed profile
└── RoamingFailed    a question to another operator brought no usable answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PartnerError(Exception):
    """Root of everything this room raises on purpose."""


class LinkInvalid(PartnerError):
    """Raised when a link's declaration cannot work."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnknownLink(PartnerError):
    """Raised when a link is asked for by a name that the tenant does not have."""


class LinkUnusable(PartnerError):
    """Raised when something must be told on a link that exists but cannot be opened here; what was to be told must wait."""


class RoamingFailed(PartnerError):
    """Raised when a question to another operator brought no usable answer.

    `sent`: the other side may have acted on it. `ret` and `body` are what it answered, if anything; `unknown`: it refused the business
    members (Ret 4004), which for an order means that it does not know it.
    """

    def __init__(
        self,
        interface: str,
        message: str,
        *,
        sent: bool,
        ret: int | None = None,
        body: Mapping[str, Any] | None = None,
        unknown: bool = False,
    ) -> None:
        super().__init__(f"{interface}: {message}")
        self.interface = interface
        self.message = message
        self.sent = sent
        self.ret = ret
        self.body = body
        self.unknown = unknown
