"""What the pile server is given. The hub implements these on the database and Redis; none is ever called in the event loop.

Every method may block and may raise; the server logs and counts the error and goes on. They are called from several threads.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from charging_core.orders.starts.facts import StartAsked, StartDecision, StartRefusal
from charging_core.piles.errors import BadTariff
from charging_core.piles.events import PileEvent, PileLogin

RATE_COUNT = 4
SLOT_COUNT = 48


@dataclass(frozen=True, slots=True)
class RatePrice:
    """Prices of one rate, yuan per kWh."""

    energy: Decimal
    service: Decimal


@dataclass(frozen=True, slots=True)
class PileTariff:
    """A tariff as piles can express it: four price pairs (尖 峰 平 谷) and the rate 0…3 of each half hour of the day.

    `model_number` is 4 hexadecimal digits, changes whenever the content changes, and is never 0000 ("the pile has none").
    Raises `BadTariff` when it does not have this shape.
    """

    model_number: str
    prices: tuple[RatePrice, RatePrice, RatePrice, RatePrice]
    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        """Checks the shape."""
        if (
            len(self.model_number) != 4
            or set(self.model_number) - set("0123456789ABCDEF")
            or self.model_number == "0000"
        ):
            raise BadTariff(f"计费模型编号应为 4 位十六进制数且非 0000; bad model number {self.model_number!r}")
        if len(self.prices) != RATE_COUNT or len(self.slots) != SLOT_COUNT:
            raise BadTariff("计费模型需要 4 组价格和 48 个时段; a model takes 4 price pairs and 48 slots")
        if set(self.slots) - set(range(RATE_COUNT)):
            raise BadTariff("时段费率号应为 0…3; slots take rates 0…3")


@dataclass(frozen=True, slots=True)
class PileProfile:
    """How this pile deviates from the default, in the words of its protocol (for YKC: `ykc.dialect.Dialect`)."""

    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoginDecision:
    """What the directory says of a login. `reason` is a constant word, counted when the login is refused."""

    accepted: bool
    reason: str = ""
    tenant_id: str | None = None
    profile: PileProfile = field(default_factory=PileProfile)
    tariff: PileTariff | None = None


class PileDirectory(Protocol):
    """Knows which piles may connect."""

    def login(self, login: PileLogin) -> LoginDecision:
        """Decide, and record: an accepted login makes the pile online with its `connection_id`, a refused one is listed."""
        ...  # pragma: no cover


class PileEventSink(Protocol):
    """Takes pile events into the business."""

    def handle(self, batch: Sequence[PileEvent]) -> None:
        """Store all events of the batch in one durable commit, in order, and return only after the commit.

        Trade records are acknowledged to the pile after this returned, so it must be idempotent by trade number. When it
        raises, nothing of the batch may be stored; the server then tries the events one by one.
        """
        ...  # pragma: no cover


class CommandKind(StrEnum):
    """What a pile can be told."""

    START = "start"
    STOP = "stop"
    READ = "read"
    PUSH_TARIFF = "push_tariff"
    SET_WORK = "set_work"
    """In or out of service, and how much of its power it may give."""
    SYNC_TIME = "sync_time"
    REBOOT = "reboot"
    UPDATE = "update"
    """Fetch and install a firmware."""
    LOCK = "lock"
    """Raise or lower the ground lock of a connector's bay."""
    SET_QR = "set_qr"
    """The text before the pile's code in the QR code on its screen."""
    UNLOCK = "unlock"
    """Let go of the plug of a connector."""
    CONFIGURE = "configure"
    """Set one key of the pile's own configuration, or read it."""
    BALANCE = "balance"
    """How much the payer of a running charge has for it now."""
    SYNC_CARDS = "sync_cards"
    """Put cards on the list that the pile keeps for times without a link."""
    CLEAR_CARDS = "clear_cards"
    """Take cards off that list."""
    QUERY_CARDS = "query_cards"
    """Ask which of some cards are on that list."""


