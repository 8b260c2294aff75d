"""The discount rule: who earns what, who waits, who is refused and why (`specs/parking.md` 7.1, 7.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from parking.plates import normalise
from parking.port import Benefit, BenefitKind
from parking.rules import (
    Decision,
    GrantHistory,
    GrantRule,
    OrderFacts,
    Reason,
    StayFacts,
    Tier,
    Verdict,
    benefit_of,
    decide,
    stay_of,
)

T0 = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
NOTHING_BEFORE = GrantHistory()
RULE = GrantRule(min_kwh=Decimal(10), default_value=Decimal(120))


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def order(kwh: str = "20", plate: str | None = "浙AD12345", start: float = 10, end: float = 50) -> OrderFacts:
    return OrderFacts("01ORDER", normalise(plate), Decimal(kwh), at(start), at(end))


def stay(name: str = "S1", entered: float | None = 0, exited: float | None = None) -> StayFacts:
    return StayFacts(name, None if entered is None else at(entered), None if exited is None else at(exited))


def run(
    rule: GrantRule | None = RULE,
    facts: OrderFacts | None = None,
    stays: tuple[StayFacts, ...] = (stay(),),
    history: GrantHistory = NOTHING_BEFORE,
) -> Decision:
    return decide(rule, facts or order(), stays, history, at(60))


def test_enough_energy_and_a_stay_is_granted_and_bound_to_the_stay() -> None:
    found = run()
    assert found == Decision(
        Verdict.GRANT, at(60) + timedelta(hours=12), benefit=Benefit(BenefitKind.MINUTES, Decimal(120)), stay_id="S1"
    )


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"rule": None}, Verdict.REJECT, Reason.NO_RULE),
        ({"facts": order(kwh="9.9999")}, Verdict.REJECT, Reason.TOO_SHORT),
        ({"facts": order(plate=None)}, Verdict.WAIT, Reason.NO_PLATE),
        ({"facts": order(plate="无车牌")}, Verdict.WAIT, Reason.NO_PLATE),
        ({"facts": order(plate="A12345")}, Verdict.WAIT, Reason.NO_PLATE),
        ({"stays": ()}, Verdict.WAIT, Reason.NOT_INSIDE),
        ({"stays": (stay(exited=55),)}, Verdict.REJECT, Reason.ALREADY_LEFT),
        ({"stays": (stay(entered=None, exited=55),)}, Verdict.REJECT, Reason.ALREADY_LEFT),
        ({"history": GrantHistory(order_granted=True)}, Verdict.REJECT, Reason.DUPLICATE_ORDER),
        ({"history": GrantHistory(granted_stay_ids=frozenset({"S1"}))}, Verdict.REJECT, Reason.DUPLICATE_STAY),
    ],
)
def test_refusals_and_waiting(changes: dict[str, Any], verdict: Verdict, reason: Reason) -> None:
    found = run(**changes)
    assert (found.verdict, found.reason, found.benefit) == (verdict, reason, None)


def test_a_car_that_came_back_does_not_get_the_benefit_of_its_earlier_visit() -> None:
    left_then_back = (stay("S1", 0, 55), stay("S2", 57))
    assert run(stays=left_then_back).reason is Reason.ALREADY_LEFT
    only_the_new_visit_seen = (stay("S2", 57),)
    assert run(stays=only_the_new_visit_seen).reason is Reason.ALREADY_LEFT
    assert run(rule=RULE.model_copy(update={"require_stay": False}), stays=only_the_new_visit_seen).benefit is None


def test_a_later_entry_counts_where_the_rule_says_so() -> None:
    rule = RULE.model_copy(update={"accept_later_entry": True})
    assert run(rule=rule, stays=(stay("S2", 57),)).stay_id == "S2"
    assert run(rule=rule, stays=(stay("S2", 57, 58),)).reason is Reason.ALREADY_LEFT


def test_a_grant_of_another_stay_does_not_block_this_one() -> None:
    assert run(history=GrantHistory(granted_stay_ids=frozenset({"S0"}))).verdict is Verdict.GRANT


def test_without_require_stay_an_unseen_car_is_granted_by_plate() -> None:
    found = run(rule=RULE.model_copy(update={"require_stay": False}), stays=())
    assert (found.verdict, found.stay_id) == (Verdict.GRANT, None)


@pytest.mark.parametrize(("hours_ago", "verdict"), [(5.99, Verdict.REJECT), (6, Verdict.GRANT)])
def test_hours_between_grants(hours_ago: float, verdict: Verdict) -> None:
    rule = RULE.model_copy(update={"hours_between_grants": 6})
    found = run(rule=rule, history=GrantHistory(last_granted_at=at(60) - timedelta(hours=hours_ago)))
    assert found.verdict is verdict
    assert found.reason is (Reason.WITHIN_HOURS if verdict is Verdict.REJECT else None)


TIERED = GrantRule(
    tiers=(Tier(min_kwh=Decimal(20), value=Decimal(120)), Tier(min_kwh=Decimal(40), value=Decimal(240))),
    default_value=Decimal(30),
    cap_minutes=200,
)


@pytest.mark.parametrize(
    ("kwh", "minutes"), [("0", 30), ("19.9999", 30), ("20", 120), ("39.9999", 120), ("40", 200), ("400", 200)]
)
def test_the_highest_tier_reached_wins_and_is_capped(kwh: str, minutes: int) -> None:
    assert benefit_of(TIERED, order(kwh)) == Benefit(BenefitKind.MINUTES, Decimal(minutes))


def test_no_tier_and_no_default_earns_nothing() -> None:
    rule = GrantRule(tiers=(Tier(min_kwh=Decimal(20), value=Decimal(120)),))
    assert run(rule=rule, facts=order("19")).reason is Reason.TOO_SHORT


def test_both_or_any_of_energy_and_minutes() -> None:
    both = GrantRule(min_kwh=Decimal(10), min_minutes=30, default_value=Decimal(60))
    either = both.model_copy(update={"eligibility": "any_of"})
    long_but_little = order(kwh="1", start=0, end=31)
    assert benefit_of(both, long_but_little) is None
    assert benefit_of(either, long_but_little) is not None


def test_amounts_are_capped_in_yuan() -> None:
    rule = GrantRule(
        benefit_type=BenefitKind.AMOUNT, default_value=Decimal("12.50"), cap_amount=Decimal(10), cap_minutes=1
    )
    assert benefit_of(rule, order()) == Benefit(BenefitKind.AMOUNT, Decimal(10))


def test_all_free_needs_no_value() -> None:
    assert benefit_of(GrantRule(benefit_type=BenefitKind.ALL_FREE), order()) == Benefit(BenefitKind.ALL_FREE)


@pytest.mark.parametrize(
    "members",
    [
        {"default_value": "120", "min_kWh": "10"},
        {},
        {"default_value": "0"},
        {"default_value": "1.5"},
        {"default_value": "-1"},
        {"benefit_type": "all_free", "default_value": "1"},
        {"benefit_type": "percent", "default_value": "101"},
        {"benefit_type": "amount", "default_value": "1.005"},
        {"benefit_type": "amount", "default_value": "5", "cap_amount": "1.005"},
        {"tiers": [{"min_kwh": "1", "value": "0"}]},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GrantRule.model_validate(members)


def test_the_stay_of_a_charge_is_the_latest_that_overlaps_it() -> None:
    stays = [stay("EARLIER", 0, 5), stay("MINE", 6), stay("UNSEEN", None, 12), stay("AFTER", 51)]
    found = stay_of(RULE, order(), stays)
    assert found is not None
    assert found.stay_id == "MINE"


MINUTE = st.integers(0, 200)


@st.composite
def stays_of_one_plate(draw: st.DrawFn) -> list[StayFacts]:
    bounds = sorted(draw(st.lists(MINUTE, max_size=8, unique=True)))
    pairs = [bounds[i : i + 2] for i in range(0, len(bounds), 2)]
    return [stay(f"S{i}", pair[0], pair[1] if len(pair) == 2 else None) for i, pair in enumerate(pairs)]


@given(
    stays=stays_of_one_plate(),
    start=MINUTE,
    length=st.integers(1, 60),
    granted=st.sets(st.sampled_from(["S0", "S1", "S2", "S3"])),
    require=st.booleans(),
    later=st.booleans(),
)
def test_whatever_happens_a_grant_belongs_to_an_open_ungranted_stay(
    stays: list[StayFacts], start: int, length: int, granted: set[str], require: bool, later: bool
) -> None:
    rule = RULE.model_copy(update={"require_stay": require, "accept_later_entry": later})
    facts = order(start=start, end=start + length)
    found = decide(rule, facts, stays, GrantHistory(granted_stay_ids=frozenset(granted)), at(300))
    assert (found.benefit is not None) == (found.verdict is Verdict.GRANT)
    assert (found.reason is None) == (found.verdict is Verdict.GRANT)
    if found.verdict is not Verdict.GRANT:
        return
    assert found.stay_id not in granted
    bound = {one.stay_id: one for one in stays}.get(found.stay_id or "")
    if bound is None:
        assert not require
        return
    assert bound.exited_at is None
    assert bound.entered_at is not None
    assert later or bound.entered_at <= facts.charge_ended_at


@given(kwh=st.decimals(0, 500, places=4), more=st.decimals(0, 500, places=4))
def test_more_energy_never_earns_less(kwh: Decimal, more: Decimal) -> None:
    less_benefit, more_benefit = benefit_of(TIERED, order(str(kwh))), benefit_of(TIERED, order(str(kwh + more)))
    assert less_benefit is not None
    assert more_benefit is not None
    assert less_benefit.value <= more_benefit.value <= 200
