"""Settings of one ISAPI connection: one camera or controller at one lane."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from parking.adapters.tls import TlsSettings


class GateMethod(StrEnum):
    """The three families of gate commands (3.3); which one a device takes depends on model and firmware."""

    PARKING_CHANNEL = "parking_channel"
    ITC_ENTRANCE = "itc_entrance"
    RELAY_OUTPUT = "relay_output"


class IsapiSettings(BaseModel):
    """Where the device is, how to log in, and what its lane means.

    `direction` says whether the camera looks at cars coming in or going out: the device's own "forward" is relative to its lens.
    `plate_read_means` says what a read plate proves: with `passed` the car counts as in (or out), with `seen` it only stands at
    the lane. Entries default to `passed` because a lone camera gives no later sign; exits to `seen`, so that the barrier can be
    opened first. `gate_methods` are tried in order until one works; name one to skip the search. Empty: no barrier here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+$")]
    username: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[SecretStr, Field(min_length=1)]
    lane_ref: Annotated[str, Field(min_length=1, max_length=64)]
    direction: Literal["entry", "exit"]
    plate_read_means: Literal["passed", "seen"] | None = None
    channel: Annotated[int, Field(ge=1, le=64)] = 1
    gate_methods: tuple[GateMethod, ...] = tuple(GateMethod)
    barrier_number: Annotated[int, Field(ge=1, le=16)] = 1
    relay_output: Annotated[int, Field(ge=1, le=64)] = 1
    relay_pulse_s: Annotated[float, Field(gt=0, le=5)] = 1.0
    tls: TlsSettings = TlsSettings()
    connect_timeout_s: Annotated[float, Field(gt=0, le=15)] = 3.0
    read_timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0
    gate_timeout_s: Annotated[float, Field(gt=0, le=15)] = 8.0
