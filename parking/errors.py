"""Errors of the parking room.

ParkingError
├── SettingsError         the settings of a park connection do not fit its adapter
├── TransportError        a call to a park did not bring back an answer
│   ├── ConnectFailed     nothing was sent: repeating is always safe
│   ├── TlsFailed         the other side's certificate is not the one we were told to trust
│   ├── ReadTimedOut      sent, no answer in time: the outcome is unknown
│   └── AnswerBroken      sent, the answer broke off or was too large: the outcome is unknown
├── AuthFailed            the park refuses our credentials; no further call may be made with them
└── EventUnreadable       a pushed event is not what the adapter's protocol says

What a vendor refuses for a business reason is a result (`parking.port`), not an error.
"""

from __future__ import annotations


class ParkingError(Exception):
    """Root of everything the parking room raises on purpose."""


class SettingsError(ParkingError):
    """Raised when settings of a connection are unknown, missing or out of range; `problems` lists (member, text)."""

    def __init__(self, adapter: str, problems: list[tuple[str, str]]) -> None:
        super().__init__(f"{adapter}: " + "; ".join(f"{member}: {text}" for member, text in problems))
        self.adapter = adapter
        self.problems = problems


class TransportError(ParkingError):
    """Root of the calls that brought no answer."""


class ConnectFailed(TransportError):
    """Raised when no connection could be made, so that nothing was sent."""


class TlsFailed(TransportError):
    """Raised when the certificate is not signed by the configured CA or is not the pinned one."""


class ReadTimedOut(TransportError):
    """Raised when a request was sent and no answer came in time; whether it was carried out is unknown."""


class AnswerBroken(TransportError):
    """Raised when an answer broke off or passed the size limit; whether the request was carried out is unknown."""


class AuthFailed(ParkingError):
    """Raised when a park refuses our credentials, and by every later call with them: devices lock the account."""


class EventUnreadable(ParkingError):
    """Raised when a pushed event cannot be read; `reason` is a short stable word for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
