"""The charge conversation: samples, trade records, commands and their answers."""

import structlog

from charging_core.piles import metrics
from charging_core.piles.commands import Delivery
from charging_core.piles.events import StartAnswered, StopAnswered
from charging_core.piles.ports import CommandKind
from charging_core.piles.protocols.ykc import cards, device, mapping, tariff
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.talk import Talk
from charging_core.piles.writers import EventJob, Room

log = structlog.get_logger()

ANSWER_ATTEMPTS = 5
"""Tries to store an answer to a command; the order's timer stands behind it."""


def sampled(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x13: never answered; serves a waiting read command."""
    sample = mapping.sample(frame, talk.link.now())
    talk.context.desk.answered(CommandKind.READ, sample.pile_code, sample.connector_no, None, ok=True)
    talk.offer(sample.pile_code, sample, Room.SAMPLE)


def recorded(talk: Talk, frame: Frame, raw: bytes) -> None:
    """Stored first, acknowledged after (P1); exactly one 0x40 per record received, always with result 0 (P2)."""
    record = mapping.record(frame, raw, talk.link.now())

    def stored(done: bool) -> None:
        if not done:
            metrics.RECORDS_NOT_ACKNOWLEDGED.labels("not_stored").inc()
            log.error("pile_record_not_stored", pile_code=record.pile_code, trade_number=record.trade_number)
        elif record.pile_code in talk.piles:
            talk.link.reply(0x40, {"trade_number": record.trade_number, "result": 0}, frame.sequence)

    if not talk.context.writers.offer(record.pile_code, EventJob((record,), stored, room=Room.ANSWERED)):
        metrics.RECORDS_NOT_ACKNOWLEDGED.labels("overloaded").inc()


def deliver(talk: Talk, delivery: Delivery) -> None:
    """Write a command in its turn."""
    command = delivery.command
    where = {"pile_code": command.pile_code, "connector_no": mapping.connector_digits(command.connector_no)}
    match command.kind:
        case CommandKind.START:
            talk.link.send(mapping.start_type(command), lambda: mapping.start_fields(command), delivery)
        case CommandKind.STOP:
            talk.link.send(0x36, lambda: where, delivery)
        case CommandKind.READ:
            talk.link.send(0x12, lambda: where, delivery)
        case CommandKind.PUSH_TARIFF:
            tariff.push(talk, delivery)
        case kind if kind in cards.KINDS:
            cards.deliver(talk, delivery)
        case _:
            device.deliver(talk, delivery)


def start_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x33 (0xA3 of a parallel charge): matched by pile, connector and trade number; "not plugged in" is not the last word."""
    fields = frame.fields
    code, connector_no = fields["pile_code"], mapping.connector_number(fields["connector_no"])
    ok, reason = fields["result"] == 1, mapping.start_reason(fields["reason"])
    final = ok or fields["reason"] != mapping.UNPLUGGED_REASON
    trade_number = fields["trade_number"]
    talk.context.desk.answered(
        CommandKind.START, code, connector_no, trade_number, ok if final else None, "" if ok else reason
    )
    event = StartAnswered(trade_number, code, connector_no, ok, reason, talk.link.now())
    talk.offer(code, event, Room.ALWAYS, ANSWER_ATTEMPTS)


def stop_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x35: matched by pile and connector, for it carries no trade number."""
    fields = frame.fields
    code, connector_no = fields["pile_code"], mapping.connector_number(fields["connector_no"])
    ok, reason = fields["result"] == 1, mapping.stop_reason(fields["reason"])
    command = talk.context.desk.answered(CommandKind.STOP, code, connector_no, None, ok, "" if ok else reason)
    trade_number = command.trade_number if command else None
    event = StopAnswered(trade_number, code, connector_no, ok, reason, talk.link.now())
    talk.offer(code, event, Room.ALWAYS, ANSWER_ATTEMPTS)
