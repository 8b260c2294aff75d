"""Errors of the profile engine.

ProfileError                 the root; carries the profile's id
├── UnknownProfile           no file of that id ships with the hub and none lies at that path
├── InvalidProfile           the file breaks the schema, extends itself, or patches what is not there
└── ProfileNotAllowed        the profile may not be used so: unverified in production, or outside its validity
"""

from __future__ import annotations


class ProfileError(Exception):
    """Root of everything raised about a profile."""

    def __init__(self, profile_id: str, message: str) -> None:
        super().__init__(f"profile {profile_id}: {message}")
        self.profile_id = profile_id
        self.message = message


class UnknownProfile(ProfileError):
    """Raised when no profile of that id or path exists."""


class InvalidProfile(ProfileError):
    """Raised at load time when the file is not a valid profile."""


class ProfileNotAllowed(ProfileError):
    """Raised when a valid profile may not be used for this link: not verified, or not valid at this time."""
