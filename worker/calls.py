"""Deliveries that share one call: who leads, what is said, what the answer means for each. A call of one is the ordinary case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from worker.api import Body, Combining, Outcome
from worker.decision import Again, describe
from worker.decision import decide as decide_one
from worker.destinations import ANSWERED
from worker.work import Work

_AS_A_WHOLE = frozenset({Outcome.PERMANENT, Outcome.BUSINESS_REFUSED})
ONE_BY_ONE = "refused together with others, goes alone now"


def grouped(works: Sequence[Work]) -> list[list[Work]]:
    """Works by the call they share, in their order."""
    groups: dict[str, list[Work]] = {}
    for work in works:
        shares = work.row.call_id is not None and isinstance(work.driver, Combining)
        groups.setdefault(str(work.row.call_id) if shares else work.row.id, []).append(work)
    return list(groups.values())


def led(works: Sequence[Work]) -> list[Work]:
    """One work per call that is to be made, with the others in its company; and all that are decided."""
    leaders = []
    for leader, *others in grouped([work for work in works if work.decision is None]):
        leader.others = tuple(others)
        if others:
            for one in leader.whole_call:
                one.call_attempt_id = leader.attempt_id
        leaders.append(leader)
    return [*leaders, *(work for work in works if work.decision is not None)]


def body_of(work: Work) -> Body:
    """What is said in the call: the delivery's body, or what the driver makes of several."""
    if work.others and isinstance(work.driver, Combining):
        return work.driver.combine([one.delivery for one in work.whole_call])
    return work.body


def decide(work: Work, now: datetime) -> None:
    """Decide for each delivery of a judged call, and which of them stands for the destination's answer.

    Retries of one call share their moment, so that they can share a call again. A call that was refused as a whole may be one
    delivery's fault: each is tried alone, without a step on its ladder.
    """
    call_key = work.call_attempt_id
    refused = bool(work.others) and all(one.verdict and one.verdict.outcome in _AS_A_WHOLE for one in work.whole_call)
    for one in work.whole_call:
        if one.verdict is None:
            continue
        row = one.row
        if refused:
            one.decision = Again(now, False, one.verdict, f"{ONE_BY_ONE}: {describe(one.verdict)}"[:300], alone=True)
        else:
            key = call_key or row.id
            one.decision = decide_one(one.policy, one.verdict, row.failure_count, now, row.deadline_at, key)
    answered = (one for one in work.whole_call if one.verdict and one.verdict.outcome in ANSWERED)
    speaker = next(answered, work)
    for one in work.whole_call:
        one.speaks = one is speaker
