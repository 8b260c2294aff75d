"""The shape of a profile file. Unknown keys are refused, so that a misspelt option never passes silently.

The keys follow `specs/partners.md` section 3 and `specs/municipal.md` 12; a room that needs more subclasses `InterfaceSpec` and
`ProfileSpec`. All texts that compute something are the safe expressions of `worker.expressions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from partners.profiles.options import body_options, envelope_options
from worker.policy import DeliveryPolicy

FIELD_TYPE = re.compile(
    r"^(any|int|string|datetime|date|hhmmss|hhmm|bool01|object|array|money|energy|price|(number|string):[0-6])$"
)
"""Number and string types carry their decimals; money, energy and price take theirs from the profile's `numbers`."""

WIRE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

ITEM_NAME = re.compile(r"^(\*|[a-z_][a-z0-9_]*)$")
"""How the items of a list are called in the fields below it; `*` = the item's own members become names."""


class Strict(BaseModel):
    """A part of a profile: immutable, and no key beyond the named ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Status(StrEnum):
    """How well the profile is proven: by a certified link, by public evidence in parts, or not at all."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    UNVERIFIED = "unverified"


def _field_type(value: str) -> str:
    if FIELD_TYPE.match(value) is None:
        raise ValueError(f"{value!r} is not a field type")
    return value


def _text_keys(value: Any) -> Any:
    return {str(key): target for key, target in value.items()} if isinstance(value, dict) else value


FieldType = Annotated[str, AfterValidator(_field_type)]
EnumTable = Annotated[dict[str, int | str], BeforeValidator(_text_keys)]
"""Our word (or code) -> the wire's; `else` catches the rest."""


class FieldSpec(Strict):
    """One member of a body: where it comes from and how it is written."""

    to: str = Field(pattern=WIRE_NAME.pattern)
    from_: str | None = Field(default=None, alias="from")
    const: int | str | list[Any] | None = None
    expr: str | None = None
    id: str | None = None
    push_time: bool = False
    type: FieldType = "string"
    items: list[FieldSpec] | None = None
    as_: str | None = Field(default=None, alias="as", pattern=ITEM_NAME.pattern)
    when: str | None = None
    required: bool = False
    default: int | str | list[Any] | None = None
    omit_if_null: bool = True
    null_as: int | str | None = None
    len: int | None = Field(default=None, ge=1)
    max_len: int | None = Field(default=None, ge=1)
    on_too_long: Literal["error", "truncate"] = "error"
    enum: EnumTable | str | None = None
    scale: str | int | None = None
    offset: str | int | None = None
    unit: str | None = None
    convert: str | None = None
    spread: bool = False
    sum_of: list[str] = []

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.from_ is not None, self.const is not None, self.expr is not None, self.id is not None]
        if sum(given) + self.push_time > 1 or (sum(given) + self.push_time == 0 and self.type != "object"):
            raise ValueError(f"{self.to}: exactly one of from, const, expr, id, push_time says where it comes from")
        if self.type in ("object", "array") and not self.items:
            raise ValueError(f"{self.to}: an {self.type} needs items")
        if self.type == "array" and self.as_ is None:
            raise ValueError(f"{self.to}: an array names its item with 'as'")
        if self.id is not None and self.on_too_long == "truncate":
            raise ValueError(f"{self.to}: an id is never truncated")
        return self


class Wrapper(Strict):
    """The member that holds the object, as one object or as a list of one."""

    key: str = Field(pattern=WIRE_NAME.pattern)
    kind: Literal["object", "array"]


class Every(Strict):
    """A rhythm in seconds, aligned to the clock (China time) or to the start of the order."""

    seconds: int = Field(ge=1)
    align: Literal["clock", "start"] = "start"


class Trigger(Strict):
    """When an interface speaks. `on_change` lists wire names; `all` means every member of the body."""

    on_event: list[str] | None = None
    on_change: list[str] | Literal["all"] | None = None
    on_end: bool = False
    send_first: bool = True
    every: Every | None = None
    first_then_every: Every | None = None


