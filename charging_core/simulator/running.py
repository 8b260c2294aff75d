"""An accepted start on its way: from the handshake of the plug to the trade record. No frame, no socket."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from charging_core.simulator.agenda import Timer
from charging_core.simulator.charge import Charge, Limits, Reading, Stop, Vehicle
from charging_core.simulator.messages import StartOrder, TradeRecord
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.tariff import RateModel


@dataclass(slots=True)
class Running:
    """`offset` is the pile clock's at the start: a charge keeps the clock it began with.

    Once current flows there are `charge` and `forecast`, its end if nobody interferes.
    """

    order: StartOrder
    model: RateModel
    vehicle: Vehicle
    offset: timedelta
    glitches_left: int
    stops_to_ignore: int
    charge: Charge | None = None
    forecast: Stop | None = None
    timer: Timer | None = field(default=None, repr=False)

    def new_charge(self, settings: PileSettings, power_percent: int, started_at: datetime) -> Charge:
        """The charge of this order, beginning at `started_at`."""
        return Charge(
            started_at=started_at,
            model=self.model,
            vehicle=self.vehicle,
            limits=Limits(self.order.balance_yuan, **settings.limits.model_dump()),
            watts=self.watts(settings, power_percent),
            follows_battery=settings.type == "dc",
        )

    def watts(self, settings: PileSettings, power_percent: int) -> int:
        """What pile and vehicle can both do."""
        pile_kw = settings.power_kw * power_percent / 100
        return int(min(pile_kw, self.vehicle.power_kw).scaleb(3))

    def minutes_left(self, now: datetime) -> int:
        """Whole minutes until the end that is foreseen; 0 when none is."""
        return 0 if self.forecast is None else max(0, (self.forecast.at - now) // timedelta(minutes=1))

    def new_balance(self, balance: Decimal) -> None:
        """The payer has another balance now (0x42)."""
        self.order = replace(self.order, balance_yuan=balance)
        if self.charge is not None:
            self.charge.limits = replace(self.charge.limits, balance_yuan=balance)

    def record(self, charge: Charge, reading: Reading, stop: Stop, meter: Decimal, now: datetime) -> TradeRecord:
        """The trade record of the finished charge; `meter` is where it stood at the start."""
        return TradeRecord(
            order=self.order,
            started_at=charge.started_at,
            ended_at=stop.at,
            trade_time=now,
            reading=reading,
            meter_start=meter,
            vin=self.vehicle.vin,
            stop_code=stop.code,
        )
