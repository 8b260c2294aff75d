"""What a scenario file may say: piles, vehicles, stories that connectors live through again and again, and what is expected.

name: 早高峰 / morning peak
seed: 7
duration: 30m                     # of the clock; on HUB_CLOCK=...@60 half a minute
piles:
  - {count: 800, first_code: "32010700000001", type: dc, connectors: 2, power_kw: 120}
vehicles:
  sedan: {battery_kwh: 60, power_kw: 90, soc: [10, 60]}
stories:
  - name: card customer
    weight: 3
    steps:
      - wait: [5s, 60s]
      - plug: sedan
      - start: card               # card | vin | parallel | hub (waits until somebody else starts it)
      - charge: [2m, 10m]
      - {stop: button, probability: 0.3}
      - until_end: 2h
      - unplug
faults:
  - {probability: 0.05, switches: {duplicate_record: 1}}
expect:
  - {measure: records_unconfirmed, at_most: 0}
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from charging_core.simulator.charge import TAPER
from charging_core.simulator.errors import ConfigError
from charging_core.simulator.faults import Faults, describe
from charging_core.simulator.measures import MEASURES
from charging_core.simulator.settings import Periods

_STRICT = ConfigDict(extra="forbid", frozen=True)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_CODE_DIGITS = 14
# a day of business time: longer than any rehearsal, and a typing error is caught
_LONGEST_S = 86_400


def _seconds(value: Any) -> Any:
    """`90s`, `15m`, `2h` as seconds; numbers stay."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found is None:
            raise ValueError("a duration is 30s, 15m or 2h")
        return float(found[1]) * _UNITS[found[2]]
    return value


def _span(value: Any) -> Any:
    """One duration, or the two ends between which it is drawn."""
    return value if isinstance(value, list | tuple) else (value, value)


