"""The section `parks`: parks with their connections, lanes, stations and rule. Adapters bring their own settings schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from charging_core.errors import InvalidInput
from hub.apply.catalog import Section
from parking.adapters.registry import adapter_kind
from parking.catalog import ConnectionSpec, LaneSpec, ParkSpec, StationRef, check_park
from parking.errors import SettingsError
from parking.model import ExitPolicy, Role
from parking.rules import GrantRule
from partners.secrets import SecretValue

_SECRET: TypeAdapter[SecretStr] = TypeAdapter(SecretValue)
_CODE = r"^[A-Za-z0-9_-]{1,64}$"


class ConnectionSection(Section):
    """One adapter with its settings; secret settings are references."""

    code: str = Field(pattern=_CODE)
    adapter: str
    settings: dict[str, Any] = Field(repr=False)
    roles: list[Role] | None = None

    @field_validator("settings")
    @classmethod
    def _as_the_adapter_wants(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "adapter" not in info.data:
            return value
        try:
            kind = adapter_kind(info.data["adapter"])
            secrets = {name: _look_up(value[name], info, name) for name in kind.secret_members if name in value}
            kind.validate(value | secrets)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return value | secrets


class LaneSection(Section):
    """A lane; `code` is what the camera of this lane calls it, `gate` the connection that moves its barrier."""

    code: str = Field(pattern=_CODE)
    direction: Literal["entry", "exit"]
    name: str | None = Field(None, max_length=64)
    gate: str | None = None


class ParkStationSection(Section):
    """A station whose bays lie in the park."""

    operator: str
    code: str
    rule: GrantRule | None = None


class ParkSection(Section):
    """车场."""

    code: str = Field(pattern=_CODE)
    name: str = Field(min_length=1, max_length=64)
    rule: GrantRule | None = None
    exit_policy: ExitPolicy = ExitPolicy.COVERED
    max_stay_days: int = Field(30, ge=1, le=366)
    connections: list[ConnectionSection] = Field(default_factory=list)
    lanes: list[LaneSection] = Field(default_factory=list)
    stations: list[ParkStationSection] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> ParkSection:
        try:
            check_park(self.spec())
        except (InvalidInput, SettingsError) as error:
            raise ValueError(str(error)) from error
        return self

    def spec(self) -> ParkSpec:
        """What the parking room saves."""
        return ParkSpec(
            code=self.code,
            name=self.name,
            rule=_rule(self.rule),
            exit_policy=self.exit_policy,
            max_stay_days=self.max_stay_days,
            connections=tuple(
                ConnectionSpec(c.code, c.adapter, c.settings, None if c.roles is None else tuple(c.roles))
                for c in self.connections
            ),
            lanes=tuple(LaneSpec(lane.code, lane.direction, lane.name, lane.gate) for lane in self.lanes),
            stations=tuple(StationRef(s.operator, s.code, _rule(s.rule)) for s in self.stations),
        )


def _rule(rule: GrantRule | None) -> dict[str, Any] | None:
    return None if rule is None else rule.model_dump()


def _look_up(reference: Any, info: ValidationInfo, name: str) -> str:
    try:
        return _SECRET.validate_python(reference, context=info.context).get_secret_value()
    except ValidationError as error:
        reason = str(error.errors(include_input=False)[0]["msg"]).removeprefix("Value error, ")
        raise ValueError(f"{name}: {reason}") from error
