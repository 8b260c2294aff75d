"""The billing model a pile holds (计费模型): four rates, 48 half-hour slots, a loss ratio. Pure, exact integers inside."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charging_core.simulator.errors import FrameError
from charging_core.simulator.layouts import RATE_COUNT

NO_MODEL_NUMBER = "0000"
SLOT_US = 30 * 60 * 1_000_000
_DAY_SLOTS = 48
_CHINA_OFFSET_US = 8 * 3600 * 1_000_000
# price is counted in 10^-5 yuan/kWh, energy in 10^-4 kWh, an amount in 10^-4 yuan
_PRICE_TIMES_ENERGY_PER_AMOUNT = 100_000
_HALF = _PRICE_TIMES_ENERGY_PER_AMOUNT // 2
# far above any real charge: 1 GWh
ENDLESS = 10**10


@dataclass(frozen=True, slots=True)
class RateModel:
    """Prices are electricity + service per rate (0 sharp, 1 peak, 2 flat, 3 valley) in 10^-5 yuan/kWh."""

    number: str
    prices: tuple[int, ...]
    slots: tuple[int, ...]
    loss_percent: int = 0

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "RateModel":
        """The model of a decoded 0x0A or 0x58; FrameError if a slot names a rate that does not exist."""
        slots = tuple(bytes.fromhex(fields["slots"]))
        if max(slots) >= RATE_COUNT:
            raise FrameError(f"slot with unknown rate {max(slots)}")
        prices = tuple(
            int((fields[f"rate{i}_electricity"] + fields[f"rate{i}_service"]).scaleb(5)) for i in range(RATE_COUNT)
        )
        return cls(number=fields["model_number"], prices=prices, slots=slots, loss_percent=fields["loss_percent"])

    def rate_at(self, time_us: int) -> int:
        """Rate of the half hour (China time) that holds this instant, given in microseconds since 1970 UTC."""
        return self.slots[(time_us + _CHINA_OFFSET_US) // SLOT_US % _DAY_SLOTS]

    def with_loss(self, energy: int) -> int:
        """Energy with loss in 10^-4 kWh, half-up."""
        return (energy * (100 + self.loss_percent) + 50) // 100

    def amount(self, rate: int, energy: int) -> int:
        """price x energy-with-loss in 10^-4 yuan, half-up; `energy` (10^-4 kWh) is what the meter counted."""
        product = self.prices[rate] * self.with_loss(energy)
        return (product + _HALF) // _PRICE_TIMES_ENERGY_PER_AMOUNT

    def affordable(self, rate: int, amount: int) -> int:
        """The most energy whose amount does not pass `amount`: `amount` solved for the energy, exactly."""
        if not self.prices[rate]:
            return ENDLESS
        with_loss = ((amount + 1) * _PRICE_TIMES_ENERGY_PER_AMOUNT - _HALF - 1) // self.prices[rate]
        return ((with_loss + 1) * 100 - 51) // (100 + self.loss_percent)

    def price_yuan(self, rate: int) -> Decimal:
        """Unit price of a rate in yuan/kWh with five decimals."""
        return Decimal(self.prices[rate]).scaleb(-5)
