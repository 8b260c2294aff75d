"""Cards and vehicles at the pile: start requests (0x31, 0xA1), new balances (0x42), and the card list for times without a link (44–48)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from charging_core.money import ZERO
from charging_core.orders.starts.facts import Parallel, ShownBy, StartAsked, StartDecision, StartRefusal
from charging_core.piles.commands import Delivery
from charging_core.piles.events import CardOnPile, CardsTold
from charging_core.piles.ports import CommandKind, PendingCommand
from charging_core.piles.protocols.ykc import mapping
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.dialect import Dialect
from charging_core.piles.protocols.ykc.talk import Talk
from charging_core.piles.writers import CallJob, Room

KINDS = frozenset({CommandKind.BALANCE, CommandKind.SYNC_CARDS, CommandKind.CLEAR_CARDS, CommandKind.QUERY_CARDS})
TOLD_ATTEMPTS = 5
"""Tries to store what a pile says of its cards; it says it once."""
_PARALLEL, _PARALLEL_ANSWER, _ANSWER = 0xA1, 0xA2, 0x32
_SHOWN_BY = MappingProxyType({1: ShownBy.CARD, 3: ShownBy.VIN})
"""Start modes; 2 (an account) is named by the text and not supported by it: it is nobody's."""
_REASONS: Mapping[StartRefusal, int] = MappingProxyType(
    {refusal: number for number, refusal in enumerate(StartRefusal, start=1)}
)
"""01 … 0B of 0x32, in the order of `StartRefusal`."""
_SYNC_PROBLEMS = {1: "bad card format", 2: "no space on the pile"}
_BALANCE_PROBLEMS = {1: "wrong pile code", 2: "wrong card"}


# -- start requests


