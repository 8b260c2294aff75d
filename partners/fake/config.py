"""Configuration of the fakes that speak the envelope: whose ids, whose keys, where the hub is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from partners.fake.wire import Keys

OPERATOR_ID = r"^[0-9A-Z]{9}$"
"""Clause 9.2: nine digits and capital letters."""


class LinkConfig(BaseModel):
    """One link between the fake and the hub, both directions. Secrets are issued by the side that is called (clause 3)."""

    model_config = ConfigDict(extra="forbid")

    operator_id: str = Field(pattern=OPERATOR_ID, description="our own id; we are the caller when we call the hub")
    hub_operator_id: str = Field(pattern=OPERATOR_ID, description="the id under which the hub calls us")
    hub_base_url: str = Field(
        default="", description="where the hub serves us, up to and including the version segment"
    )
    keys: Keys = Field(description="issued by us; the hub uses them when it calls us")
    hub_keys: Keys | None = Field(default=None, description="issued by the hub; we use them when we call it")
    base_path: str = Field(default="/evcs/v1/", pattern=r"^/(.*/)?$", description="under which our interfaces lie")
    token_ttl_s: int = Field(default=7200, ge=1, le=604800, description="life of the tokens we issue, real seconds")
    time_window_s: int | None = Field(default=None, ge=1, description="largest age of TimeStamp; none = not checked")
    timeout_s: float = Field(default=10.0, gt=0, description="how long we wait for the hub, real seconds")


class PartnerConfig(LinkConfig):
    """A partner platform."""

    service_spelling: Literal["Sevice", "Service"] = Field(default="Sevice", description="clause 14.3")
    energy_decimals: Literal[2, 3] = 2
    refuse_unknown: bool = Field(
        default=False, description="answer 4004 to members that are not in the standard's tables"
    )
    accept_unknown_orders: bool = Field(default=False, description="book orders that we did not start ourselves")
    check_policy: bool = Field(default=True, description="dispute an order whose prices we were never shown")
    page_size: int = Field(default=10, ge=1, le=200)
