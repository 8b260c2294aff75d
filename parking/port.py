"""The port of a car park: what an adapter offers and the neutral objects that pass through it (`specs/parking.md` section 8).

An adapter declares `Capabilities` and implements the protocol of each role that they name: `GrantGiver`, `StayFinder`, `GateKeeper`,
`PassageSource`. Nothing else may be asked of it. Every call that leaves the house returns a result with an `Outcome`, and a
`Trace` of what was said, already masked; a refusal of the vendor is a result, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

from parking.plates import Plate


class Outcome(StrEnum):
    """What became of one call, and with it whether repeating it makes sense.

    `RETRYABLE` was certainly not carried out; `TIMEOUT` and `UNKNOWN` may have been; `PERMANENT` is our own mistake;
    `CONFIGURATION` waits for a person (keys, rights, ids, certificates).
    """

    OK = "ok"
    BUSINESS_REFUSED = "business_refused"
    RETRYABLE = "retryable"
    PERMANENT = "permanent"
    CONFIGURATION = "configuration"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


class BenefitKind(StrEnum):
    """What a grant gives. The unit of its value: minutes, yuan, percent *off*; the last two have none."""

    MINUTES = "minutes"
    AMOUNT = "amount"
    PERCENT = "percent"
    ALL_FREE = "all_free"
    PARK_DECIDES = "park_decides"


@dataclass(frozen=True, slots=True)
class Benefit:
    """A parking benefit. Minutes are whole, amounts are yuan at the fen, percent is above 0 and up to 100 and means "off"."""

    kind: BenefitKind
    value: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.kind in (BenefitKind.ALL_FREE, BenefitKind.PARK_DECIDES):
            return
        step = Decimal("0.01") if self.kind is BenefitKind.AMOUNT else Decimal(1)
        if self.value <= 0 or self.value % step != 0:
            raise ValueError(f"a benefit of {self.kind} is a positive multiple of {step}, not {self.value}")
        if self.kind is BenefitKind.PERCENT and self.value > 100:
            raise ValueError("a benefit of percent is at most 100")


@dataclass(frozen=True, slots=True)
class Trace:
    """One exchange as it may be kept and shown: personal data and secrets are already masked."""

    request_text: str
    answer_text: str = ""
    http_status: int | None = None
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """An order to an adapter: give `benefit` to `plate`. `idempotency_key` is the same on every repetition."""

    idempotency_key: str
    plate: Plate
    benefit: Benefit
    valid_from: datetime
    valid_until: datetime


class GrantState(StrEnum):
    """`REJECTED`: certainly not granted (the outcome says whether later may help). `UNKNOWN`: repeat with the same key."""

    GRANTED = "granted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GrantResult:
    """The answer to a `Grant`. `code` is the vendor's own; `vendor_ref` is what a person finds it by at the vendor."""

    state: GrantState
    outcome: Outcome
    trace: Trace
    code: str = ""
    message: str = ""
    vendor_ref: str | None = None


@dataclass(frozen=True, slots=True)
class StayInfo:
    """A car that the park system says is inside."""

    stay_ref: str
    plate: Plate
    entered_at: datetime | None


@dataclass(frozen=True, slots=True)
class StayResult:
    """The answer to "is this plate inside": `stay` is None with outcome `ok` when it is not."""

    outcome: Outcome
    trace: Trace
    stay: StayInfo | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """A bill in yuan. `due` is what is still to be paid now, `total` the whole fee, `reduced` and `paid` are parts of it."""

    bill_ref: str
    stay_ref: str | None
    due: Decimal
    reduced: Decimal
    paid: Decimal
    total: Decimal
    entered_at: datetime | None
    coupon_used: bool


@dataclass(frozen=True, slots=True)
class QuoteResult:
    """The answer to "what does this plate owe": `quote` is None with outcome `ok` when there is no fee (`NO_FEE`)."""

    outcome: Outcome
    trace: Trace
    quote: Quote | None = None
    code: str = ""
    message: str = ""


