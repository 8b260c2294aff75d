"""A wish to charge that was made at the pile, and our answer, in no protocol's words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from charging_core.money import ZERO


class ShownBy(StrEnum):
    """What was shown at the pile."""

    CARD = "card"
    """A card, by the number that readers send."""
    CARD_NUMBER = "card_number"
    """A card, by its printed number (OCPP's idTag)."""
    VIN = "vin"
    OTHER = "other"
    """Something that no protocol has defined: an account of nobody."""


class StartRefusal(StrEnum):
    """Why a charge may not start, in the order in which reasons count (`specs/ykc.md` 5, 0x32)."""

    UNKNOWN_ACCOUNT = "unknown_account"
    FROZEN = "frozen"
    NO_MONEY = "no_money"
    CARD_UNSETTLED = "card_unsettled"
    PILE_DISABLED = "pile_disabled"
    NOT_ALLOWED_HERE = "not_allowed_here"
    WRONG_PIN = "wrong_pin"
    NO_CAPACITY = "no_capacity"
    UNKNOWN_VIN = "unknown_vin"
    PILE_UNSETTLED = "pile_unsettled"
    NO_CARDS = "no_cards"


@dataclass(frozen=True, slots=True)
class Parallel:
    """One of the requests of a vehicle at several connectors: the pile's number of the charge, and whether this is the main one."""

    number: str
    main: bool


@dataclass(frozen=True, slots=True)
class StartAsked:
    """A pile asks whether it may charge. `shown` is a card's number or a VIN in reading order; `pin` what was typed, if anything."""

    connector_code: str
    by: ShownBy
    shown: str
    pin: bytes | None = None
    parallel: Parallel | None = None
    takes_cards: bool = True
    """False: this pile's model does not start by itself."""


@dataclass(frozen=True, slots=True)
class StartDecision:
    """The answer. Accepted: `trade_number` names the charge. `balance_yuan` is what may be spent, on a refusal what there is."""

    refusal: StartRefusal | None
    trade_number: str | None = None
    card: str | None = None
    balance_yuan: Decimal = ZERO

    @property
    def accepted(self) -> bool:
        """Whether the pile may charge."""
        return self.refusal is None
