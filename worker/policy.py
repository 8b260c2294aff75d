"""How to deliver: the part of a profile that the worker understands, and the pure rules that follow from it.

A profile of any room embeds a `DeliveryPolicy`; unknown keys are refused when the profile is loaded.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt

from charging_core.clock import CHINA
from worker.errors import ExpressionError
from worker.expressions import compile_expression

ALARM, ORDER, STATUS, RESULT, SAMPLE, POWER, STATION, REFRESH = 0, 10, 20, 30, 40, 50, 60, 70
"""Priorities in the order of `specs/municipal.md` 13.5; smaller goes first. Alarms overtake even what is near its deadline."""

NEAR_DEADLINE = 0.5
"""Share of the time to a deadline after which a delivery overtakes others."""

Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


def _checked_expression(text: str) -> str:
    try:
        return compile_expression(text).text
    except ExpressionError as error:
        raise ValueError(str(error)) from error


def _lane(text: str) -> str:
    if text.startswith("per_"):
        raise ValueError(f"a lane is per_object, per_connector, none or an expression, not {text!r}")
    return _checked_expression(text)


def _code(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ExpressionText = Annotated[str, AfterValidator(_checked_expression)]
Code = Annotated[str, BeforeValidator(_code)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetryPolicy(_Strict):
    """When to try again. After failure k wait `ladder[k-1]`; beyond its end `then` decides; `every` alone is an endless ladder.

    `max_attempts` counts all attempts, the first included. Codes are the destination's own (`Ret`), as text.
    """

    ladder: tuple[Seconds, ...] = ()
    then: Literal["repeat_last", "stop"] = "repeat_last"
    every: Seconds | None = None
    max_attempts: PositiveInt | None = None
    terminal_codes: tuple[Code, ...] = ("4003", "4004")
    retryable_codes: tuple[Code, ...] = ("-1", "500", "4002")

    def wait_after(self, failures: int) -> float | None:
        """Seconds to wait after failure number `failures` (from 1); None when the ladder has ended."""
        if self.max_attempts is not None and failures >= self.max_attempts:
            return None
        if failures <= len(self.ladder):
            return self.ladder[failures - 1]
        if self.every is not None:
            return self.every
        return self.ladder[-1] if self.ladder and self.then == "repeat_last" else None


class DailyWindow(_Strict):
    """The part of the Chinese day in which a destination may be called; `from` after `to` spans midnight."""

    start: time = Field(alias="from")
    end: time = Field(alias="to")
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def fit(self, instant: datetime) -> datetime:
        """`instant` when it lies inside, else the next opening."""
        local = instant.astimezone(CHINA)
        if self._contains(local.time()):
            return instant
        opening = datetime.combine(local.date(), self.start, CHINA)
        return (opening if opening >= local else opening + timedelta(days=1)).astimezone(instant.tzinfo)

    def _contains(self, moment: time) -> bool:
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


class DeliveryPolicy(_Strict):
    """Everything about delivering one interface of one destination that is not its body.

    * `deadline_s` from the event: a priority and a measure; an end only with `expire` (DECISIONS 20).
    * `lane`: strict order per object, per connector, none, or an expression over the event's snapshot.
    * `coalesce: newest`: an older version still waiting is superseded; `on_change`: wire names whose unchanged values since the
      last accepted body make a push superfluous (`send_first: false`: then the very first is superfluous too).
    * `success`, `ignored`, `refused`: predicates over the answer's members (`Ret`, `Data`, …), `http_status`, and the sent body's.
    * `hold_after`: configuration failures in a row that hold the whole destination.
    * `at_most_once`: an attempt cut off by a crash is not repeated; `retry_unknown`: an unknown result may safely be repeated.
    """

    name: str = Field(default="default", max_length=64)
    version: str = Field(default="1", max_length=32)
    retry: RetryPolicy = RetryPolicy(ladder=(5, 20, 60, 300, 900, 1800, 3600))
    deadline_s: Seconds | None = None
    expire: bool = False
    priority: NonNegativeInt = SAMPLE
    lane: Literal["per_object", "per_connector", "none"] | Annotated[str, AfterValidator(_lane)] = "per_object"
    coalesce: Literal["none", "newest"] = "none"
    on_change: tuple[str, ...] | None = None
    send_first: bool = True
    success: ExpressionText = "Ret==0"
    ignored: ExpressionText | None = None
    refused: ExpressionText | None = None
    configuration_codes: tuple[Code, ...] = ("4001",)
    hold_after: PositiveInt = 1
    daily_window: DailyWindow | None = None
    min_interval_s: Seconds | None = None
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10
    jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    at_most_once: bool = False
    retry_unknown: bool = False


def next_attempt(
    policy: DeliveryPolicy, failures: int, now: datetime, deadline: datetime | None, spread: float = 0.0
) -> datetime | None:
    """When to try again after `failures` failed attempts, or None when the ladder has ended.

    `spread` in -1…1 is the caller's share of the jitter (±10 %, `specs/municipal.md` 13.8), which never carries an attempt beyond a
    deadline that it would otherwise meet. An expiring delivery comes back at its deadline at the latest, to be ended there.
    """
    wait = policy.retry.wait_after(failures)
    if wait is None:
        return None
    plain = now + timedelta(seconds=wait)
    moved = now + timedelta(seconds=wait * (1 + policy.jitter * max(-1.0, min(1.0, spread))))
    if deadline is not None and deadline > now and (policy.expire or plain <= deadline):
        moved = min(moved, deadline)
    return fit_window(policy, moved)


def fit_window(policy: DeliveryPolicy, instant: datetime) -> datetime:
    """`instant`, or the next opening of the policy's daily window."""
    return policy.daily_window.fit(instant) if policy.daily_window else instant


def deadline_of(policy: DeliveryPolicy, occurred_at: datetime) -> datetime | None:
    """The instant by which an event of `occurred_at` should be accepted."""
    return occurred_at + timedelta(seconds=policy.deadline_s) if policy.deadline_s is not None else None


def urgent_from(policy: DeliveryPolicy, occurred_at: datetime) -> datetime | None:
    """From when on the delivery overtakes others: alarms at once, others when half of the time to their deadline has gone."""
    if policy.priority <= ALARM:
        return occurred_at
    if policy.deadline_s is None:
        return None
    return occurred_at + timedelta(seconds=policy.deadline_s * NEAR_DEADLINE)
