"""The core sections of the file: tenant, operators, stations (tariffs: `tariffs.py`). Unknown keys are refused everywhere."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from charging_core.clock import CHINA
from charging_core.orders.starts.checks import CAPACITY
from charging_core.piles.errors import PileError
from charging_core.piles.protocols.ocpp16.options import read_options as ocpp_options
from charging_core.piles.protocols.ykc.dialect import read_options as ykc_options
from charging_core.stations.catalog import ConnectorSpec, PileSpec, StationSpec
from partners.secrets import SecretValue

_OPTIONS = MappingProxyType({"ykc": ykc_options, "ocpp16": ocpp_options})
"""Who can read the `protocol_options` of which protocol."""
Kilowatts = Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=4)]
Degrees = Annotated[Decimal, Field(decimal_places=6)]


def _china(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=CHINA)


def _from_words(value: Any) -> Any:
    # A time in the file is ISO text; a date alone means its midnight in China.
    return datetime.fromisoformat(value) if isinstance(value, str) else value


ChinaTime = Annotated[datetime, BeforeValidator(_from_words), AfterValidator(_china)]


class Section(BaseModel):
    """Base of all parts: unknown keys refused, numbers written where text is meant are taken as that text."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class TenantSection(Section):
    """租户."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    name: str = Field(min_length=1, max_length=128)


class OperatorSection(Section):
    """运营商."""

    id: str = Field(pattern=r"^[0-9A-Za-z]{9}$")
    name: str = Field(min_length=1, max_length=64)
    tel: str = Field(min_length=1, max_length=32)
    credit_code: str | None = Field(None, max_length=18)
    registered_address: str | None = Field(None, max_length=128)


class ConnectorSection(Section):
    """充电枪."""

    number: int = Field(ge=1, le=99)
    name: str | None = Field(None, max_length=30)
    kind: Literal["household", "ac_socket", "ac_plug", "dc_plug", "wireless", "other"]
    voltage_upper_v: int = Field(gt=0, le=2000)
    voltage_lower_v: int = Field(ge=0, le=2000)
    current_a: int = Field(gt=0, le=2000)
    power_kw: Kilowatts
    national_standard: Literal[1, 2] = 2
    bay: str | None = Field(None, max_length=10)
    extra: dict[str, Any] = Field(default_factory=dict)


class PileSection(Section):
    """充电桩."""

    code: str = Field(pattern=r"^[0-9]{14}$")
    name: str | None = Field(None, max_length=30)
    kind: Literal["dc", "ac"]
    power_kw: Kilowatts
    protocol: Literal["ykc", "ocpp16"] = "ykc"
    protocol_options: dict[str, Any] = Field(default_factory=dict)
    charge_point_id: str | None = Field(None, pattern=r"^[!-.0-9;-~]{1,48}$")
    """OCPP: the last part of its URL and the user of its basic auth; none: its code."""
    password: SecretValue | None = Field(None, min_length=8, max_length=64)
    """OCPP: none lets it in without (security profile 0)."""
    manufacturer: str | None = Field(None, max_length=30)
    model: str | None = Field(None, max_length=20)
    extra: dict[str, Any] = Field(default_factory=dict)
    connectors: list[ConnectorSection] = Field(min_length=1)

    @model_validator(mode="after")
    def _of_its_protocol(self) -> Self:
        if self.protocol != "ocpp16" and (self.charge_point_id is not None or self.password is not None):
            raise ValueError("charge_point_id 与 password 仅用于 ocpp16 / are for ocpp16 only")
        try:
            _OPTIONS[self.protocol](self.protocol_options)
        except PileError as error:
            raise ValueError(f"protocol_options: {error}") from error
        return self

    def spec(self) -> PileSpec:
        """What the core saves."""
        others = {"connectors", "charge_point_id", "password"}
        members = {name: getattr(self, name) for name in type(self).model_fields if name not in others}
        connectors = tuple(ConnectorSpec(**dict(connector)) for connector in self.connectors)
        return PileSpec(**members, connectors=connectors)


class TextsSection(Section):
    """Texts for drivers; each destination's profile picks what it shows."""

    site_guide: str | None = None
    electricity_fee: str | None = None
    service_fee: str | None = None
    park_fee: str | None = None
    business_hours: str | None = None
    payment: str | None = None
    remark: str | None = None


class StationSection(Section):
    """场站. `lng`/`lat` are GCJ-02 degrees."""

    code: str = Field(pattern=r"^[0-9A-Za-z]{1,20}$")
    operator: str
    owner_id: str | None = Field(None, max_length=18)
    name: str = Field(min_length=1, max_length=50)
    area_code: str = Field(min_length=6, max_length=20)
    address: str = Field(min_length=1, max_length=200)
    service_tel: str = Field(min_length=1, max_length=30)
    station_tel: str | None = Field(None, max_length=30)
    kind: Literal["public", "private", "bus", "sanitation", "logistics", "taxi", "other"] = "public"
    construction: Literal[
        "residential", "public_institution", "enterprise", "office", "industrial_park", "transport_hub",
        "culture_sport", "green", "building_car_park", "roadside", "motorway", "other",
    ] = "other"  # fmt: skip
    status: Literal["unknown", "construction", "closed", "maintenance", "normal"] = "normal"
    bays: int = Field(0, ge=0, le=100_000)
    lng: Annotated[Degrees, Field(ge=73, le=136)]
    lat: Annotated[Degrees, Field(ge=3, le=54)]
    tariff: str
    texts: TextsSection = TextsSection()
    extra: dict[str, Any] = Field(default_factory=dict)
    piles: list[PileSection] = Field(default_factory=list)

    @field_validator("extra")
    @classmethod
    def _capacity(cls, extra: dict[str, Any]) -> dict[str, Any]:
        capacity = extra.get(CAPACITY, 1)
        if isinstance(capacity, bool) or not isinstance(capacity, int | Decimal) or capacity <= 0:
            raise ValueError(f"{CAPACITY}: 应为千瓦数 / is a number of kW")
        return extra

    def spec(self) -> StationSpec:
        """What the core saves."""
        own = {"operator", "tariff", "piles", "texts"}
        members = {name: getattr(self, name) for name in type(self).model_fields if name not in own}
        return StationSpec(
            **members,
            operator_id=self.operator,
            tariff_code=self.tariff,
            texts=self.texts.model_dump(exclude_none=True),
            piles=tuple(pile.spec() for pile in self.piles),
        )
