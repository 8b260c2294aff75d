"""Configuration of the fake regulator: the link, and the wire names of its five pushes, which the digest marks as inferred."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from partners.fake.config import LinkConfig

Kind = Literal["station_info", "connector_status", "charge_status", "order", "realtime_power"]

DEFAULT_NAMES: dict[Kind, str] = {
    "station_info": "supervise_notification_station_info",
    "connector_status": "supervise_notification_station_status",
    "charge_status": "supervise_notification_equip_charge_status",
    "order": "supervise_notification_charge_order_info",
    "realtime_power": "supervise_notification_realtime_power_info",
}


class RegulatorConfig(LinkConfig):
    """A province platform."""

    names: dict[Kind, str] = Field(default_factory=dict, description="wire names where they differ from the defaults")
    duplicate_ret: int | None = Field(default=None, description="Ret for an order that is booked already, such as 4015")
    charge_status_every_s: int = Field(default=300, ge=1, description="period of charge status, on the clock")
    power_every_s: int = Field(default=900, ge=1, description="period of realtime power, on the clock")
    tolerance_s: int = Field(
        default=60, ge=0, description="how far from the clock a periodic push may be, fake's clock"
    )
    refuse_unknown: bool = Field(default=True, description="answer 4004 to members that are not in the tables")

    @model_validator(mode="after")
    def _distinct_names(self) -> RegulatorConfig:
        if len(set(self.wire_names().values())) != len(DEFAULT_NAMES):
            raise ValueError("two pushes have the same wire name")
        return self

    def wire_names(self) -> dict[Kind, str]:
        """The wire name of every kind of push."""
        return DEFAULT_NAMES | self.names
