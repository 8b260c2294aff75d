"""The charge conversation: status, meter values, transactions, tags — and the remote start and stop of an order.

A StopTransaction is answered only after its record is committed (DECISIONS 22), and always positively then: a pile repeats what is
refused. What could not be stored stays unanswered and comes again.
"""

from dataclasses import replace
from decimal import Decimal

import structlog

from charging_core.piles import metrics
from charging_core.piles.commands import Delivery
from charging_core.piles.events import (
    ConnectorSample,
    PileEvent,
    StartAnswered,
    StartReason,
    StopAnswered,
    StopReason,
)
from charging_core.piles.ports import CommandKind
from charging_core.piles.protocols.ocpp16 import mapping
from charging_core.piles.protocols.ocpp16.frames import Call, Payload
from charging_core.piles.protocols.ocpp16.mapping import Stop, Values
from charging_core.piles.protocols.ocpp16.ports import Begun, Ended, one_time_tag
from charging_core.piles.protocols.ocpp16.talk import KWH_PER_WH, LiveTransaction, Talk
from charging_core.piles.writers import CallJob, EventJob, Room

log = structlog.get_logger()

ANSWER_ATTEMPTS = 5
"""Tries to store an answer to a command; the order's timer stands behind it."""
_MOST_CONNECTORS = 99


def status_told(talk: Talk, call: Call) -> None:
    """StatusNotification: the state of a connector now, whatever its time says; of the whole pile it is noted only."""
    number, status, plugged, faults = mapping.status(call.payload)
    talk.link.answer(call, {})
    if not 1 <= number <= _MOST_CONNECTORS:
        log.info("pile_status", pile_code=talk.code, status=status, faults=faults)
        return
    connector = talk.connector(number)
    connector.status, connector.plugged, connector.faults = status, plugged, faults
    talk.offer(talk.status_sample(number), Room.SAMPLE)


def meter_values(talk: Talk, call: Call) -> None:
    """MeterValues: readings of the transaction that is named, or that runs on the connector (0 and -1 name none)."""
    talk.link.answer(call, {})
    live = _metered(talk, call.payload)
    if live is None:
        metrics.FRAMES_NOT_HANDLED.labels("no_transaction").inc()
        return
    readings = _readings(talk, live, list(mapping.values(call.payload.get("meterValue"))))
    if readings:
        talk.context.writers.offer(talk.code, EventJob(tuple(readings), room=Room.SAMPLE))


def _metered(talk: Talk, payload: Payload) -> LiveTransaction | None:
    named, number = payload.get("transactionId"), payload.get("connectorId")
    if type(named) is int and named > 0:
        return talk.transactions.get(named)
    return talk.on_connector(number) if type(number) is int else None


def _readings(talk: Talk, live: LiveTransaction, values: list[Values]) -> list[ConnectorSample]:
    """Those that are newer than what was seen: a pile repeats what got no answer, and StopTransaction may hold them all again."""
    readings = []
    for one in values:
        at = mapping.believed(one.at, talk.link.now())
        if live.sampled_at is None or at > live.sampled_at:
            readings.append(talk.reading(live, one))
    return readings


# -- transactions


def tag_shown(talk: Talk, call: Call) -> None:
    """Authorize: only tags that we gave out for an order are known here."""
    id_tag = str(call.payload["idTag"])

    def decided(accepted: bool | None) -> None:
        if accepted is None:
            talk.link.refuse(call, "InternalError", "try again")
        else:
            talk.link.answer(call, {"idTagInfo": {"status": _tag_status(accepted=accepted)}})

    job = CallJob("ocpp_tag", lambda: talk.book.tag_accepted(talk.code, id_tag), decided)
    _ask_book(talk, call, job)


def begun(talk: Talk, call: Call) -> None:
    """StartTransaction: numbered on disk before it is answered; a tag that no order waits for is told to be invalid."""
    start, received_at = mapping.start(call.payload), talk.link.now()

    def numbered(found: Begun | None) -> None:
        if found is None:
            talk.link.refuse(call, "InternalError", "try again")
            return
        if not found.over:
            _follow(talk, found)
        info = {"status": _tag_status(accepted=found.accepted)}
        talk.link.answer(call, {"transactionId": found.running.transaction_id, "idTagInfo": info})

    job = CallJob("ocpp_begin", lambda: talk.book.begin(talk.code, start, received_at), numbered)
    _ask_book(talk, call, job)


def _follow(talk: Talk, found: Begun) -> None:
    """The transaction runs from now on: its first reading is the start itself, which proves to its order that it charges."""
    if found.running.transaction_id in talk.transactions:
        return  # a repeat
    live = talk.follow(found.running)
    if live.sampled_at is None:
        talk.offer(talk.reading(live, Values(live.started_at, None)), Room.ANSWERED)


