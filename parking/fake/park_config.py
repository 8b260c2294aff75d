"""Configuration of the fake iSecure platform: application keys, parks with their lanes, and a simple fee."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Roadway(_Strict):
    """One lane with a barrier."""

    code: str = Field(min_length=1)
    name: str = ""
    direction: Literal["entry", "exit"] = "entry"


class Entrance(_Strict):
    """A group of lanes."""

    code: str = Field(min_length=1)
    name: str = ""
    roadways: list[Roadway] = Field(default_factory=list)


class Park(_Strict):
    """One fee area."""

    code: str = Field(min_length=1, description="parkSyscode, called parkIndexCode in the resource calls")
    name: str = ""
    entrances: list[Entrance] = Field(default_factory=list)
    free_minutes: int = Field(default=15, ge=0)
    yuan_per_hour: Decimal = Field(default=Decimal("5.00"), ge=0, description="for every hour begun")


class IsecureConfig(_Strict):
    """The whole platform."""

    app_key: str = Field(min_length=1)
    app_secret: str = Field(min_length=1, repr=False)
    parks: list[Park] = Field(min_length=1)
    granted: list[str] = Field(default_factory=list, description="API paths granted to the key; empty = all")
    timestamp_window_s: int | None = Field(
        default=900, ge=1, description="largest age of X-Ca-Timestamp; none = unchecked"
    )
    percent_means: Literal["off", "pay"] = Field(default="off", description="deductRuleType 1; the vendor does not say")
    apply_plate_coupons: bool = Field(default=True, description="bills by plate show the coupon bound to the plate")
    delay_minutes: int = Field(default=15, ge=0, description="minutes allowed to leave after payment")
