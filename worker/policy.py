"""How to deliver: the part of a profile that the worker understands, and the pure rules that follow from it.

A profile of any room embeds a `DeliveryPolicy`; unknown keys are refused when the profile is loaded.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

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


class Growth(_Strict):
    """Waits that grow: `first_s`, then `factor` times as long at every step, never more than `most_s`."""

    first_s: Seconds
    factor: Annotated[float, Field(gt=1, le=10)] = 2
    most_s: Seconds = 3600

    def wait(self, step: int) -> float:
        """Seconds of a step, from 0."""
        # Steps beyond a week's worth of doublings change nothing; a bounded power cannot overflow.
        return float(min(self.most_s, self.first_s * self.factor ** min(step, 64)))


class RetryPolicy(_Strict):
    """When to try again. After failure k wait `ladder[k-1]`; beyond its end `growing` or `every` goes on for ever, else `then` decides.

    Without a `ladder` they are the whole of it. `max_attempts` counts all attempts, the first included. Codes are the destination's
    own (`Ret`), as text.
    """

    ladder: tuple[Seconds, ...] = ()
    growing: Growth | None = None
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
        if self.growing is not None:
            return self.growing.wait(failures - len(self.ladder) - 1)
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


class BatchPolicy(_Strict):
    """Several deliveries of one interface in one call.

    A call goes when `count` are there or when the oldest has waited `age_s`, whichever comes first; a delivery never waits beyond the
    first half of its deadline. At most one delivery of a lane is in a call. Where the answer speaks of each item, `items` is
    the path of its list and `key` the member that the item shares with the delivery's own body; predicates then find the item as
    `Item`, which is null when the answer leaves it out. What is refused as a whole is sent one by one.
    """

    count: Annotated[int, Field(ge=2, le=500)]
    age_s: Annotated[float, Field(ge=0, le=86_400)] = 0
    items: ExpressionText | None = None
    key: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.items is None) != (self.key is None):
            raise ValueError("items and key belong together")
        return self


class DeliveryPolicy(_Strict):
    """Everything about delivering one interface of one destination that is not its body.

    * `deadline_s` from the event: a priority and a measure; an end only with `expire` (DECISIONS 20).
    * `lane`: strict order per object, per connector, none, or an expression over the event's snapshot.
    * `coalesce: newest`: an older version still waiting is superseded; `on_change`: wire names whose unchanged values since the
      last accepted body make a push superfluous (`send_first: false`: then the very first is superfluous too).
    * `stale_after_s`: after a longer outage what waited is sent oldest first; a state that is older than this and has a newer one
      behind it is not worth telling any more and is superseded.
    * `success`, `ignored`, `refused`: predicates over the answer's members (`Ret`, `Data`, …), `http_status`, and the sent body's.
    * `hold_after`: configuration failures in a row that hold the whole destination.
    * `hold_lane`: what could not be delivered (dead, rejected) is held instead and its lane with it, until somebody decides.
    * `align_s`: the first attempt waits for a multiple of so many seconds on the Chinese wall clock.
    * `min_interval_s`, `max_per_s`: pacing of the destination, in seconds between calls or calls per second; the slower one counts.
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
    stale_after_s: Seconds | None = None
    on_change: tuple[str, ...] | None = None
    send_first: bool = True
    success: ExpressionText = "Ret==0"
    ignored: ExpressionText | None = None
    refused: ExpressionText | None = None
    configuration_codes: tuple[Code, ...] = ("4001",)
    hold_after: PositiveInt = 1
    hold_lane: bool = False
    daily_window: DailyWindow | None = None
    align_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    batch: BatchPolicy | None = None
    min_interval_s: Seconds | None = None
    max_per_s: Annotated[float, Field(gt=0, le=1000)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10
    jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    at_most_once: bool = False
    retry_unknown: bool = False

    @property
    def interval_s(self) -> float | None:
        """Seconds between two calls of the destination; None when they are not paced."""
        given = [self.min_interval_s or 0.0, 1 / self.max_per_s if self.max_per_s else 0.0]
        return max(given) or None


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


def first_attempt(policy: DeliveryPolicy, ready: datetime, occurred_at: datetime) -> datetime:
    """When a delivery that could go at `ready` goes: with a batch that may gather first, on the clock's mark, inside the window."""
    instant = ready
    if policy.batch is not None:
        gathered = ready + timedelta(seconds=policy.batch.age_s)
        urgent = urgent_from(policy, occurred_at)
        instant = gathered if urgent is None else max(ready, min(gathered, urgent))
    if policy.align_s is not None:
        instant = next_mark(instant, policy.align_s)
    return fit_window(policy, instant)


def next_mark(instant: datetime, every_s: int) -> datetime:
    """`instant`, or the next multiple of `every_s` seconds since midnight in China."""
    local = instant.astimezone(CHINA)
    midnight = datetime.combine(local.date(), time(), CHINA)
    step = timedelta(seconds=every_s)
    mark = midnight + -((midnight - local) // step) * step
    return min(mark, midnight + timedelta(days=1)).astimezone(instant.tzinfo)


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
