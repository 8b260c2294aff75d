"""The order's states as one table (`specs/ykc.md` section 7). A pair that is not in the table changes nothing: orders never go back."""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    """Where an order is in its life."""

    CREATED = "created"
    STARTING = "starting"
    WAIT_PLUG = "wait_plug"
    ACCEPTED = "accepted"
    CHARGING = "charging"
    STOPPING = "stopping"
    ENDED_NO_RECORD = "ended_no_record"
    SETTLED = "settled"
    FAILED = "failed"
    ABNORMAL = "abnormal"


class OrderEvent(StrEnum):
    """What can happen to an order. A `RECORD` carries energy, an `EMPTY_RECORD` does not."""

    COMMAND_SENT = "command_sent"
    NOT_DELIVERED = "not_delivered"
    START_OK = "start_ok"
    START_NEEDS_PLUG = "start_needs_plug"
    START_REFUSED = "start_refused"
    START_TIMED_OUT = "start_timed_out"
    CHARGING_SEEN = "charging_seen"
    STOP_ASKED = "stop_asked"
    STOP_DONE = "stop_done"
    IDLE_SEEN = "idle_seen"
    NEVER_STARTED = "never_started"
    RECORD = "record"
    EMPTY_RECORD = "empty_record"
    RECORD_TIMED_OUT = "record_timed_out"


S, E = OrderState, OrderEvent

OPEN_STATES = frozenset({S.CREATED, S.STARTING, S.WAIT_PLUG, S.ACCEPTED, S.CHARGING, S.STOPPING, S.ENDED_NO_RECORD})
"""States in which the connector belongs to the order."""

BEFORE_CHARGE = (S.CREATED, S.STARTING, S.WAIT_PLUG, S.ACCEPTED)

_BEFORE = {
    E.START_REFUSED: S.FAILED,
    E.START_TIMED_OUT: S.FAILED,
    E.NOT_DELIVERED: S.FAILED,
    E.CHARGING_SEEN: S.CHARGING,
    E.STOP_ASKED: S.STOPPING,
    E.RECORD: S.SETTLED,
    E.EMPTY_RECORD: S.FAILED,
}

TABLE: dict[OrderState, dict[OrderEvent, OrderState]] = {
    S.CREATED: _BEFORE | {E.COMMAND_SENT: S.STARTING, E.START_OK: S.ACCEPTED, E.START_NEEDS_PLUG: S.WAIT_PLUG},
    S.STARTING: _BEFORE | {E.START_OK: S.ACCEPTED, E.START_NEEDS_PLUG: S.WAIT_PLUG},
    S.WAIT_PLUG: _BEFORE | {E.START_OK: S.ACCEPTED},
    S.ACCEPTED: dict(_BEFORE),
    S.CHARGING: {
        E.STOP_ASKED: S.STOPPING,
        E.IDLE_SEEN: S.ENDED_NO_RECORD,
        E.RECORD: S.SETTLED,
        E.EMPTY_RECORD: S.SETTLED,
        E.RECORD_TIMED_OUT: S.ABNORMAL,
    },
    S.STOPPING: {
        E.IDLE_SEEN: S.ENDED_NO_RECORD,
        E.STOP_DONE: S.ENDED_NO_RECORD,
        E.NEVER_STARTED: S.FAILED,
        E.NOT_DELIVERED: S.FAILED,
        E.START_REFUSED: S.FAILED,
        E.RECORD: S.SETTLED,
        E.EMPTY_RECORD: S.SETTLED,
        E.RECORD_TIMED_OUT: S.ABNORMAL,
    },
    S.ENDED_NO_RECORD: {E.RECORD: S.SETTLED, E.EMPTY_RECORD: S.SETTLED, E.RECORD_TIMED_OUT: S.ABNORMAL},
    S.ABNORMAL: {E.RECORD: S.SETTLED, E.EMPTY_RECORD: S.SETTLED},
    S.FAILED: {E.RECORD: S.SETTLED},
    S.SETTLED: {},
}


def advance(state: OrderState, happened: OrderEvent) -> OrderState | None:
    """The state after `happened`, or none when it changes nothing here."""
    return TABLE[state].get(happened)


_PARTNER_STAT = {
    **dict.fromkeys((S.CREATED, S.STARTING, S.WAIT_PLUG, S.ACCEPTED), 1),
    S.CHARGING: 2,
    S.STOPPING: 3,
    **dict.fromkeys((S.ENDED_NO_RECORD, S.SETTLED, S.FAILED, S.ABNORMAL), 4),
}


def partner_stat(state: OrderState) -> int:
    """StartChargeSeqStat of T/CEC 102: 1 starting, 2 charging, 3 stopping, 4 ended (DECISIONS 15)."""
    return _PARTNER_STAT[state]
