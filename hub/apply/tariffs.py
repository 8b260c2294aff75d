"""The section `tariffs`: periods of the day, kinds of day with their calendar, loss ratio, discounts, occupancy fee."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from charging_core.errors import InvalidInput
from charging_core.tariffs.calendar import WEEKDAYS, Calendar, DayRule
from charging_core.tariffs.catalog import TariffSpec
from charging_core.tariffs.periods import DayPeriods, Period, RateClass, parse_minute
from charging_core.tariffs.terms import Discount, Occupancy, Terms
from hub.apply.catalog import ChinaTime, Section

Price = Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=5)]
Percent = Annotated[Decimal, Field(ge=0, le=100, decimal_places=3)]
Yuan = Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=2)]
DayName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]


def _date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


ChinaDate = Annotated[date, BeforeValidator(_date)]


class PeriodSection(Section):
    """时段: from `start` until the next one. Prices in yuan per kWh."""

    start: str
    rate_class: RateClass = Field(alias="class")
    elec_price: Price
    service_price: Price


class RuleSection(Section):
    """日历规则: dates of one kind of day. All that is given must fit; the first rule that fits a date counts."""

    day: DayName
    dates: list[str] = Field(default_factory=list)
    season: str | None = None
    weekdays: list[Literal[WEEKDAYS]] = Field(default_factory=list)  # type: ignore[valid-type]

    def rule(self) -> DayRule:
        """As a value. Raises `InvalidInput`."""
        return DayRule.from_row(self.model_dump())


class DiscountSection(Section):
    """优惠: percent off for charges of our own drivers. A partner's price is what he was told, so it has none."""

    name: str = Field(min_length=1, max_length=64)
    origins: list[Literal["app", "card", "vin", "console"]] = Field(min_length=1)
    elec_percent: Percent = Decimal(0)
    service_percent: Percent = Decimal(0)
    first: ChinaDate | None = None
    last: ChinaDate | None = None

    def value(self) -> Discount:
        """As a value."""
        return Discount(**(dict(self) | {"origins": frozenset(self.origins)}))


class OccupancySection(Section):
    """占位费: yuan per minute for a bay that stays taken after the charge."""

    free_minutes: int = Field(ge=0, le=24 * 60)
    yuan_per_minute: Annotated[Decimal, Field(ge=0, max_digits=6, decimal_places=4)]
    max_yuan: Yuan | None = None


class TariffSection(Section):
    """计费模型."""

    code: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    name: str = Field(min_length=1, max_length=64)
    valid_from: ChinaTime | None = None
    periods: list[PeriodSection] = Field(min_length=1)
    days: dict[DayName, list[PeriodSection]] = Field(default_factory=dict)
    calendar: list[RuleSection] = Field(default_factory=list)
    loss_percent: Percent = Decimal(0)
    discounts: list[DiscountSection] = Field(default_factory=list)
    occupancy: OccupancySection | None = None

    @model_validator(mode="after")
    def _whole(self) -> TariffSection:
        try:
            self.spec()
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self

    def spec(self) -> TariffSpec:
        """What the core saves."""
        days = {name: _day(periods) for name, periods in self.days.items()}
        calendar = Calendar(days, [rule.rule() for rule in self.calendar])
        occupancy = Occupancy(**dict(self.occupancy)) if self.occupancy else None
        terms = Terms(self.loss_percent, tuple(one.value() for one in self.discounts), occupancy)
        return TariffSpec(self.code, self.name, _day(self.periods), self.valid_from, calendar, terms)


def _day(periods: list[PeriodSection]) -> DayPeriods:
    return DayPeriods([Period(parse_minute(p.start), p.rate_class, p.elec_price, p.service_price) for p in periods])