Place = tuple[str | int, ...]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=_LONGEST_S)]
Span = Annotated[tuple[Seconds, Seconds], BeforeValidator(_span)]
Percent = Annotated[int, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class PileGroup(BaseModel):
    """`count` piles alike; their codes are counted up from `first_code`."""

    model_config = _STRICT

    count: Annotated[int, Field(ge=1, le=20_000)]
    first_code: Annotated[str, Field(pattern=r"^[0-9]{14}$")]
    type: Literal["dc", "ac"] = "dc"
    connectors: Annotated[int, Field(ge=1, le=99)] = 1
    power_kw: Annotated[Decimal, Field(gt=0, le=2000)] = Decimal(60)
    ground_locks: bool = False
    battery_frames: bool = True
    periods: Periods = Periods()
    switches: Mapping[str, Any] = {}
    """Fault switches that are on all the time."""

    @field_validator("switches")
    @classmethod
    def _known(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return _checked_switches(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(str(int(self.first_code) + self.count - 1)) > _CODE_DIGITS:
            raise ValueError("the codes run out of their 14 digits")
        return self

    def codes(self) -> list[str]:
        """The code of each pile."""
        first = int(self.first_code)
        return [str(first + number).zfill(_CODE_DIGITS) for number in range(self.count)]


class VehicleKind(BaseModel):
    """Vehicles of a kind; how full they come is drawn for each visit. `vin`: whether piles can read it.

    `curve`: pairs of SOC and percent of the power that is taken from there on, as [[0, 100], [80, 40]]; AC piles know no SOC.
    """

    model_config = _STRICT

    battery_kwh: Annotated[Decimal, Field(gt=0, le=2000)] = Decimal(60)
    power_kw: Annotated[Decimal, Field(gt=0, le=2000)] = Decimal(60)
    soc: tuple[Percent, Percent] = (10, 60)
    vin: bool = True
    curve: Annotated[tuple[tuple[Percent, Annotated[int, Field(ge=1, le=100)]], ...], Field(min_length=1)] = TAPER

    @model_validator(mode="after")
    def _rises(self) -> Self:
        starts = [soc for soc, _ in self.curve]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("a curve begins at SOC 0 and rises")
        return self


class Step(BaseModel):
    """One thing that happens; exactly one of the names, and with what probability it does."""

    model_config = _STRICT

    probability: Share = 1.0
    wait: Span | None = None
    plug: str | None = None
    """A kind of vehicle comes and is plugged in."""
    unplug: Literal[True] | None = None
    start: Literal["card", "vin", "parallel", "hub"] | None = None
    """How the charge begins; `hub`: somebody else starts it. The story ends here when it does not begin within `within`."""
    within: Seconds = 120
    charge: Span | None = None
    """Let it charge for so long, or until it ends by itself."""
    stop: Literal["button", "card"] | None = None
    until_end: Seconds | None = None
    condition: Literal["emergency", "module_fault", "normal"] | None = None
    power_cut: Span | None = None
    link_loss: Span | None = None
    switches: Mapping[str, Any] | None = None
    """Fault switches of the pile from here on; an empty mapping switches all off that the scenario had switched on."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        """`- unplug` is short for `- unplug: true`."""
        return {value: True} if value == "unplug" else value

    @field_validator("switches")
    @classmethod
    def _known(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        return None if value is None else _checked_switches(value)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.named()) != 1:
            raise ValueError(f"a step does exactly one thing, of: {', '.join(_THINGS)}")
        return self

    def named(self) -> list[str]:
        """What it does."""
        return [name for name in _THINGS if getattr(self, name) is not None]


_THINGS = tuple(name for name in Step.model_fields if name not in ("probability", "within"))


class Story(BaseModel):
    """What a connector lives through; the next one is drawn by weight when it is over. `piles`: type of pile it fits, none: all."""

    model_config = _STRICT

    name: str
    weight: Annotated[float, Field(gt=0, le=1000)] = 1
    piles: Literal["dc", "ac"] | None = None
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class FaultChance(BaseModel):
    """Switches that are on for one visit, with a probability; the first chance that comes up counts."""

    model_config = _STRICT

    probability: Share
    switches: Mapping[str, Any]

    @field_validator("switches")
    @classmethod
    def _known(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return _checked_switches(value)


class Expectation(BaseModel):
    """A measure of the report and its bounds."""

    model_config = _STRICT

    measure: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"no such measure; there are: {', '.join(MEASURES)}")
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least, at_most, or both")
        return self

    def met(self, value: float) -> bool:
        """Whether the measure lies within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Scenario(BaseModel):
    """A whole file."""

    model_config = _STRICT

    name: str
    seed: int = 1
    duration: Seconds
    settle: Seconds = 600
    """After `duration` nobody comes any more; charges end and records are confirmed within this time."""
    logins_per_second: Annotated[int, Field(ge=1, le=5000)] = 200
    """Real seconds: a thousand piles that connect at once are a test of their own."""
    piles: Annotated[tuple[PileGroup, ...], Field(min_length=1)]
    vehicles: Mapping[str, VehicleKind] = {}
    stories: Annotated[tuple[Story, ...], Field(min_length=1)]
    faults: tuple[FaultChance, ...] = ()
    expect: tuple[Expectation, ...] = ()

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """What is wrong although each part of it is valid, and where it stands."""
        seen: set[str] = set()
        for number, group in enumerate(self.piles):
            codes = set(group.codes())
            if codes & seen:
                yield ("piles", number, "first_code"), "桩编码与前面的组重叠 / codes of a group before it come again"
            seen |= codes
        for number, story in enumerate(self.stories):
            for place, step in enumerate(story.steps):
                if step.plug is not None and step.plug not in self.vehicles:
                    where = ("stories", number, "steps", place)
                    yield where, f"没有这种车 / no such vehicle: {step.plug}"
        if sum(chance.probability for chance in self.faults) > 1:
            yield ("faults",), "概率之和大于 1 / the probabilities add up to more than 1"


def scaled(scenario: Scenario, piles: int) -> Scenario:
    """The same scenario with so many piles in all, shared between its groups as before. Raises ConfigError when that does not fit."""
    whole = sum(group.count for group in scenario.piles)
    shares = [divmod(piles * group.count, whole) for group in scenario.piles]
    counts = [count for count, _ in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: (-shares[index][1], index))
    for index in by_remainder[: piles - sum(counts)]:
        counts[index] += 1
    groups = [group.model_copy(update={"count": n}) for group, n in zip(scenario.piles, counts, strict=True) if n]
    return changed(scenario, piles=groups)


def changed(scenario: Scenario, **members: Any) -> Scenario:
    """A copy with some members set anew, checked as a whole. Raises ConfigError."""
    try:
        found = Scenario.model_validate({**dict(scenario), **members})
    except ValidationError as error:
        raise ConfigError(describe(error)) from error
    problems = [text for _, text in found.contradictions()]
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def _checked_switches(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuses an unknown switch, as an error that pydantic reports at its place."""
    try:
        Faults().changed(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return value
