"""Configuration of the fake camera: account, model, and one entry per lane it watches."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["M1", "M2", "M3"]
Namespace = Literal["isapi", "hikvision", "std-cgi", "none", "prefix"]
Direction = Literal["entry", "exit"]


class Lane(BaseModel):
    """One lane: its number is also the channel, the gate number of M2 and the relay of M3."""

    model_config = ConfigDict(extra="forbid")

    lane: int = Field(ge=1)
    direction: Direction
    event_url: str = Field(default="", description="where plate events of this lane are posted; empty = nowhere")


class CameraConfig(BaseModel):
    """One device."""

    model_config = ConfigDict(extra="forbid")

    username: str = "admin"
    password: str = Field(min_length=1, repr=False)
    realm: str = "DS-TCG405-E"
    model: str = "DS-TCG405-E"
    serial_number: str = "DS-TCG405-E20240101AACH000000001"
    firmware: str = "V5.4.0"
    mac_address: str = "44:a6:42:00:00:01"
    lanes: list[Lane] = Field(min_length=1)
    methods: list[Method] = Field(default=["M1", "M2", "M3"], description="ways to open the gate that this model knows")
    namespace: Namespace = Field(default="isapi", description="spelling of the XML namespace; models differ")
    clock_skew_s: int = Field(default=0, description="how much the device's clock is ahead")
    nonce_ttl_s: float = Field(default=60, gt=0, description="life of a digest nonce, real seconds")
    lock_s: float = Field(default=300, gt=0, description="how long an account stays locked, real seconds")
    timeout_s: float = Field(default=5, gt=0, description="how long the camera waits for an answer to an event")