class GateAction(StrEnum):
    """What can be asked of a barrier."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class GateCommand:
    """One command to the barrier of a connection's lane. After `expires_at` it may no longer be sent: the car is another one."""

    action: GateAction
    expires_at: datetime


class GateState(StrEnum):
    """`ACCEPTED_UNCONFIRMED`: the device took it; barriers do not report their position. `UNCONFIRMED`: no usable answer."""

    ACCEPTED_UNCONFIRMED = "accepted_unconfirmed"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What became of a gate command. `method` is the way that worked; `traces` has every attempt in order."""

    state: GateState
    outcome: Outcome
    code: str = ""
    message: str = ""
    method: str | None = None
    traces: tuple[Trace, ...] = ()


class PassageKind(StrEnum):
    """`*_SEEN` is a plate read at a lane; `ENTERED` and `EXITED` say that the car passed."""

    ENTRY_SEEN = "entry_seen"
    ENTERED = "entered"
    EXIT_SEEN = "exit_seen"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came with an event. The bytes are never logged."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PassageEvent:
    """A car at a lane. `occurred_at` is the device's clock, `received_at` ours; both are kept (7.5 "clock wrong on device").

    `is_replay` marks what the device buffered while it was cut off: history only, never a reason to move a barrier.
    """

    kind: PassageKind
    connection_id: str
    lane_ref: str
    plate_raw: str = field(repr=False)
    plate: Plate | None
    occurred_at: datetime
    received_at: datetime
    is_replay: bool
    source_event_id: str | None = None
    device_ref: str | None = None
    plate_color: str | None = None
    confidence: Decimal | None = None
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class InboundPush:
    """An HTTP request that a park sent to a connection's inbound path."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a connection works. `clock_skew_s` is device time minus ours, None where the device does not tell."""

    outcome: Outcome
    message: str
    trace: Trace
    clock_skew_s: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connection offers, given its settings. Empty sets and False mean: that role is not implemented."""

    grant_kinds: frozenset[BenefitKind] = frozenset()
    idempotent_by: str | None = None
    finds_stays: bool = False
    gate_actions: frozenset[GateAction] = frozenset()
    passage_kinds: frozenset[PassageKind] = frozenset()


@runtime_checkable
class ParkingAdapter(Protocol):
    """One connection to one park. Thread-safe; keeps its HTTP connections until `close`."""

    @property
    def capabilities(self) -> Capabilities:
        """What this connection offers."""
        ...  # pragma: no cover

    def health(self) -> Health:
        """One cheap authenticated call."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Give back sockets."""
        ...  # pragma: no cover


@runtime_checkable
class GrantGiver(Protocol):
    """Role: gives parking benefits."""

    def grant(self, grant: Grant) -> GrantResult:
        """Ask the park for a benefit. Safe to repeat with the same key where `idempotent_by` is set."""
        ...  # pragma: no cover


@runtime_checkable
class StayFinder(Protocol):
    """Role: knows which cars are inside and what they owe."""

    def find_stay(self, plate: Plate) -> StayResult:
        """The stay of exactly this plate."""
        ...  # pragma: no cover

    def quote(self, plate: Plate) -> QuoteResult:
        """The bill of this plate as of now; changes nothing."""
        ...  # pragma: no cover


@runtime_checkable
class GateKeeper(Protocol):
    """Role: moves one barrier."""

    def operate(self, command: GateCommand) -> GateResult:
        """Carry the command out now or not at all; never raises for what the device does."""
        ...  # pragma: no cover


@runtime_checkable
class PassageSource(Protocol):
    """Role: reads what its devices push."""

    def read_push(self, push: InboundPush) -> PassageEvent | None:
        """The passage in a push, None for life signs and foreign events. Raises `EventUnreadable`."""
        ...  # pragma: no cover
