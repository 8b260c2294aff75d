"""Which charge order earns which parking benefit: the rule object and its decision. Pure (`specs/parking.md` 7.1, 7.5).

`decide` never guesses: without a plate or a stay it says "wait", and it says "no" with a stable reason code. A grant belongs to a
stay, not to a plate, so that a car that comes back is never given the benefit of its earlier visit by accident.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from parking.plates import Plate
from parking.port import Benefit, BenefitKind

_VALUELESS = (BenefitKind.ALL_FREE, BenefitKind.PARK_DECIDES)


class Reason(StrEnum):
    """Why a grant waits or was refused; stable codes shown to operators and partners."""

    TOO_SHORT = "TOO_SHORT"
    NO_PLATE = "NO_PLATE"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    DUPLICATE_STAY = "DUPLICATE_STAY"
    WITHIN_HOURS = "WITHIN_HOURS"
    NO_RULE = "NO_RULE"
    NOT_INSIDE = "NOT_INSIDE"
    ALREADY_LEFT = "ALREADY_LEFT"
    PARK_OFFLINE = "PARK_OFFLINE"
    NOT_CONFIGURED = "NOT_CONFIGURED"
    VENDOR_REFUSED = "VENDOR_REFUSED"
    UNKNOWN_RESULT = "UNKNOWN_RESULT"


class Tier(BaseModel):
    """From `min_kwh` on, the benefit is `value`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_kwh: Annotated[Decimal, Field(ge=0)]
    value: Annotated[Decimal, Field(gt=0)]


class GrantRule(BaseModel):
    """The rule of a park. Values: minutes, yuan or percent off, by `benefit_type`.

    A charge qualifies when it reaches `min_kwh` and `min_minutes` (`eligibility: both`) or one of them (`any_of`). The value is
    that of the highest tier reached, else `default_value`; no value, no grant. `accept_later_entry` lets an order count for a
    stay that began after the charge (bays in front of the barrier); without it such a stay is a new visit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    benefit_type: BenefitKind = BenefitKind.MINUTES
    min_kwh: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    min_minutes: Annotated[int, Field(ge=0)] = 0
    eligibility: Literal["both", "any_of"] = "both"
    tiers: tuple[Tier, ...] = ()
    default_value: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    cap_minutes: Annotated[int, Field(gt=0)] | None = None
    cap_amount: Annotated[Decimal, Field(gt=0)] | None = None
    once_per_stay: bool = True
    hours_between_grants: Annotated[int, Field(ge=0)] = 0
    valid_hours: Annotated[int, Field(gt=0, le=24 * 31)] = 12
    require_stay: bool = True
    accept_later_entry: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.benefit_type in _VALUELESS:
            if self.tiers or self.default_value:
                raise ValueError(f"benefit_type {self.benefit_type} has no value: leave out tiers and default_value")
            return self
        if not self.tiers and not self.default_value:
            raise ValueError("give tiers or default_value, else nothing is ever granted")
        for value in self._values():
            Benefit(self.benefit_type, value)
        return self

    def _values(self) -> Iterable[Decimal]:
        yield from (tier.value for tier in self.tiers)
        if self.default_value:
            yield self.default_value
        if self.cap_amount is not None and self.benefit_type is BenefitKind.AMOUNT:
            yield self.cap_amount


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What a rule may know of a final charge order."""

    order_id: str
    plate: Plate | None
    energy_kwh: Decimal
    charge_started_at: datetime
    charge_ended_at: datetime


@dataclass(frozen=True, slots=True)
class StayFacts:
    """One stay of the order's plate in the order's park. `entered_at` is None when only the exit was seen."""

    stay_id: str
    entered_at: datetime | None
    exited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GrantHistory:
    """What was granted before: for this order, for the stays given to `decide`, and to this plate most recently."""

    order_granted: bool = False
    granted_stay_ids: frozenset[str] = frozenset()
    last_granted_at: datetime | None = None


