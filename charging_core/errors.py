"""Errors of the core.

CoreError
├── NotFound          the named thing does not exist in this tenant
├── Conflict          the request contradicts the present state
├── ScopeError        data was touched without, or outside of, a tenant's scope
└── InvalidInput      a value breaks a rule; carries the field
"""

from __future__ import annotations


class CoreError(Exception):
    """Root of everything the core raises on purpose."""


class NotFound(CoreError):
    """Raised when the named thing does not exist in the tenant's scope."""


class Conflict(CoreError):
    """Raised when a request contradicts the present state, such as a second open order on one connector."""


class ScopeError(CoreError):
    """Raised when business rows are read or written without a tenant, or for another tenant than the session's."""


class InvalidInput(CoreError):
    """Raised when a value breaks a rule; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
