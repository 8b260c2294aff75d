"""What describes simulated piles: a mapping or YAML file, validated as a whole, unknown keys refused.

piles:
  - code: "31000199000017"        # in quotes: it is text
    type: dc                      # dc | ac
    connectors: 2
    power_kw: 60
    faults: {link_loss_after: 120, link_loss_for: 60}
    auto_plug:
      - {connector: 1, after_s: 5, vin: LTEST000000000017, soc: 40, battery_kwh: 60, unplug_after_end_s: 60}
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from charging_core.simulator.charge import Vehicle
from charging_core.simulator.errors import ConfigError
from charging_core.simulator.faults import Faults, describe

Model = TypeVar("Model", bound=BaseModel)

_STRICT = ConfigDict(extra="forbid", frozen=True)

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]
CardNumber = Annotated[str, Field(pattern=r"^[0-9A-F]{16}$")]
Vin = Annotated[str, Field(pattern=r"^[0-9A-Z]{17}$")]


class Periods(BaseModel):
    """Timers of the pile. `*_s` count on the pile's clock, `real_*_s` are real seconds (sockets).

    Defaults are the ones of ykc.md sections 6 and 9. `real_answer_floor_s`: on a fast clock a period that waits for an
    answer still lasts at least this long, because the platform answers in real time. `real_glue_s` and `real_piece_gap_s`: how long
    a gluing firmware collects frames, and what passes between the pieces of a splitting one.
    """

    model_config = _STRICT

    heartbeat_s: PositiveSeconds = 10
    idle_sample_s: PositiveSeconds = 300
    charging_sample_s: PositiveSeconds = 15
    login_retry_s: PositiveSeconds = 10
    model_retry_s: PositiveSeconds = 10
    record_retry_s: PositiveSeconds = 30
    record_last_retry_s: PositiveSeconds = 300
    plug_wait_s: PositiveSeconds = 60
    lock_report_s: PositiveSeconds = 300
    restart_s: PositiveSeconds = 20
    update_s: PositiveSeconds = 60
    start_s: Annotated[float, Field(ge=0, le=60)] = 3
    real_reconnect_s: tuple[PositiveSeconds, PositiveSeconds] = (3, 5)
    real_connect_timeout_s: PositiveSeconds = 10
    real_link_timeout_s: PositiveSeconds = 30
    real_answer_floor_s: Annotated[float, Field(ge=0, le=60)] = 3
    real_glue_s: PositiveSeconds = 0.05
    real_piece_gap_s: PositiveSeconds = 0.02


class PlugRequest(BaseModel):
    """A vehicle coming to a connector, as a control request or a script gives it."""

    model_config = _STRICT

    connector: Annotated[int, Field(ge=1, le=99)] = 1
    vin: Vin | None = None
    soc: Annotated[int, Field(ge=0, le=100)] = 30
    battery_kwh: Annotated[Decimal, Field(gt=0, le=2000, decimal_places=3)] = Decimal(60)
    power_kw: Annotated[Decimal, Field(gt=0, le=2000, decimal_places=3)] = Decimal(60)

    def vehicle(self) -> Vehicle:
        """The vehicle it describes."""
        return Vehicle(vin=self.vin, soc=self.soc, battery_kwh=self.battery_kwh, power_kw=self.power_kw)


class CardRequest(BaseModel):
    """A card that is held to the reader for a connector, with what is typed in if it needs that."""

    model_config = _STRICT

    connector: Annotated[int, Field(ge=1, le=99)] = 1
    card: CardNumber
    password: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class ParallelRequest(BaseModel):
    """One card for several connectors; the first one leads."""

    model_config = _STRICT

    connectors: Annotated[tuple[int, ...], Field(min_length=2)] = (1, 2)
    card: CardNumber


class Outage(BaseModel):
    """How long something is away, in seconds of the pile's clock."""

    model_config = _STRICT

    seconds: PositiveSeconds


class AutoPlug(PlugRequest):
    """A scripted vehicle: plugs in `after_s` after the first login, leaves `unplug_after_end_s` after its charge ended."""

    after_s: Annotated[float, Field(ge=0, le=86_400)] = 0
    unplug_after_end_s: Annotated[float, Field(ge=0, le=86_400)] | None = None


class DriverLimits(BaseModel):
    """Where a driver told the pile to stop; applies to every charge of the pile."""

    model_config = _STRICT

    energy_kwh: Annotated[Decimal, Field(gt=0, le=2000, decimal_places=4)] | None = None
    money_yuan: Annotated[Decimal, Field(gt=0, le=100_000, decimal_places=2)] | None = None
    minutes: Annotated[int, Field(gt=0, le=2880)] | None = None


class PileSettings(BaseModel):
    """One pile. `code` has 14 digits; `power_kw` is what each connector can give; `meter_kwh` is where its meter starts."""

    model_config = _STRICT

    code: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{14}$")]
    type: Literal["dc", "ac"] = "dc"
    connectors: Annotated[int, Field(ge=1, le=99)] = 1
    power_kw: Annotated[Decimal, Field(gt=0, le=2000, decimal_places=3)] = Decimal(60)
    meter_kwh: Annotated[Decimal, Field(ge=0, le=10_000_000, decimal_places=4)] = Decimal(1000)
    software: Annotated[str, Field(pattern=r"^[ -~]{0,8}$")] = "SIM1.0"
    sim_card: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{20}$")] = "0" * 20
    protocol_version: Literal["1.5", "1.6"] = "1.6"
    limits: DriverLimits = DriverLimits()
    periods: Periods = Periods()
    faults: Faults = Faults()
    battery_frames: bool = True
    """Whether a DC pile passes on the dialogue with the battery (0x15…0x25)."""
    ground_locks: bool = False
    cards: dict[CardNumber, CardNumber] = {}
    """Off-line cards the pile holds from the beginning: physical to logical number."""
    auto_plug: tuple[AutoPlug, ...] = ()

    @model_validator(mode="after")
    def _scripts_fit(self) -> "PileSettings":
        if any(script.connector > self.connectors for script in self.auto_plug):
            raise ValueError("auto_plug names a connector that the pile does not have")
        return self


class SimulatorConfig(BaseModel):
    """All piles of one process; codes are unique."""

    model_config = _STRICT

    piles: Annotated[tuple[PileSettings, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _codes_differ(self) -> "SimulatorConfig":
        if len({pile.code for pile in self.piles}) < len(self.piles):
            raise ValueError("two piles have the same code")
        return self


def read_config(mapping: Mapping[str, Any]) -> SimulatorConfig:
    """The configuration of a mapping; ConfigError names each wrong place."""
    return validated(SimulatorConfig, mapping)


def load_config(path: Path) -> SimulatorConfig:
    """The configuration of a YAML (or JSON) file; ConfigError if it cannot be read or is not valid."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping with the key 'piles' is expected")
    return read_config(content)


def validated(model: type[Model], mapping: Mapping[str, Any]) -> Model:
    """A validated model; ConfigError instead of the library's error."""
    try:
        return model.model_validate(mapping)
    except ValidationError as error:
        raise ConfigError(describe(error)) from error
