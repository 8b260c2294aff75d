"""The states of a charge at another operator's pile, as one table (`specs/tcec102.md` 12.3). Pure.

Messages overtake each other and are repeated. A pair that is not in the table changes nothing: an order never goes back, 4 is final, 5 says
nothing. A bill is taken at any time, for days, whatever the order seemed to be.
"""

from __future__ import annotations

from enum import StrEnum


class RoamingState(StrEnum):
    """Where a roaming order is in its life.

    `unsure`: asked, but whether the pile charges is not known. `refused`: the other side did not take the start. `failed`: the pile did
    not begin. `ended`: over, its bill is awaited. `disputed`: its bill contradicts itself or what was agreed; a corrected one is awaited.
    """

    ASKED = "asked"
    UNSURE = "unsure"
    STARTING = "starting"
    CHARGING = "charging"
    STOPPING = "stopping"
    ENDED = "ended"
    REFUSED = "refused"
    FAILED = "failed"
    DISPUTED = "disputed"
    BILLED = "billed"


class Happened(StrEnum):
    """What can happen to a roaming order. `SEEN_…` are the codes 1 to 4 of StartChargeSeqStat, wherever they come from."""

    START_ACCEPTED = "start_accepted"
    START_REFUSED = "start_refused"
    NO_WORD = "no_word"
    SEEN_STARTING = "seen_starting"
    SEEN_CHARGING = "seen_charging"
    SEEN_STOPPING = "seen_stopping"
    SEEN_ENDED = "seen_ended"
    NOT_STARTED = "not_started"
    STOP_ACCEPTED = "stop_accepted"
    BILL_GOOD = "bill_good"
    BILL_BAD = "bill_bad"


S, H = RoamingState, Happened

FINAL_STATES = frozenset({S.BILLED})
OPEN_STATES = frozenset({S.ASKED, S.UNSURE, S.STARTING, S.CHARGING, S.STOPPING})
"""States in which the driver may still be charging."""

_BILL = {H.BILL_GOOD: S.BILLED, H.BILL_BAD: S.DISPUTED}
_CHARGES = {H.SEEN_CHARGING: S.CHARGING, H.SEEN_STOPPING: S.STOPPING, H.SEEN_ENDED: S.ENDED}
_BEFORE = _CHARGES | _BILL | {H.NOT_STARTED: S.FAILED, H.STOP_ACCEPTED: S.STOPPING}

TABLE: dict[RoamingState, dict[Happened, RoamingState]] = {
    S.ASKED: _BEFORE
    | {H.START_ACCEPTED: S.STARTING, H.START_REFUSED: S.REFUSED, H.NO_WORD: S.UNSURE, H.SEEN_STARTING: S.STARTING},
    S.UNSURE: _BEFORE | {H.START_ACCEPTED: S.STARTING, H.START_REFUSED: S.REFUSED, H.SEEN_STARTING: S.STARTING},
    S.STARTING: _BEFORE | {H.NO_WORD: S.UNSURE},
    S.CHARGING: _BILL | {H.SEEN_STOPPING: S.STOPPING, H.SEEN_ENDED: S.ENDED, H.STOP_ACCEPTED: S.STOPPING},
    S.STOPPING: _BILL | {H.SEEN_ENDED: S.ENDED, H.NOT_STARTED: S.FAILED},
    S.ENDED: dict(_BILL),
    S.REFUSED: _CHARGES | _BILL,
    S.FAILED: dict(_BILL),
    S.DISPUTED: dict(_BILL),
    S.BILLED: {},
}

SEEN = {1: H.SEEN_STARTING, 2: H.SEEN_CHARGING, 3: H.SEEN_STOPPING, 4: H.SEEN_ENDED}
"""StartChargeSeqStat → what it says; 5 and unknown codes say nothing."""


def advance(state: RoamingState, happened: Happened) -> RoamingState | None:
    """The state after `happened`, or none when it changes nothing here."""
    return TABLE[state].get(happened)