def start_asked(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x31 or 0xA1: decided in a writer thread, answered by 0x32 or 0xA2. What cannot be decided is refused: somebody is waiting."""
    asked = asked_of(frame, talk.piles[frame.fields["pile_code"]].dialect)

    def answer(decision: StartDecision | None) -> None:
        if frame.fields["pile_code"] in talk.piles:
            _answer(talk, frame, decision or StartDecision(StartRefusal.PILE_DISABLED))

    job = CallJob("start_at_pile", lambda: talk.context.ports.starts.decide(asked), answer)
    if not talk.context.writers.offer(frame.fields["pile_code"], job):
        answer(None)


def asked_of(frame: Frame, dialect: Dialect) -> StartAsked:
    """The request in no protocol's words; `frame` is in textbook form."""
    fields = frame.fields
    by = _SHOWN_BY.get(fields.get("mode", 0), ShownBy.OTHER)
    shown = mapping.known_vin(fields.get("vin")) if by is ShownBy.VIN else fields.get("account")
    typed = fields.get("needs_password") == 1 and "password" in fields
    number = mapping.connector_number(fields["connector_no"])
    return StartAsked(
        connector_code=f"{fields['pile_code']}{number:02d}",
        by=by,
        shown=shown or "",
        pin=bytes.fromhex(fields["password"]) if typed else None,
        parallel=_parallel(frame),
        takes_cards=dialect.cards,
    )


def _parallel(frame: Frame) -> Parallel | None:
    if frame.type != _PARALLEL:
        return None
    return Parallel(frame.fields["parallel_number"], frame.fields.get("role") == 0)


def _answer(talk: Talk, frame: Frame, decision: StartDecision) -> None:
    fields = frame.fields
    answer: dict[str, Any] = {
        "trade_number": decision.trade_number or mapping.NO_TRADE,
        "pile_code": fields["pile_code"],
        "connector_no": fields["connector_no"],
        "logical_card": decision.card or mapping.NO_CARD,
        "balance": mapping.balance_field(decision.balance_yuan),
        "result": int(decision.accepted),
        "reason": 0 if decision.refusal is None else _REASONS[decision.refusal],
    }
    if frame.type == _PARALLEL:
        talk.link.reply(_PARALLEL_ANSWER, {**answer, "parallel_number": fields["parallel_number"]}, frame.sequence)
    else:
        talk.link.reply(_ANSWER, answer, frame.sequence)


# -- commands


def deliver(talk: Talk, delivery: Delivery) -> None:
    """Write a command about cards in its turn."""
    command = delivery.command
    pile = talk.piles.get(command.pile_code)
    if pile is None:
        talk.context.desk.not_written(command)
        return
    frame_type, fields = _FRAMES[command.kind]
    talk.link.send(frame_type, lambda: {"pile_code": command.pile_code, **fields(command, pile.dialect)}, delivery)


def _balance(command: PendingCommand, dialect: Dialect) -> dict[str, Any]:
    card = command.parameters.get("physical_card")
    return {
        "connector_no": mapping.connector_digits(command.connector_no),
        "physical_card": mapping.NO_CARD if card is None else dialect.card(card),
        "balance": mapping.balance_field(command.balance_yuan or ZERO),
    }


def _whole_cards(command: PendingCommand, dialect: Dialect) -> dict[str, Any]:
    listed = command.parameters["cards"]
    cards = [{"logical_card": number, "physical_card": dialect.card(physical)} for number, physical in listed]
    return {"cards": cards}


def _card_numbers(command: PendingCommand, dialect: Dialect) -> dict[str, Any]:
    return {"cards": [{"physical_card": dialect.card(physical)} for _, physical in command.parameters["cards"]]}


_FRAMES: Mapping[CommandKind, tuple[int, Callable[[PendingCommand, Dialect], dict[str, Any]]]] = MappingProxyType(
    {
        CommandKind.BALANCE: (0x42, _balance),
        CommandKind.SYNC_CARDS: (0x44, _whole_cards),
        CommandKind.CLEAR_CARDS: (0x46, _card_numbers),
        CommandKind.QUERY_CARDS: (0x48, _card_numbers),
    }
)


# -- answers


def balance_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x41: 0 is ok here. It names no connector: piles answer in the order in which they were told."""
    code, result = frame.fields["pile_code"], frame.fields["result"]
    connector_no = talk.context.desk.longest_waiting(CommandKind.BALANCE, code)
    detail = "" if result == 0 else _BALANCE_PROBLEMS.get(result, f"the pile refused (result {result})")
    talk.context.desk.answered(CommandKind.BALANCE, code, connector_no, None, result == 0, detail)


def synced(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x43: all cards of the command, or none."""
    code, ok = frame.fields["pile_code"], frame.fields["result"] == 1
    reason = frame.fields.get("reason", 0)
    detail = "" if ok else _SYNC_PROBLEMS.get(reason, f"the pile refused (reason {reason})")
    command = talk.context.desk.answered(CommandKind.SYNC_CARDS, code, 0, None, ok, detail)
    if command is not None:
        told = [CardOnPile(physical, True if ok else None, detail) for _, physical in command.parameters["cards"]]
        _tell(talk, code, told)


def cleared(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x45: each card by itself. The text gives two reasons that both mean "cleared": the flag alone counts."""
    code = frame.fields["pile_code"]
    dialect = talk.piles[code].dialect
    told = [
        CardOnPile(
            dialect.card(entry["physical_card"]),
            False if entry["result"] == 1 else None,
            "" if entry["result"] == 1 else "the pile did not clear it",
        )
        for entry in frame.fields.get("cards", ())
    ]
    kept = sum(card.present is None for card in told)
    detail = f"{kept} of {len(told)} cards not cleared" if kept else ""
    talk.context.desk.answered(CommandKind.CLEAR_CARDS, code, 0, None, not kept, detail)
    _tell(talk, code, told)


def found(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x47: which of the cards it has."""
    code = frame.fields["pile_code"]
    dialect = talk.piles[code].dialect
    entries = frame.fields.get("cards", ())
    told = [CardOnPile(dialect.card(entry["physical_card"]), entry["found"] == 1) for entry in entries]
    there = sum(card.present is True for card in told)
    talk.context.desk.answered(CommandKind.QUERY_CARDS, code, 0, None, True, f"{there} of {len(told)} cards present")
    _tell(talk, code, told)


def _tell(talk: Talk, code: str, cards: list[CardOnPile]) -> None:
    talk.offer(code, CardsTold(code, tuple(cards), talk.link.now()), Room.ALWAYS, TOLD_ATTEMPTS)
