"""What follows from a verdict (pure): the end of a delivery, another attempt, or a held destination (DECISIONS 20)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from worker.api import Outcome, State, Verdict
from worker.policy import DeliveryPolicy, next_attempt

_FINAL = {
    Outcome.OK: State.DELIVERED,
    Outcome.IGNORED: State.DELIVERED,
    Outcome.BUSINESS_REFUSED: State.REJECTED,
    Outcome.PERMANENT: State.DEAD,
}
LADDER_ENDED = "retry ladder ended"
EXPIRED = "expired"
LANE_HELD = "lane held until confirmed"


@dataclass(frozen=True, slots=True)
class Finish:
    """The delivery ends in `state`."""

    state: State
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Again:
    """The delivery waits until `at`. `counts`: the failure is a step on the ladder. `verdict` is None for a mere postponement.

    `alone`: it shares no call any more.
    """

    at: datetime
    counts: bool
    verdict: Verdict | None
    reason: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The delivery could not be delivered and keeps its lane: it is held until somebody releases or discards it."""

    verdict: Verdict

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return f"{LANE_HELD}: {describe(self.verdict)}"[:300]


Decision = Finish | Again | Hold


def decide(
    policy: DeliveryPolicy, verdict: Verdict, failures: int, now: datetime, deadline: datetime | None, key: str
) -> Decision:
    """What becomes of a delivery after an attempt judged as `verdict`; `failures` counts earlier ones on the ladder.

    A configuration failure does not use up the ladder: the delivery stays due, and waits because its destination is held, or
    one ladder step as long as `hold_after` is not reached. `key` (the delivery's id) spreads retries of many deliveries.
    """
    decision = _decide(policy, verdict, failures, now, deadline, key)
    undelivered = isinstance(decision, Finish) and decision.state is not State.DELIVERED
    return Hold(decision.verdict) if undelivered and policy.hold_lane and decision.verdict else decision


def _decide(
    policy: DeliveryPolicy, verdict: Verdict, failures: int, now: datetime, deadline: datetime | None, key: str
) -> Finish | Again:
    if verdict.outcome is Outcome.UNKNOWN and not policy.retry_unknown:
        return Finish(State.DEAD, verdict)
    if verdict.outcome in _FINAL:
        return Finish(_FINAL[verdict.outcome], verdict)
    if verdict.outcome is Outcome.CONFIGURATION:
        at = now if policy.hold_after == 1 else next_attempt(policy, 1, now, deadline) or now
        return Again(at, False, verdict, describe(verdict))
    at_next = next_attempt(policy, failures + 1, now, deadline, spread_of(key, failures))
    if at_next is None:
        return Finish(State.DEAD, Verdict(verdict.outcome, verdict.code, f"{LADDER_ENDED}: {verdict.message}"[:300]))
    return Again(at_next, True, verdict, describe(verdict))


def describe(verdict: Verdict) -> str:
    """One line for people: `retryable 500: busy`."""
    head = f"{verdict.outcome} {verdict.code}".strip()
    return f"{head}: {verdict.message}"[:300] if verdict.message else head


def spread_of(key: str, step: int) -> float:
    """A steady number in -1…1 for a delivery and step, so that the same retry is never computed twice differently."""
    return zlib.crc32(f"{key}/{step}".encode()) / 0x7FFFFFFF - 1