class InterfaceSpec(Strict):
    """One interface: what we say in it.

    `push`: the request body; `serve`: the body of our answer; `object`: a part of other bodies, rendered by itself (`StationInfo`).
    `when` leaves a push out for objects that it does not hold for. `delivery.batch` puts several objects into the wrapper's list.
    """

    direction: Literal["push", "serve", "object"]
    source: str
    when: str | None = None
    wrapper: Literal["none"] | Wrapper = "none"
    fields: list[FieldSpec]
    trigger: list[Trigger] = []
    delivery: DeliveryPolicy | None = None

    @model_validator(mode="after")
    def _a_batch_is_a_list(self) -> Self:
        together = self.delivery is not None and self.delivery.batch is not None
        if together and (isinstance(self.wrapper, str) or self.wrapper.kind != "array"):
            raise ValueError("delivery.batch: several objects in one call need an array wrapper")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_trigger_is_a_list(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("trigger"), dict):
            return values | {"trigger": [values["trigger"]]}
        return values


class Numbers(Strict):
    """How money, energy and prices are written (`number:2`, `string:2`)."""

    money: FieldType = "number:2"
    energy: FieldType = "number:2"
    price: FieldType = "number:4"


class Transport(Strict):
    """Paths and time limits of the HTTP calls."""

    base_in: str | None = None
    paths_out: dict[str, str] = {}
    path_aliases_in: dict[str, str] = {}
    connect_timeout_s: float = Field(default=3, gt=0, le=30)
    read_timeout_s: float = Field(default=10, gt=0, le=60)


class Token(Strict):
    """Life and spelling of access tokens."""

    scheme: str = "Bearer "
    accept_schemes: list[str] = ["Bearer "]
    ttl_issued_s: int = Field(default=7200, ge=60, le=604_800)
    refresh_margin_s: int = Field(default=300, ge=0)


class Keys(Strict):
    """How the contract writes the keys."""

    encoding: Literal["raw", "hex"] = "raw"


class Start(Strict):
    """Which request members of a start carry the plate, the phone and the limit in yuan, in order of preference."""

    plate_fields: list[str] = ["PlateNum"]
    phone_fields: list[str] = ["PhoneNum"]
    limit_fields: list[str] = ["Balance"]


class Timing(Strict):
    """Deadlines towards this partner in seconds (`specs/tcec102.md` 12.2); a link may override them."""

    start_result_s: int = Field(default=50, gt=5)
    stop_result_s: int = Field(default=50, gt=0)
    charge_status_s: int = Field(default=50, gt=0)
    order_s: int = Field(default=150, gt=0)
    status_query_s: int = Field(default=120, gt=0)


class DailyStatement(Strict):
    """`check_charge_orders`: who sends it, from when on for the day before (China time), which orders belong to a day."""

    direction: Literal["we_send", "none"] = "we_send"
    at: str = Field(default="01:30", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    covers: Literal["previous_day"] = "previous_day"
    by: Literal["end", "start"] = "end"
    send_empty: bool = True


class Reconcile(Strict):
    """How accounts are compared (`specs/tcec102.md` 13)."""

    check_charge_orders: DailyStatement = DailyStatement()


class Served(Strict):
    """Habits of the answers we give."""

    unknown_order: Literal["stat_5", "ret_4004"] = "ret_4004"
    stats_days_max: int = Field(default=31, ge=1)
    station_ids_max: int = Field(default=50, ge=1)
    page_size_max: int = Field(default=100, ge=1)


def _checked(build: Callable[[Mapping[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def check(given: dict[str, Any]) -> dict[str, Any]:
        build(given)
        return given

    return check


class ProfileSpec(Strict):
    """A whole profile, after `extends` and patches."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    version: str
    display_name: dict[Literal["zh", "en"], str]
    status: Status
    evidence: list[str] = []
    valid_from: date | None = None
    valid_to: date | None = None
    extends: str | None = None
    transport: Transport = Transport()
    envelope: Annotated[dict[str, Any], AfterValidator(_checked(envelope_options))] = {}
    body: Annotated[dict[str, Any], AfterValidator(_checked(body_options))] = {}
    token: Token = Token()
    keys: Keys = Keys()
    numbers: Numbers = Numbers()
    start: Start = Start()
    timing: Timing = Timing()
    served: Served = Served()
    reconcile: Reconcile = Reconcile()
    enums: dict[str, EnumTable] = {}
    ids: dict[str, str] = {}
    interfaces: Mapping[str, InterfaceSpec]
