"""What the parts of one OCPP conversation share: the link, the server's parts, and what is known of the pile's connectors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from charging_core.piles.commands import Delivery
from charging_core.piles.context import PileContext
from charging_core.piles.events import ConnectorSample, ConnectorStatus, PileEvent
from charging_core.piles.protocols.ocpp16.frames import Call, Payload
from charging_core.piles.protocols.ocpp16.mapping import Values, believed
from charging_core.piles.protocols.ocpp16.options import USUAL, Options
from charging_core.piles.protocols.ocpp16.ports import OcppBook, Running
from charging_core.piles.registry import PileLink
from charging_core.piles.writers import EventJob, Room

MOST_RUNNING = 16
"""Transactions followed at once; a pile has a few connectors, but may owe us some ends."""
LIVE_WITHIN = timedelta(minutes=2)
"""A sample older than this was queued while the pile was off-line: it belongs to its charge and says nothing about now."""
KWH_PER_WH = Decimal("0.001")
_SECONDS_PER_MINUTE = 60

Answered = Callable[[Payload | None, str], None]
"""Takes the answer to a request of ours; none with the reason when it was refused as a whole (CALLERROR) or never came."""


class OcppLink(PileLink, Protocol):
    """What a conversation needs of its connection."""

    address: str
    closing: bool

    def answer(self, call: Call, payload: Payload) -> None:
        """Answer a request of the pile."""
        ...  # pragma: no cover

    def refuse(self, call: Call, code: str, text: str) -> None:
        """Answer a request by CALLERROR."""
        ...  # pragma: no cover

    def leave(self, call: Call) -> None:
        """Give no answer: the pile sends it again, perhaps under the same id."""
        ...  # pragma: no cover

    def ask(self, action: str, payload: Payload, answered: Answered, delivery: Delivery | None = None) -> None:
        """Send a request when the one before it is answered."""
        ...  # pragma: no cover

    def close(self, reason: str) -> None:
        """Send what waits, then close."""
        ...  # pragma: no cover

    def now(self) -> datetime:
        """Receive time."""
        ...  # pragma: no cover


@dataclass(slots=True)
class LiveTransaction:
    """A transaction as this connection follows it; the register may be reset on the way, the count goes on."""

    id: int
    connector_no: int
    trade_number: str
    started_at: datetime
    energy_wh: Decimal
    sampled_at: datetime | None
    register_wh: Decimal | None
    """As shown last; none after a reconnect that found samples: what was counted before is `energy_wh`."""
    meter_start_wh: int

    @classmethod
    def of(cls, running: Running) -> "LiveTransaction":
        """As the book has it."""
        register = Decimal(running.meter_start_wh) + running.energy_wh
        return cls(
            running.transaction_id,
            running.connector_no,
            running.trade_number,
            running.started_at,
            running.energy_wh,
            running.sampled_at,
            register,
            running.meter_start_wh,
        )

    def count(self, register_wh: Decimal) -> Decimal:
        """Energy in Wh since the start. A register below the one before began again at zero."""
        before = self.register_wh if self.register_wh is not None else Decimal(self.meter_start_wh)
        self.energy_wh += register_wh - before if register_wh >= before else register_wh
        self.register_wh = register_wh
        return self.energy_wh


@dataclass(slots=True)
class ConnectorNow:
    """A connector as it was told last."""

    status: ConnectorStatus = ConnectorStatus.UNKNOWN
    plugged: bool | None = None
    faults: tuple[str, ...] = ()
    last: Values | None = None


@dataclass(slots=True)
class Talk:
    """One pile's conversation."""

    context: PileContext
    link: OcppLink
    book: OcppBook
    code: str
    options: Options = USUAL
    connectors: dict[int, ConnectorNow] = field(default_factory=dict)
    transactions: dict[int, LiveTransaction] = field(default_factory=dict)
    """By our number, oldest first. A pile may begin one before it tells of the end of another; only the newest is believed to run."""

    def connector(self, number: int) -> ConnectorNow:
        """What is known of a connector; numbers that no pile has are not remembered beyond 99."""
        return self.connectors.setdefault(number, ConnectorNow())

    def follow(self, running: Running) -> LiveTransaction:
        """Keep count of a transaction from now on; the oldest of too many is let go."""
        live = self.transactions[running.transaction_id] = LiveTransaction.of(running)
        while len(self.transactions) > MOST_RUNNING:
            del self.transactions[next(iter(self.transactions))]
        return live

    def on_connector(self, number: int) -> LiveTransaction | None:
        """The newest transaction of a connector that has not ended."""
        return next((one for one in reversed(self.transactions.values()) if one.connector_no == number), None)

    def trade(self, trade_number: str | None) -> LiveTransaction | None:
        """The transaction that runs for a trade number."""
        return next((one for one in self.transactions.values() if one.trade_number == trade_number), None)

    def offer(self, event: PileEvent, room: Room, attempts: int = 1) -> None:
        """Hand an event to the writer threads."""
        self.context.writers.offer(self.code, EventJob((event,), attempts=attempts, room=room))

    def status_sample(self, number: int) -> ConnectorSample:
        """The connector's state, without a trade: what a state is told for is never a charge's reading."""
        return self._sample(number, self.connector(number), None, self.link.now())

    def reading(self, live: LiveTransaction, values: Values) -> ConnectorSample:
        """A reading of a charge, at the pile's own time."""
        connector = self.connector(live.connector_no)
        at = max(believed(values.at, self.link.now()), live.started_at)
        if values.register_wh is not None:
            live.count(values.register_wh)
        live.sampled_at = at
        connector.last = values
        return self._sample(live.connector_no, connector, live, at)

    def _sample(self, number: int, now: ConnectorNow, live: LiveTransaction | None, at: datetime) -> ConnectorSample:
        received_at, last = self.link.now(), now.last
        minutes = None if live is None else int((at - live.started_at).total_seconds()) // _SECONDS_PER_MINUTE
        return ConnectorSample(
            pile_code=self.code,
            connector_no=number,
            trade_number=None if live is None else live.trade_number,
            status=now.status if live is None else ConnectorStatus.CHARGING,
            plugged=now.plugged if live is None else True,
            voltage_v=last.voltage_v if last else None,
            current_a=last.current_a if last else None,
            soc=last.soc if last else None,
            energy_kwh=None if live is None else live.energy_wh * KWH_PER_WH,
            energy_with_loss_kwh=None,
            amount_yuan=None,
            minutes_charged=minutes,
            minutes_remaining=None,
            faults=now.faults,
            received_at=received_at,
            measured_at=None if live is None else at,
            live=received_at - at <= LIVE_WITHIN,
        )
