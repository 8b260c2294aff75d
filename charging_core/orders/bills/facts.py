"""What a bill is made from, as a value that is kept with it: so that any version can be made again, and a wrong one differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from charging_core.money import ZERO
from charging_core.orders.facts import PileRate
from charging_core.tariffs.periods import RateClass


@dataclass(frozen=True, slots=True)
class ChargeFacts:
    """Energy (kWh) by class between two instants that we believe, and the pile's own figures as evidence."""

    energy_by_class: Mapping[RateClass, Decimal]
    started_at: datetime
    ended_at: datetime
    meter_start: Decimal = ZERO
    meter_end: Decimal = ZERO
    total_energy: Decimal = ZERO
    pile_amount: Decimal | None = None
    rates: tuple[PileRate, ...] = ()

    def counted(self, energy_by_class: Mapping[RateClass, Decimal]) -> ChargeFacts:
        """The same charge with other energies, as the staff found them."""
        return replace(self, energy_by_class=dict(energy_by_class))

    def rows(self) -> dict[str, Any]:
        """The stored form."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in {"energy_by_class", "rates"}}
        energies = {rate_class.value: energy for rate_class, energy in self.energy_by_class.items()}
        return plain | {"energy_by_class": energies, "rates": [asdict(rate) for rate in self.rates]}

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any]) -> ChargeFacts:
        """The inverse of `rows`."""
        energies = {RateClass(name): Decimal(energy) for name, energy in rows["energy_by_class"].items()}
        rates = tuple(PileRate(**(row | {"rate_class": RateClass(row["rate_class"])})) for row in rows["rates"])
        return cls(**(dict(rows) | {"energy_by_class": energies, "rates": rates}))
