"""Errors of the partners room.

PartnerError
├── LinkInvalid      a link cannot be saved or used: profile, keys, environment, route; `field` names the member
└── UnknownLink      no link of that name in this tenant
"""

from __future__ import annotations


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
