"""A loaded profile: the schema's content with its expressions compiled, its tables looked up and its references checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from partners.profiles.errors import InvalidProfile, ProfileNotAllowed
from partners.profiles.options import body_options, envelope_options
from partners.profiles.schema import EnumTable, FieldSpec, InterfaceSpec, Numbers, ProfileSpec, Status
from partners.profiles.scope import Scope, look_up
from partners.profiles.values import KNOWN_UNITS, BadValue
from partners.tcec102.options import BodyOptions, EnvelopeOptions, NumberStyle, WriteOptions
from worker.errors import ExpressionError
from worker.expressions import Expression, compile_expression
from worker.policy import DeliveryPolicy

Converter = Callable[[Any, Scope], Any]
"""A named pure function that a room adds to the engine: (value, scope) -> value."""

Reader = Callable[[Scope], Any]


@dataclass(frozen=True, slots=True)
class CompiledField:
    """A field ready to be rendered: its reader, its resolved type, its table."""

    spec: FieldSpec
    kind: str
    places: int
    exact: bool
    read: Reader
    when: Reader | None
    enum: EnumTable | None
    convert: Converter | None
    items: tuple[CompiledField, ...]


@dataclass(frozen=True, slots=True)
class CompiledInterface:
    """An interface ready to be rendered."""

    name: str
    spec: InterfaceSpec
    fields: tuple[CompiledField, ...]
    when: Reader | None
    policy: DeliveryPolicy

    def wanted(self, scope: Scope) -> bool:
        """Whether the interface speaks about the object in `scope` at all."""
        return self.when is None or bool(self.when(scope))


class Profile:
    """One profile. Immutable after loading; safe to share between threads.

    Raises `InvalidProfile` for an unknown table, unit, converter, derivation or an expression that does not parse.
    """

    def __init__(self, spec: ProfileSpec, converters: Mapping[str, Converter]) -> None:
        self.spec = spec
        self._converters = converters
        self._ids = {kind: self._expression(f"ids.{kind}", text) for kind, text in spec.ids.items()}
        self._interfaces = {name: self._interface(name, part) for name, part in spec.interfaces.items()}

    @property
    def id(self) -> str:
        """The profile's id, equal to its file name."""
        return self.spec.id

    @property
    def names(self) -> frozenset[str]:
        """The interfaces this profile knows."""
        return frozenset(self._interfaces)

    def interface(self, name: str) -> CompiledInterface:
        """The interface `name`. Raises `InvalidProfile` when the profile has none of that name."""
        try:
            return self._interfaces[name]
        except KeyError as error:
            raise InvalidProfile(self.id, f"no interface {name}") from error

    def derive(self, kind: str, scope: Scope) -> Any:
        """The wire's id of `kind` (connector_id, station_id …) for the object in `scope`; None when it has none yet."""
        return self._ids[kind](scope)

    def native_id(self, kind: str) -> bool:
        """Whether the derivation is our own code unchanged, so that an inbound id can be looked up directly."""
        return self.spec.ids.get(kind) in (f"{kind.removesuffix('_id')}.code", None)

    def collisions(self, kind: str, scopes: Iterable[Scope]) -> dict[str, int]:
        """Wire ids of `kind` that more than one of these objects would get, with their number.

        A derivation that cuts (`last(pile.code, 12)`) may make two piles one: to be looked at before a link is saved.
        """
        counts = Counter(str(found) for scope in scopes if (found := self.derive(kind, scope)) is not None)
        return {wire_id: count for wire_id, count in counts.items() if count > 1}

    def code(self, table: str, word: Any) -> int | str | None:
        """The wire's code of our `word` by the profile's enum `table`, None when neither it nor `else` is there."""
        return translate(self.spec.enums.get(table, {}), word)

    @cached_property
    def envelope(self) -> EnvelopeOptions:
        """How this partner's envelopes differ from the textbook."""
        return envelope_options(self.spec.envelope)

    @cached_property
    def body(self) -> BodyOptions:
        """What is forgiven when this partner's bodies are read."""
        return body_options(self.spec.body)

    @cached_property
    def writing(self) -> WriteOptions:
        """How the contract's writer puts money, energy and prices on the wire for this partner."""
        styles = {}
        for quantity in ("money", "energy", "price"):
            kind, places = resolve_type(quantity, self.spec.numbers)
            styles[quantity] = NumberStyle(places, as_text=kind == "string_number")
        return WriteOptions(styles)

    def check_allowed(self, environment: str, today: date) -> None:
        """Raise `ProfileNotAllowed` when the profile is unverified and `environment` is prod, or not valid on `today`."""
        if environment == "prod" and self.spec.status is Status.UNVERIFIED:
            raise ProfileNotAllowed(
                self.id, "an unverified profile is not used in production 未经验证的档案不能用于生产环境"
            )
        after, before = self.spec.valid_from, self.spec.valid_to
        if (after is not None and today < after) or (before is not None and today >= before):
            raise ProfileNotAllowed(self.id, f"not valid on {today} 不在有效期内")

    def _interface(self, name: str, spec: InterfaceSpec) -> CompiledInterface:
        fields = self._fields(name, spec.fields)
        when = None if spec.when is None else self._expression(f"{name}.when", spec.when)
        return CompiledInterface(name, spec, fields, when, self._policy(name, spec, fields))

    def _policy(self, name: str, spec: InterfaceSpec, fields: tuple[CompiledField, ...]) -> DeliveryPolicy:
        """The delivery policy under the profile's name, with what the triggers say about unchanged values."""
        updates: dict[str, Any] = {"name": f"{self.id}/{name}"[:64], "version": self.spec.version}
        for trigger in spec.trigger:
            if trigger.on_change is not None:
                updates["on_change"] = self._watched(name, spec, trigger.on_change, fields)
                updates["send_first"] = trigger.send_first
        return (spec.delivery or DeliveryPolicy()).model_copy(update=updates)

    def _watched(
        self, name: str, spec: InterfaceSpec, wanted: list[str] | str, fields: tuple[CompiledField, ...]
    ) -> tuple[str, ...]:
        """The top-level members whose values decide whether a push is news."""
        known = tuple(field.spec.to for field in fields if not field.spec.push_time)
        if wanted == "all":
            return known if isinstance(spec.wrapper, str) else (spec.wrapper.key,)
        unknown = set(wanted) - set(known)
        if unknown or not isinstance(spec.wrapper, str):
            raise InvalidProfile(self.id, f"{name}.on_change: names members of a flat body, or all; not {wanted}")
        return tuple(wanted)

    def _fields(self, where: str, specs: list[FieldSpec]) -> tuple[CompiledField, ...]:
        names = [spec.to for spec in specs]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InvalidProfile(self.id, f"{where}: {', '.join(sorted(twice))} twice")
        return tuple(self._field(f"{where}.{spec.to}", spec) for spec in specs)

    def _field(self, where: str, spec: FieldSpec) -> CompiledField:
        kind, places = resolve_type(spec.type, self.spec.numbers)
        if spec.unit is not None and spec.unit not in KNOWN_UNITS:
            raise InvalidProfile(self.id, f"{where}: unknown unit {spec.unit}")
        return CompiledField(
            spec=spec,
            kind=kind,
            places=places,
            exact=spec.type == "money",
            read=self._reader(where, spec),
            when=None if spec.when is None else self._expression(where, spec.when),
            enum=self._table(where, spec.enum),
            convert=self._converter(where, spec.convert),
            items=self._fields(where, spec.items or []),
        )

    def _reader(self, where: str, spec: FieldSpec) -> Reader:
        if spec.from_ is not None:
            path = spec.from_
            return lambda scope: look_up(scope, path)
        if spec.expr is not None:
            return self._expression(where, spec.expr)
        if spec.id is not None:
            if spec.id not in self._ids:
                raise InvalidProfile(self.id, f"{where}: no id derivation {spec.id}")
            return self._ids[spec.id]
        constant = spec.const
        return lambda _scope: constant

    def _expression(self, where: str, text: str) -> Reader:
        try:
            expression = compile_expression(text, frozenset({"assigned"}))
        except ExpressionError as error:
            raise InvalidProfile(self.id, f"{where}: {error}") from error
        return lambda scope: _evaluate(expression, scope)

    def _table(self, where: str, enum: EnumTable | str | None) -> EnumTable | None:
        if not isinstance(enum, str):
            return enum
        try:
            return self.spec.enums[enum.removeprefix("$")]
        except KeyError as error:
            raise InvalidProfile(self.id, f"{where}: no enum table {enum}") from error

    def _converter(self, where: str, name: str | None) -> Converter | None:
        if name is None:
            return None
        try:
            return self._converters[name]
        except KeyError as error:
            raise InvalidProfile(self.id, f"{where}: unknown converter {name}") from error


def _evaluate(expression: Expression, scope: Scope) -> Any:
    def assigned(kind: str) -> Any:
        """The code that the other side issued for our object of this kind; null until it is imported."""
        return look_up(scope, f"assigned.{kind}.{look_up(scope, f'{kind}.code')}")

    try:
        return expression.evaluate(scope, {"assigned": assigned})
    except ExpressionError as error:
        raise BadValue("bad_expression", str(error)) from error


def translate(table: EnumTable, word: Any) -> int | str | None:
    """The table's entry for `word`, or its `else`, or None."""
    return table.get(str(word), table.get("else"))


def resolve_type(text: str, numbers: Numbers) -> tuple[str, int]:
    """A field type as (kind, decimals): `money` through the profile's numbers, `string:2` as text of a number."""
    if text in ("money", "energy", "price"):
        text = getattr(numbers, text)
    kind, _, places = text.partition(":")
    if not places:
        return kind, 0
    return ("string_number" if kind == "string" else "number"), int(places)