PILE_WIDE = frozenset(
    {
        CommandKind.PUSH_TARIFF,
        CommandKind.SET_WORK,
        CommandKind.SYNC_TIME,
        CommandKind.REBOOT,
        CommandKind.UPDATE,
        CommandKind.SET_QR,
        CommandKind.CONFIGURE,
        CommandKind.SYNC_CARDS,
        CommandKind.CLEAR_CARDS,
        CommandKind.QUERY_CARDS,
    }
)
"""Kinds that concern the pile, not one of its connectors: their answers name none."""


class CommandState(StrEnum):
    """What became of a command. Orders end by their own timers and events, never by a command's state alone."""

    PENDING = "pending"
    """Given back: it was marked sent, but the link ended before it was written (starts only)."""
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    """Refused by the pile, not answered in time, or not written because the link ended."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """One command to one connector or pile; `trade_number` for start and stop, `balance_yuan` for start, as 0.01 yuan.

    `parameters` by kind: set_work `out_of_service`, `max_power_percent`; reboot `when_idle`; lock `raise`; set_qr `prefix`,
    `with_connector`; configure `key`, `value` (none: read it); balance `physical_card`; cards `cards`, a list of [number,
    physical]; start `parallel_number`; update as `store.firmware` makes them. `answer_within_s` none:
    as the server's settings say.
    """

    id: str
    order_id: str | None
    kind: CommandKind
    pile_code: str
    connector_no: int
    trade_number: str | None
    balance_yuan: Decimal | None
    expires_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    answer_within_s: float | None = None


class CommandSource(Protocol):
    """Where commands wait (a table: DECISIONS 21)."""

    def pending(self, pile_codes: Collection[str]) -> Sequence[PendingCommand]:
        """Commands in state pending for these piles, oldest first, expired ones included (they get marked)."""
        ...  # pragma: no cover

    def mark(self, command_id: str, state: CommandState, detail: str) -> bool:
        """Change a command's state. False when its present state forbids it: SENT is granted once, from PENDING only.

        The server writes a command only after SENT was granted, so two servers or a restart never send it twice.
        """
        ...  # pragma: no cover


class TariffSource(Protocol):
    """Which tariff a pile should run."""

    def for_pile(self, pile_code: str) -> PileTariff | None:
        """The model the pile should run now; None when it has none (the pile is then left without an answer)."""
        ...  # pragma: no cover

    def confirmed(self, pile_code: str, model_number: str) -> None:
        """The pile proved that it runs this model: by verifying it (0x05), or by accepting the push (0x57)."""
        ...  # pragma: no cover


class RouteTable(Protocol):
    """Tells other processes which pile server holds a pile (Redis, entries with a TTL). May be lost at any time."""

    def announce(self, pile_codes: Collection[str]) -> None:
        """These piles are connected here; called at login and again before the entries can run out."""
        ...  # pragma: no cover

    def withdraw(self, pile_codes: Collection[str]) -> None:
        """These piles are no longer connected here."""
        ...  # pragma: no cover


class StartDesk(Protocol):
    """Decides whether a card or a vehicle that is shown at a pile may charge there."""

    def decide(self, asked: StartAsked) -> StartDecision:
        """Decide; an acceptance is on disk with its order before this returns. A repeat gets the answer it got before."""
        ...  # pragma: no cover


class NoCards:
    """A `StartDesk` of a house without members: it lets nobody in."""

    def decide(self, asked: StartAsked) -> StartDecision:
        """Refused, as a pile that takes no cards."""
        return StartDecision(StartRefusal.NO_CARDS)


@dataclass(frozen=True, slots=True)
class PilePorts:
    """All ports together."""

    directory: PileDirectory
    sink: PileEventSink
    commands: CommandSource
    tariffs: TariffSource
    routes: RouteTable
    starts: StartDesk = field(default_factory=NoCards)
