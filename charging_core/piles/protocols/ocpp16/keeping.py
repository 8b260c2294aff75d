"""Which requests of a conversation are kept for people: those that begin, end or account for a charge, and boots."""

from charging_core.piles.events import FrameSeen
from charging_core.piles.protocols.ocpp16.frames import Payload
from charging_core.piles.protocols.ocpp16.ports import TAG_DIGITS
from charging_core.piles.protocols.ocpp16.talk import Talk
from charging_core.piles.writers import Room

PROTOCOL = "ocpp16"
KEPT = frozenset(
    {"BootNotification", "RemoteStartTransaction", "RemoteStopTransaction", "StartTransaction", "StopTransaction"}
)
_CALL = 2


def keep(talk: Talk, action: str, payload: Payload, raw: str) -> None:
    """Offer a request, of either side, to the writer threads; they may refuse it (P15). Cards' requests name no order and are not kept."""
    if action not in KEPT:
        return
    trade_number = _trade(talk, payload)
    if trade_number is None and action != "BootNotification":
        return
    event = FrameSeen(talk.code, None, trade_number, PROTOCOL, _CALL, raw.encode().hex(), talk.link.now())
    talk.offer(event, Room.SAMPLE)


def _trade(talk: Talk, payload: Payload) -> str | None:
    """By our number of the transaction, else by the one-time tag."""
    number, tag = payload.get("transactionId"), payload.get("idTag")
    if type(number) is int and number in talk.transactions:
        return talk.transactions[number].trade_number
    return talk.code + tag if isinstance(tag, str) and len(tag) == TAG_DIGITS else None
