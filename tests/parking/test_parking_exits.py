"""Who may leave through a gate that we open: pure decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from parking.exits import ExitFacts, ExitReason, judge_exit
from parking.model import ExitPolicy
from parking.port import Benefit, BenefitKind, Outcome, Quote, QuoteResult, Trace

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
FREE = Benefit(BenefitKind.ALL_FREE)


def minutes(value: int) -> Benefit:
    return Benefit(BenefitKind.MINUTES, Decimal(value))


def inside_for(length_min: float | None, *benefits: Benefit) -> ExitFacts:
    entered = None if length_min is None else NOW - timedelta(minutes=length_min)
    return ExitFacts(entered, benefits)


@pytest.mark.parametrize(
    ("facts", "opens", "reason"),
    [
        (inside_for(120, minutes(120)), True, ExitReason.COVERED),
        (inside_for(120.01, minutes(120)), False, ExitReason.FEE_DUE),
        (inside_for(180, minutes(120), minutes(60)), True, ExitReason.COVERED),
        (inside_for(9999, FREE), True, ExitReason.COVERED),
        (inside_for(None, minutes(120)), False, ExitReason.FEE_DUE),
        (inside_for(None, FREE), True, ExitReason.COVERED),
        (inside_for(1, Benefit(BenefitKind.AMOUNT, Decimal(50))), False, ExitReason.FEE_DUE),
        (inside_for(1), False, ExitReason.NO_GRANT),
    ],
)
def test_covered(facts: ExitFacts, opens: bool, reason: ExitReason) -> None:
    assert judge_exit(ExitPolicy.COVERED, facts, NOW, None) == (opens, reason)


def test_never_is_never() -> None:
    assert judge_exit(ExitPolicy.NEVER, inside_for(1, FREE), NOW, None) == (False, ExitReason.NOT_OURS)


def bill(due: str | None, outcome: Outcome = Outcome.OK) -> QuoteResult:
    zero = Decimal(0)
    quote = None if due is None else Quote("b", None, Decimal(due), zero, zero, Decimal(9), None, False)
    return QuoteResult(outcome, Trace(""), quote)


@pytest.mark.parametrize(
    ("asked", "opens", "reason"),
    [
        (bill("0"), True, ExitReason.NOTHING_DUE),
        (bill(None), True, ExitReason.NOTHING_DUE),
        (bill("0.01"), False, ExitReason.FEE_DUE),
        (bill(None, Outcome.TIMEOUT), False, ExitReason.BILL_UNKNOWN),
        (None, False, ExitReason.BILL_UNKNOWN),
    ],
)
def test_the_bill_decides(asked: QuoteResult | None, opens: bool, reason: ExitReason) -> None:
    assert judge_exit(ExitPolicy.BILL, inside_for(999, minutes(1)), NOW, asked) == (opens, reason)


def test_a_car_without_a_grant_is_not_ours_to_let_out_even_if_nothing_is_due() -> None:
    assert judge_exit(ExitPolicy.BILL, inside_for(1), NOW, bill("0")) == (False, ExitReason.NO_GRANT)
