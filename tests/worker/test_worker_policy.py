"""Ladders, deadlines, windows and verdicts, from the policy alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from charging_core.clock import CHINA
from tests.conftest import BASE_TIME
from worker.api import Exchange, Outcome, State, Verdict
from worker.decision import Again, Finish, decide
from worker.judging import judge_by_policy
from worker.policy import ALARM, DailyWindow, DeliveryPolicy, RetryPolicy, next_attempt, urgent_from


def waits(retry: RetryPolicy, most: int = 8) -> list[float | None]:
    return [retry.wait_after(failures) for failures in range(1, most + 1)]


def test_ladders_of_the_known_platforms() -> None:
    city = RetryPolicy(ladder=(150, 300, 600, 1200, 1800, 3600), then="repeat_last")
    assert waits(city) == [150, 300, 600, 1200, 1800, 3600, 3600, 3600]
    notices = RetryPolicy(ladder=(15, 15, 30), then="stop")
    assert waits(notices, 4) == [15, 15, 30, None]
    hourly = RetryPolicy.model_validate({"every": 3600, "terminal_codes": [4015]})
    assert waits(hourly, 3) == [3600, 3600, 3600]
    assert hourly.terminal_codes == ("4015",)
    given_up = RetryPolicy(ladder=(5, 20, 60), max_attempts=3)
    assert waits(given_up, 4) == [5, 20, None, None]


def test_unknown_keys_and_broken_expressions_are_refused() -> None:
    for wrong in ({"retries": 3}, {"retry": {"ladders": [1]}}, {"success": "Ret=0"}, {"lane": "per_station"}):
        with pytest.raises(ValidationError):
            DeliveryPolicy.model_validate(wrong)
    assert DeliveryPolicy.model_validate({"lane": "concat(order.id, '-', order.link)"}).lane.startswith("concat")


def test_a_window_may_span_midnight() -> None:
    night = DailyWindow.model_validate({"from": "22:00", "to": "03:00"})
    inside = datetime(2026, 3, 2, 1, 30, tzinfo=CHINA)
    outside = datetime(2026, 3, 2, 9, 0, tzinfo=CHINA)
    assert night.fit(inside) == inside
    assert night.fit(outside) == datetime(2026, 3, 2, 22, 0, tzinfo=CHINA)


def test_jitter_never_carries_a_retry_beyond_its_deadline() -> None:
    policy = DeliveryPolicy(retry=RetryPolicy(ladder=(100,)), deadline_s=105)
    deadline = BASE_TIME + timedelta(seconds=105)
    assert next_attempt(policy, 1, BASE_TIME, deadline, spread=1) == deadline
    assert next_attempt(policy, 1, BASE_TIME, None, spread=1) == BASE_TIME + timedelta(seconds=110)
    late = BASE_TIME + timedelta(seconds=50)  # the step itself lies beyond: a deadline is a measure, not an end
    assert next_attempt(policy, 1, late, deadline, spread=0) == late + timedelta(seconds=100)


def test_alarms_are_urgent_at_once_others_in_the_second_half() -> None:
    assert urgent_from(DeliveryPolicy(priority=ALARM), BASE_TIME) == BASE_TIME
    assert urgent_from(DeliveryPolicy(deadline_s=150), BASE_TIME) == BASE_TIME + timedelta(seconds=75)
    assert urgent_from(DeliveryPolicy(), BASE_TIME) is None


@settings(max_examples=80)
@given(
    st.lists(st.integers(1, 7200), max_size=8),
    st.sampled_from(["repeat_last", "stop"]),
    st.integers(1, 20),
    st.floats(-1, 1),
)
def test_a_retry_lies_in_the_future_within_ten_percent(
    ladder: list[int], then: Any, failures: int, spread: float
) -> None:
    policy = DeliveryPolicy(retry=RetryPolicy(ladder=tuple(ladder), then=then))
    wait = policy.retry.wait_after(failures)
    at = next_attempt(policy, failures, BASE_TIME, None, spread)
    if wait is None or at is None:
        assert wait is None
        assert at is None
        return
    seconds = (at - BASE_TIME).total_seconds()
    assert wait * 0.9 - 0.001 <= seconds <= wait * 1.1 + 0.001


ORDER = DeliveryPolicy(
    success="Ret==0 and Data.OrderNo==OrderNo and Data.ConfirmResult==0",
    refused="Ret==0 and Data.ConfirmResult==1",
    ignored="Ret==0 and Data.Status==1",
    retry=RetryPolicy(ladder=(1,), terminal_codes=("4003", "4004", "4015")),
)
BODY = {"OrderNo": "A1"}


def answered(answer: dict[str, Any], status: int = 200) -> Exchange:
    return Exchange(http_status=status, answer=answer)


@pytest.mark.parametrize(
    ("exchange", "outcome"),
    [
        (answered({"Ret": 0, "Data": {"OrderNo": "A1", "ConfirmResult": 0}}), Outcome.OK),
        (answered({"Ret": "0", "Data": {"OrderNo": "A1", "ConfirmResult": "0"}}), Outcome.OK),
        (answered({"Ret": 0, "Data": {"OrderNo": "A2", "ConfirmResult": 0}}), Outcome.RETRYABLE),
        (answered({"Ret": 0, "Data": {"OrderNo": "A1", "ConfirmResult": 1}}), Outcome.BUSINESS_REFUSED),
        (answered({"Ret": 0, "Data": {"Status": 1}}), Outcome.IGNORED),
        (answered({"Ret": 4001}), Outcome.CONFIGURATION),
        (answered({"Ret": 4002}), Outcome.RETRYABLE),
        (answered({"Ret": 4003, "Data": {"Status": 0}}), Outcome.PERMANENT),
        (answered({"Ret": "4015"}), Outcome.PERMANENT),
        (answered({"Ret": -1}), Outcome.RETRYABLE),
        (answered({"Ret": 500}), Outcome.RETRYABLE),
        (answered({}, 503), Outcome.RETRYABLE),
        (answered({}, 429), Outcome.RETRYABLE),
        (answered({}, 401), Outcome.CONFIGURATION),
        (answered({}, 404), Outcome.PERMANENT),
        (Exchange(error="timeout"), Outcome.TIMEOUT),
        (Exchange(error="connection"), Outcome.RETRYABLE),
    ],
)
def test_verdicts_by_predicates_and_codes(exchange: Exchange, outcome: Outcome) -> None:
    verdict = judge_by_policy(ORDER, BODY, exchange)
    assert verdict.outcome is outcome
    assert verdict.dispute is (outcome is Outcome.BUSINESS_REFUSED)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_leads_somewhere(outcome: Outcome) -> None:
    decision = decide(ORDER, Verdict(outcome), 0, BASE_TIME, None, "id")
    if isinstance(decision, Again):
        assert outcome in {Outcome.RETRYABLE, Outcome.TIMEOUT, Outcome.CONFIGURATION}
        assert decision.counts is (outcome is not Outcome.CONFIGURATION)
    else:
        assert isinstance(decision, Finish)
        ends = {Outcome.OK: State.DELIVERED, Outcome.IGNORED: State.DELIVERED, Outcome.BUSINESS_REFUSED: State.REJECTED}
        assert decision.state is ends.get(outcome, State.DEAD)


def test_an_unknown_result_is_repeated_where_that_is_safe() -> None:
    policy = ORDER.model_copy(update={"retry_unknown": True})
    decision = decide(policy, Verdict(Outcome.UNKNOWN), 0, BASE_TIME, None, "id")
    assert isinstance(decision, Again)
