"""Renders message bodies by profile: canonical scope in, ordered members with exact decimals out, plus what is wrong with them.

Pure: no clock, no database. Problems are found before the network (`specs/municipal.md` 13, rule 10); a body with problems is never
sent. Energies with fewer decimals than ours: the total is rounded and the details are spread by largest remainder (DECISIONS 12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from charging_core.money import ZERO, spread_largest_remainder
from partners.profiles.errors import InvalidProfile
from partners.profiles.profile import CompiledField, CompiledInterface, Profile, translate
from partners.profiles.scope import Scope
from partners.profiles.values import BadValue, as_decimal, is_null, rescale, write

Body = dict[str, Any]

QUANTITIES = frozenset({"money", "energy", "price"})
"""Types that the profile's `numbers` describes and the contract knows by its `x-quantity`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a body must not go out: a reason code, the member's path, and the fact in words.

    Codes: missing, id_not_assigned, bad_type, bad_enum, bad_scale, bad_expression, too_long, bad_length, detail_sum.
    """

    code: str
    field: str
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.code} ({self.detail})"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A body and its problems."""

    body: Body
    problems: tuple[Problem, ...]


def render(profile: Profile, interface: str, scope: Scope, now: datetime) -> Rendered:
    """The body of `interface` for one canonical object. `now` fills the fields marked push_time.

    Raises `InvalidProfile` when the profile does not know the interface.
    """
    compiled = profile.interface(interface)
    rendering = _Rendering(now)
    body = rendering.members(compiled.fields, scope, "")
    rendering.check_sums(compiled.fields, body, "")
    return Rendered(_wrapped(compiled, [body]), tuple(rendering.problems))


def render_many(profile: Profile, interface: str, scopes: Sequence[Scope], now: datetime) -> Rendered:
    """One body for several objects; needs an array wrapper. Problems carry the item's index."""
    compiled = profile.interface(interface)
    rendering = _Rendering(now)
    bodies = []
    for index, scope in enumerate(scopes):
        bodies.append(rendering.members(compiled.fields, scope, f"[{index}]."))
        rendering.check_sums(compiled.fields, bodies[-1], f"[{index}].")
    return Rendered(_wrapped(compiled, bodies), tuple(rendering.problems))


def combine(profile: Profile, interface: str, bodies: Iterable[Body]) -> Body:
    """One body out of the wrapped lists of several; only for interfaces with an array wrapper (checked when the profile is loaded)."""
    wrapper = profile.interface(interface).spec.wrapper
    if isinstance(wrapper, str):
        raise InvalidProfile(profile.id, f"{interface}: several objects in one call need an array wrapper")
    return {wrapper.key: [item for body in bodies for item in body[wrapper.key]]}


def refresh_push_times(profile: Profile, interface: str, body: Body, now: datetime) -> Body:
    """The frozen body with only its push_time members written anew, for a re-send (DECISIONS 19)."""
    compiled = profile.interface(interface)
    wrapper = compiled.spec.wrapper
    stamps = {field.spec.to: write(now, field.kind, field.places) for field in compiled.fields if field.spec.push_time}
    if not stamps:
        return body
    if isinstance(wrapper, str):
        return body | stamps
    inner = body[wrapper.key]
    fresh = inner | stamps if isinstance(inner, dict) else [item | stamps for item in inner]
    return body | {wrapper.key: fresh}


def contract_form(profile: Profile, interface: str, body: Body) -> Body:
    """The body as the contract's writer takes it: amounts that the profile writes as text are decimals again.

    The text form is then made by the writer, from `Profile.writing`; the two always agree.
    """
    compiled = profile.interface(interface)
    wrapper = compiled.spec.wrapper
    if isinstance(wrapper, str):
        return _as_decimals(compiled.fields, body)
    inner = body[wrapper.key]
    one_or_many = [_as_decimals(compiled.fields, item) for item in (inner if isinstance(inner, list) else [inner])]
    return {wrapper.key: one_or_many if isinstance(inner, list) else one_or_many[0]}


def _as_decimals(fields: Sequence[CompiledField], body: Body) -> Body:
    changed: Body = {}
    for field in fields:
        value = body.get(field.spec.to)
        if isinstance(value, str) and field.kind == "string_number" and field.spec.type in QUANTITIES:
            changed[field.spec.to] = Decimal(value)
        elif isinstance(value, list) and field.items:
            changed[field.spec.to] = [_as_decimals(field.items, item) for item in value]
        elif isinstance(value, dict) and field.items:
            changed[field.spec.to] = _as_decimals(field.items, value)
    return body | changed


def _wrapped(interface: CompiledInterface, bodies: list[Body]) -> Body:
    wrapper = interface.spec.wrapper
    if isinstance(wrapper, str):
        return bodies[0]
    return {wrapper.key: bodies if wrapper.kind == "array" else bodies[0]}