def ended(talk: Talk, call: Call, raw: str) -> None:
    """StopTransaction: the last readings and the record in one commit, then the answer."""
    stop, received_at = mapping.stop(call.payload), talk.link.now()
    running = talk.transactions.get(stop.transaction_id)
    counted = None if running is None else _counted(running, stop)

    def closed(found: Ended | None) -> None:
        if found is None:
            metrics.RECORDS_NOT_ACKNOWLEDGED.labels("not_stored").inc()
            talk.link.refuse(call, "InternalError", "try again")
        else:
            _store(talk, call, found, [*stop.values, Values(stop.told_at, None)])

    raw_hex = raw.encode().hex().upper()
    job = CallJob("ocpp_end", lambda: talk.book.end(talk.code, stop, raw_hex, counted, received_at), closed)
    _ask_book(talk, call, job)


def _counted(live: LiveTransaction, stop: Stop) -> Decimal:
    """What the samples counted up to the stop, for a register that was reset on the way."""
    return replace(live).count(Decimal(stop.meter_wh))


def _store(talk: Talk, call: Call, found: Ended, values: list[Values]) -> None:
    record = found.record

    def stored(done: bool) -> None:
        if done:
            talk.link.answer(call, {})
        else:
            talk.link.leave(call)
            metrics.RECORDS_NOT_ACKNOWLEDGED.labels("not_stored").inc()
            log.error("pile_record_not_stored", pile_code=talk.code, trade_number=record.trade_number)

    events: tuple[PileEvent, ...] = (*_last_readings(talk, found, values), record)
    if not talk.context.writers.offer(talk.code, EventJob(events, stored, room=Room.ANSWERED)):
        talk.link.leave(call)
        metrics.RECORDS_NOT_ACKNOWLEDGED.labels("overloaded").inc()


def _last_readings(talk: Talk, found: Ended, values: list[Values]) -> list[ConnectorSample]:
    """The readings of transactionData that are news, and the end itself; the transaction is over."""
    if found.running is None or found.record.total_energy_kwh is None:
        return []
    live = talk.transactions.pop(found.running.transaction_id, None) or LiveTransaction.of(found.running)
    readings = _readings(talk, live, values[:-1])
    live.energy_wh = found.record.total_energy_kwh / KWH_PER_WH
    return readings + _readings(talk, live, values[-1:])


def _ask_book(talk: Talk, call: Call, job: CallJob) -> None:
    if not talk.context.writers.offer(talk.code, job):
        talk.link.refuse(call, "InternalError", "overloaded, try again")


def _tag_status(*, accepted: bool) -> str:
    return "Accepted" if accepted else "Invalid"


# -- orders' commands


def start(talk: Talk, delivery: Delivery) -> None:
    """RemoteStartTransaction with the one-time tag. Accepted does not mean started; without a plug it means "waits for it"."""
    command = delivery.command
    trade_number = command.trade_number or ""
    number = command.connector_no

    def answered(payload: Payload | None, problem: str) -> None:
        ok = payload is not None and payload.get("status") == "Accepted"
        unplugged = ok and talk.connector(number).plugged is False
        reason = StartReason.NONE if ok else StartReason.OTHER
        detail = "" if ok else problem or "the pile refused"
        talk.context.desk.answered(CommandKind.START, talk.code, number, trade_number, ok, detail)
        told = StartReason.NOT_PLUGGED if unplugged else reason
        event = StartAnswered(trade_number, talk.code, number, ok and not unplugged, told, talk.link.now())
        talk.offer(event, Room.ALWAYS, ANSWER_ATTEMPTS)

    payload = {"connectorId": number, "idTag": one_time_tag(trade_number)}
    talk.link.ask("RemoteStartTransaction", payload, answered, delivery)


def stop(talk: Talk, delivery: Delivery) -> None:
    """RemoteStopTransaction names its transaction, so it cannot stop the next customer. Before it began there is nothing to name."""
    command = delivery.command
    live = talk.trade(command.trade_number)
    if live is None:
        talk.context.desk.refused(command, "the pile has told of no transaction for it")
        return

    def answered(payload: Payload | None, problem: str) -> None:
        ok = payload is not None and payload.get("status") == "Accepted"
        detail = "" if ok else problem or "the pile refused"
        talk.context.desk.answered(CommandKind.STOP, talk.code, command.connector_no, None, ok, detail)
        reason = StopReason.NONE if ok else StopReason.OTHER
        event = StopAnswered(command.trade_number, talk.code, command.connector_no, ok, reason, talk.link.now())
        talk.offer(event, Room.ALWAYS, ANSWER_ATTEMPTS)

    talk.link.ask("RemoteStopTransaction", {"transactionId": live.id}, answered, delivery)