class Verdict(StrEnum):
    """`WAIT` is decided again when a plate or a stay turns up, until `Decision.valid_until`."""

    GRANT = "grant"
    WAIT = "wait"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` found. `stay_id` is the stay that the grant is bound to."""

    verdict: Verdict
    valid_until: datetime
    reason: Reason | None = None
    benefit: Benefit | None = None
    stay_id: str | None = None


def decide(
    rule: GrantRule | None, order: OrderFacts, stays: Iterable[StayFacts], history: GrantHistory, now: datetime
) -> Decision:
    """Whether `order` earns a benefit now, must wait, or never will.

    `stays` are the recent stays of the order's plate in the park; `now` is business time. Deterministic; the same facts give the
    same decision.
    """
    if rule is None:
        return Decision(Verdict.REJECT, now, Reason.NO_RULE)
    until = now + timedelta(hours=rule.valid_hours)
    benefit = benefit_of(rule, order)
    refused = _refused_by_order(rule, benefit, history, now)
    if refused is not None:
        return Decision(Verdict.REJECT, until, refused)
    if order.plate is None or not order.plate.usable:
        return Decision(Verdict.WAIT, until, Reason.NO_PLATE)
    return _decide_stay(rule, order, list(stays), history, Decision(Verdict.GRANT, until, benefit=benefit))


def benefit_of(rule: GrantRule, order: OrderFacts) -> Benefit | None:
    """The benefit that the energy and duration of `order` earn under `rule`, capped; None when they earn none."""
    if not _eligible(rule, order):
        return None
    if rule.benefit_type in _VALUELESS:
        return Benefit(rule.benefit_type)
    reached = (tier for tier in rule.tiers if tier.min_kwh <= order.energy_kwh)
    best = max(reached, key=lambda tier: tier.min_kwh, default=None)
    value = _capped(rule, best.value if best else rule.default_value)
    return Benefit(rule.benefit_type, value) if value > 0 else None


def _eligible(rule: GrantRule, order: OrderFacts) -> bool:
    minutes = (order.charge_ended_at - order.charge_started_at) / timedelta(minutes=1)
    reached = (order.energy_kwh >= rule.min_kwh, minutes >= rule.min_minutes)
    return all(reached) if rule.eligibility == "both" else any(reached)


def _capped(rule: GrantRule, value: Decimal) -> Decimal:
    if rule.benefit_type is BenefitKind.MINUTES and rule.cap_minutes is not None:
        return min(value, Decimal(rule.cap_minutes))
    if rule.benefit_type is BenefitKind.AMOUNT and rule.cap_amount is not None:
        return min(value, rule.cap_amount)
    return value


def _refused_by_order(rule: GrantRule, benefit: Benefit | None, history: GrantHistory, now: datetime) -> Reason | None:
    if history.order_granted:
        return Reason.DUPLICATE_ORDER
    if benefit is None:
        return Reason.TOO_SHORT
    pause = timedelta(hours=rule.hours_between_grants)
    if history.last_granted_at is not None and now - history.last_granted_at < pause:
        return Reason.WITHIN_HOURS
    return None


def _decide_stay(
    rule: GrantRule, order: OrderFacts, stays: list[StayFacts], history: GrantHistory, granted: Decision
) -> Decision:
    stay = stay_of(rule, order, stays)
    if stay is None:
        return _without_stay(rule, order, stays, granted)
    if stay.exited_at is not None:
        return Decision(Verdict.REJECT, granted.valid_until, Reason.ALREADY_LEFT, stay_id=stay.stay_id)
    if rule.once_per_stay and stay.stay_id in history.granted_stay_ids:
        return Decision(Verdict.REJECT, granted.valid_until, Reason.DUPLICATE_STAY, stay_id=stay.stay_id)
    return Decision(Verdict.GRANT, granted.valid_until, benefit=granted.benefit, stay_id=stay.stay_id)


def _without_stay(rule: GrantRule, order: OrderFacts, stays: list[StayFacts], granted: Decision) -> Decision:
    came_later = any(stay.entered_at is not None and stay.entered_at > order.charge_ended_at for stay in stays)
    if came_later:
        # The car is seen coming in after it had charged: it must have left in between, unseen.
        return Decision(Verdict.REJECT, granted.valid_until, Reason.ALREADY_LEFT)
    if rule.require_stay:
        return Decision(Verdict.WAIT, granted.valid_until, Reason.NOT_INSIDE)
    return granted


def stay_of(rule: GrantRule, order: OrderFacts, stays: Iterable[StayFacts]) -> StayFacts | None:
    """The stay during which `order` was charged: the latest one that overlaps the charge; pure.

    A stay whose entry was not seen counts as begun before everything. With `accept_later_entry` an open stay that began after
    the charge counts too, if none overlaps.
    """
    known = sorted(stays, key=_entry_key)
    during = [stay for stay in known if _overlaps(stay, order)]
    if during:
        return during[-1]
    later = [stay for stay in known if stay.exited_at is None and stay.entered_at is not None]
    return later[-1] if rule.accept_later_entry and later else None


def _entry_key(stay: StayFacts) -> tuple[bool, float, str]:
    began = stay.entered_at
    return (began is not None, began.timestamp() if began else 0.0, stay.stay_id)


def _overlaps(stay: StayFacts, order: OrderFacts) -> bool:
    began = stay.entered_at is None or stay.entered_at <= order.charge_ended_at
    return began and (stay.exited_at is None or stay.exited_at > order.charge_started_at)