class _Rendering:
    """One pass over one message; collects the problems on its way."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.problems: list[Problem] = []

    def members(
        self, fields: Sequence[CompiledField], scope: Scope, where: str, spread: Mapping[str, Decimal] | None = None
    ) -> Body:
        body: Body = {}
        for field in fields:
            path = where + field.spec.to
            try:
                if field.when is not None and not field.when(scope):
                    continue
                value = self._value(field, scope, path, (spread or {}).get(field.spec.to))
            except BadValue as bad:
                self.problems.append(Problem(bad.code, path, bad.detail))
                continue
            if value is not None:
                body[field.spec.to] = value
            elif not field.spec.omit_if_null:
                body[field.spec.to] = field.spec.null_as
        return body

    def _value(self, field: CompiledField, scope: Scope, path: str, spread: Decimal | None) -> Any:
        if field.spec.push_time:
            return write(self._now, field.kind, field.places)
        if field.kind == "object":
            return self._object(field, scope, path)
        if field.kind == "array":
            return self._array(field, scope, path)
        if spread is not None:
            return write(spread, field.kind, field.places)
        raw = field.read(scope)
        if is_null(raw):
            return self._absent(field)
        return _checked(field, write(_prepared(field, raw, scope), field.kind, field.places, exact=field.exact))

    def _absent(self, field: CompiledField) -> Any:
        if field.spec.default is not None:
            return write(field.spec.default, field.kind, field.places)
        if field.spec.required:
            code = "missing" if field.spec.id is None else "id_not_assigned"
            raise BadValue(code, "a required member has no value")
        return None

    def _object(self, field: CompiledField, scope: Scope, path: str) -> Any:
        inner = field.read(scope) if field.spec.from_ is not None else scope
        if inner is None:
            return self._absent(field)
        named = _named(scope, field.spec.as_, inner) if field.spec.as_ else scope
        return self.members(field.items, named, f"{path}.")

    def _array(self, field: CompiledField, scope: Scope, path: str) -> Any:
        found = field.read(scope)
        if found is None:
            return [] if field.spec.required else None
        if not isinstance(found, (list, tuple)):
            raise BadValue("bad_type", f"{type(found).__name__} is not a list")
        scopes = [_named(scope, field.spec.as_, item) for item in found]
        spreads = _spreads(field, scopes)
        return [
            self.members(field.items, inner, f"{path}[{index}].", spreads[index]) for index, inner in enumerate(scopes)
        ]

    def check_sums(self, fields: Sequence[CompiledField], body: Body, where: str) -> None:
        for field in fields:
            if not field.spec.sum_of or field.spec.to not in body:
                continue
            try:
                self._check_sum(field, body)
            except BadValue as bad:
                self.problems.append(Problem(bad.code, where + field.spec.to, bad.detail))

    def _check_sum(self, field: CompiledField, body: Body) -> None:
        parts = [part for path in field.spec.sum_of for part in _parts(body, path.split("."))]
        total = body[field.spec.to]
        if parts and as_decimal(total) != sum(parts, ZERO):
            raise BadValue(
                "detail_sum", f"{total} is not the sum {sum(parts, ZERO)} of {' + '.join(field.spec.sum_of)}"
            )


def _named(scope: Scope, name: str | None, item: Any) -> Scope:
    """The scope below a list or object: the item under its name, or its own members as names. Raises `BadValue`."""
    if name == "*":
        if not isinstance(item, Mapping):
            raise BadValue("bad_type", f"{type(item).__name__} has no members")
        return {**scope, **item}
    return {**scope, str(name): item}


def _prepared(field: CompiledField, raw: Any, scope: Scope) -> Any:
    if field.convert is not None:
        raw = field.convert(raw, scope)
    if field.enum is None:
        return rescale(raw, field.spec.unit, field.spec.scale, field.spec.offset)
    code = translate(field.enum, raw)
    if code is None:
        raise BadValue("bad_enum", f"{raw!r} has no code")
    return code


def _checked(field: CompiledField, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if field.spec.len is not None and len(value) != field.spec.len:
        raise BadValue("bad_length", f"{len(value)} characters instead of {field.spec.len}")
    longest = field.spec.max_len
    if longest is None or len(value) <= longest:
        return value
    if field.spec.on_too_long == "error":
        raise BadValue("too_long", f"{len(value)} characters, at most {longest}")
    return value[:longest]


def _spreads(field: CompiledField, scopes: Sequence[Scope]) -> list[dict[str, Decimal]]:
    """Per item, the values of the members that share a rounded total."""
    shares: list[dict[str, Decimal]] = [{} for _ in scopes]
    for member in field.items:
        if not member.spec.spread:
            continue
        raws = [member.read(scope) for scope in scopes]
        if any(is_null(raw) for raw in raws):
            continue  # each item reports its own missing value
        values = [as_decimal(_prepared(member, raw, scope)) for raw, scope in zip(raws, scopes, strict=True)]
        rounded = spread_largest_remainder(values, member.places)
        for share, value in zip(shares, rounded, strict=True):
            share[member.spec.to] = value
    return shares


def _parts(value: Any, path: list[str]) -> list[Decimal]:
    """Every number below `value` at `path`, through lists; none where a member is absent."""
    if isinstance(value, list):
        return [part for item in value for part in _parts(item, path)]
    if not path:
        return [] if value is None else [as_decimal(value)]
    return _parts(value.get(path[0]), path[1:]) if isinstance(value, dict) else []
