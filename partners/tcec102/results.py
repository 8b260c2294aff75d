"""What a call of ours brought back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from partners.tcec102.errors import RET_OK


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP request of the client and what came back; also carried by the client's exceptions.

    The raw texts are envelopes, hence encrypted; ``reply_raw`` is empty when nothing came.
    """

    interface: str
    url: str
    request_raw: bytes = field(repr=False)
    reply_raw: bytes = field(repr=False, default=b"")
    http_status: int | None = None
    duration_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class CallResult:
    """An answer with an envelope. A ``ret`` other than 0 is a result here, not an exception: look at it.

    ``body`` is the opened answer in the standard's form; with ``ret`` other than 0 it is what the partner sent, if anything,
    unchecked. ``verified`` says whether the answer's signature was proven.
    """

    ret: int
    msg: str
    body: dict[str, Any] | None = field(repr=False)
    http_status: int
    duration_ms: float
    request_raw: bytes = field(repr=False)
    reply_raw: bytes = field(repr=False)
    verified: bool = True

    @property
    def ok(self) -> bool:
        """Was the envelope accepted? The business result is inside ``body`` (SuccStat, Status, ConfirmResult)."""
        return self.ret == RET_OK
