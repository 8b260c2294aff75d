"""The section `members`: accounts that pay for charges by card, by VIN and without a link."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from charging_core.members.catalog import CardSpec, MemberSpec
from charging_core.members.service import NO_VIN
from hub.apply.catalog import Section
from partners.secrets import SecretValue

Money = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=2)]


def _padded(digits: str) -> str:
    if not digits.strip("0"):
        raise ValueError("不能全为 0 / is not all zeros")
    return digits.upper().zfill(16)


def _vin(text: str) -> str:
    if text in NO_VIN:
        raise ValueError("不是车架号 / is no VIN")
    return text.upper()


CardNumber = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{1,16}$"), AfterValidator(_padded)]
Physical = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{16}$"), AfterValidator(_padded)]
Vin = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{17}$"), AfterValidator(_vin)]


class CardSection(Section):
    """充电卡."""

    number: CardNumber
    physical: Physical
    pin: SecretValue | None = Field(None, min_length=4, max_length=16)
    offline: bool = False

    def spec(self) -> CardSpec:
        """What the core saves."""
        pin = self.pin.get_secret_value() if self.pin else None
        return CardSpec(self.number, self.physical, pin, self.offline)


class MemberSection(Section):
    """账户."""

    code: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    name: str = Field(min_length=1, max_length=64)
    phone: str | None = Field(None, pattern=r"^[0-9+-]{3,32}$")
    opening_balance: Money = Decimal(0)
    credit: Money = Decimal(0)
    per_charge: Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=2)] | None = None
    stations: list[str] | None = None
    cards: list[CardSection] = Field(default_factory=list)
    vehicles: list[Vin] = Field(default_factory=list)

    def spec(self) -> MemberSpec:
        """What the core saves."""
        return MemberSpec(
            code=self.code,
            name=self.name,
            phone=self.phone,
            opening_balance=self.opening_balance,
            credit_yuan=self.credit,
            per_charge_yuan=self.per_charge,
            stations=None if self.stations is None else tuple(self.stations),
            cards=tuple(card.spec() for card in self.cards),
            vins=tuple(self.vehicles),
        )
