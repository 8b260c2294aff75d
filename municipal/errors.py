"""Errors of the municipal room.

MunicipalError
├── RegulatorInvalid   a regulator link cannot be saved or used: profile, names, keys, codes; `field` names the member
└── UnknownRegulator   no regulator link of that name in this tenant
"""

from __future__ import annotations


class MunicipalError(Exception):
    """Root of everything this room raises on purpose."""


class RegulatorInvalid(MunicipalError):
    """Raised when a regulator link's declaration cannot work."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnknownRegulator(MunicipalError):
    """Raised when a regulator link is asked for by a name that the tenant does not have."""
