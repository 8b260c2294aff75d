"""An inbound call, and what its way through the checks proved; afterwards it is the record of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from partners.tcec102 import masking
from partners.tcec102.envelope import RequestEnvelope
from partners.tcec102.errors import Refusal
from partners.tcec102.exchanges import Direction
from partners.tcec102.keys import KeySet
from partners.tcec102.ports import InboundLink

if TYPE_CHECKING:
    from partners.tcec102.receive import Door


@dataclass(slots=True)
class InboundCall:
    """What came in by HTTP. ``problem`` is set, and ``body`` empty, when the body was refused while it was being read."""

    base: str
    interface: str
    body: bytes = field(repr=False)
    authorization: str | None = field(default=None, repr=False)
    remote: str = ""
    problem: Refusal | None = None


class Visit:
    """One call on its way through the checks. What a check proved stays here for the next ones.

    Once it is finished it is an ``exchanges.Exchange``.
    """

    __slots__ = (
        "answer", "at", "body", "call", "door", "duration_ms", "envelope", "failed_check", "keys", "link", "msg", "name", "payload",
        "ret", "started", "token_proven",
    )  # fmt: skip

    def __init__(self, call: InboundCall, door: Door, at: datetime) -> None:
        self.call = call
        self.door = door
        self.started = time.perf_counter()
        self.at = at
        self.name = call.interface
        self.envelope: RequestEnvelope | None = None
        self.link: InboundLink | None = None
        self.keys: KeySet | None = None
        self.body: Any = None
        self.answer: Any = None
        self.payload = b""
        self.token_proven = False
        self.ret: int | None = None
        self.msg = ""
        self.failed_check = ""
        self.duration_ms = 0.0

    def __repr__(self) -> str:
        return f"Visit({self.name}, link={self.link_id}, ret={self.ret})"

    @property
    def open(self) -> bool:
        """Has nothing refused it yet?"""
        return self.ret is None

    def refuse(self, refusal: Refusal) -> None:
        """End the call with a code of the protocol."""
        self.ret, self.msg, self.failed_check = refusal.ret, refusal.msg, refusal.check

    # ------------------------------------------------------------------------------------------------- as a record

    @property
    def direction(self) -> Direction:
        """They called."""
        return Direction.IN

    @property
    def interface(self) -> str:
        """Its name in the contract, as far as it is known."""
        return self.name

    @property
    def path(self) -> str:
        """As it was called."""
        return self.call.base + self.call.interface

    @property
    def http_status(self) -> int:
        """Always 200."""
        return 200

    @property
    def link_id(self) -> str | None:
        """The link whose operator called; none while it is unknown."""
        return self.link.link_id if self.link else None

    @property
    def operator_id(self) -> str:
        """Who they say they are."""
        return self.envelope.operator_id if self.envelope else ""

    @property
    def remote(self) -> str:
        """Address of the caller."""
        return self.call.remote

    @property
    def request_raw(self) -> bytes:
        """The request as it went over the wire; plain business content in it is masked."""
        return masking.mask_raw(self.call.body)

    @property
    def request_body(self) -> Any:
        """The opened request, masked; None when it was never opened."""
        return masking.mask(self.body)

    @property
    def reply_raw(self) -> bytes:
        """The answer as it went over the wire, masked likewise."""
        return masking.mask_raw(self.payload)

    @property
    def reply_body(self) -> Any:
        """The opened answer, masked; None when there is none."""
        return masking.mask(self.answer)
