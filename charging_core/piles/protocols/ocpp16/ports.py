"""What an OCPP conversation is given beyond the ports of every pile (`piles.ports`). Called in writer threads; may block and raise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from charging_core.piles.events import PileLogin, TradeRecord
from charging_core.piles.protocols.ocpp16.mapping import Start, Stop

TAG_DIGITS = 18
"""A one-time idTag is the trade number of its order without the pile's code: connector, time, chance; 20 characters is the most."""


def one_time_tag(trade_number: str) -> str:
    """The idTag that a remote start carries, and by which its StartTransaction is known again."""
    return trade_number[-TAG_DIGITS:]


@dataclass(frozen=True, slots=True)
class Knock:
    """What became of a knock: the pile behind the identity, or why it is not let in (a constant word)."""

    pile_code: str | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A transaction that has not ended, as it stands."""

    transaction_id: int
    connector_no: int
    trade_number: str
    started_at: datetime
    meter_start_wh: int
    energy_wh: Decimal
    """Counted by the last sample that was stored."""
    sampled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Begun:
    """A StartTransaction is on disk. `accepted`: an order waits for it or is charged by it; `over`: it had ended already."""

    running: Running
    accepted: bool
    over: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A StopTransaction is understood: its record, to be stored before it is answered, and the transaction if it is known."""

    record: TradeRecord
    running: Running | None


class OcppBook(Protocol):
    """The hub's memory of charge points and transactions."""

    def knock(self, identity: str, password: str | None, login: PileLogin) -> Knock:
        """Whether this identity may connect, and as which pile; a refusal is listed."""
        ...  # pragma: no cover

    def running(self, pile_code: str) -> Sequence[Running]:
        """Transactions of the pile that have not ended, oldest first."""
        ...  # pragma: no cover

    def tag_accepted(self, pile_code: str, id_tag: str) -> bool:
        """Whether an order waits for a transaction with this one-time tag."""
        ...  # pragma: no cover

    def begin(self, pile_code: str, start: Start, received_at: datetime) -> Begun:
        """Give the transaction its number; a repeat gets the one it got before."""
        ...  # pragma: no cover

    def end(self, pile_code: str, stop: Stop, raw: str, counted_wh: Decimal | None, received_at: datetime) -> Ended:
        """Close the transaction and make its record; a repeat makes the same one again.

        `counted_wh` is what the samples of this connection counted, for a meter that went backwards.
        """
        ...  # pragma: no cover
