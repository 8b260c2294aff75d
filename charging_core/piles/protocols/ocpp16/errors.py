"""What the OCPP 1.6J part may raise.

PileError
└── OcppError
    ├── BadMessage     what a pile sent is no OCPP-J frame, or lacks what its action cannot do without
    └── BadOption      `protocol_options` of a pile that nobody can read
"""

from charging_core.piles.errors import PileError


class OcppError(PileError):
    """Root of the errors of this protocol; never raised itself."""


class BadMessage(OcppError):
    """`code` is OCPP's own error code, `message_id` the id to answer, none where it could not be read."""

    def __init__(self, code: str, problem: str, message_id: str | None = None) -> None:
        super().__init__(f"{code}: {problem}")
        self.code = code
        self.problem = problem
        self.message_id = message_id


class BadOption(OcppError):
    """Raised for an unknown protocol option or a value of no use; says which."""
