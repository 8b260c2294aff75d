"""May a car that stands at an exit leave through a gate that we open? Pure (`specs/parking.md` 7.3, 7.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from parking.model import ExitPolicy
from parking.port import Benefit, BenefitKind, QuoteResult


class ExitReason(StrEnum):
    """Why an exit is opened by us or left to the park."""

    COVERED = "covered"
    NOTHING_DUE = "nothing_due"
    NOT_OURS = "not_ours"
    NO_GRANT = "no_grant"
    FEE_DUE = "fee_due"
    BILL_UNKNOWN = "bill_unknown"


@dataclass(frozen=True, slots=True)
class ExitFacts:
    """A stay at the exit: when it began (None: not seen) and the benefits granted to it that are still valid."""

    entered_at: datetime | None
    benefits: Sequence[Benefit]


def judge_exit(
    policy: ExitPolicy, facts: ExitFacts, now: datetime, bill: QuoteResult | None
) -> tuple[bool, ExitReason]:
    """Whether we open, and why.

    `covered`: an all-free benefit, or granted minutes that are at least as long as the stay so far. `bill`: the park's own bill says
    that nothing is due; a bill that cannot be had opens nothing, the park's own exit still works.
    """
    if policy is ExitPolicy.NEVER:
        return False, ExitReason.NOT_OURS
    if not facts.benefits:
        return False, ExitReason.NO_GRANT
    if policy is ExitPolicy.COVERED:
        return (True, ExitReason.COVERED) if _covers(facts, now) else (False, ExitReason.FEE_DUE)
    return _by_bill(bill)


def _covers(facts: ExitFacts, now: datetime) -> bool:
    if any(benefit.kind is BenefitKind.ALL_FREE for benefit in facts.benefits):
        return True
    minutes = sum(int(benefit.value) for benefit in facts.benefits if benefit.kind is BenefitKind.MINUTES)
    return facts.entered_at is not None and now - facts.entered_at <= timedelta(minutes=minutes)


def _by_bill(bill: QuoteResult | None) -> tuple[bool, ExitReason]:
    if bill is None or bill.outcome != "ok":
        return False, ExitReason.BILL_UNKNOWN
    if bill.quote is None or bill.quote.due <= 0:
        return True, ExitReason.NOTHING_DUE
    return False, ExitReason.FEE_DUE
