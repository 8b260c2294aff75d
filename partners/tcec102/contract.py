"""The contract, compiled once at start from ``openapi/tcec102.yaml``: what each interface asks and answers.

contract = Contract.standard()
body = contract["query_start_charge"].request.read(decrypted)      # raises InvalidBody with the member's path
plain = contract["query_start_charge"].reply.write(answer)         # JSON bytes, decimals in the contract's scale
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jsonschema_rs

import openapi
from partners.tcec102 import jsonio
from partners.tcec102.errors import ConfigurationError, InvalidBody, UnwritableBody
from partners.tcec102.options import STANDARD_BODY, STANDARD_WRITE, BodyOptions, WriteOptions
from partners.tcec102.reading import read
from partners.tcec102.schemas import Node, build_node, json_schema
from partners.tcec102.writing import Writer

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class Side(StrEnum):
    """What we are for an interface."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Violation:
    """One difference between a body and the contract: the member's path (empty = the body itself) and why."""

    field: str
    reason: str


class BodySchema:
    """One decrypted body of the contract: read it, write it, list what is wrong with it."""

    def __init__(self, schemas: Mapping[str, Any], name: str) -> None:
        self.name = name
        self._node = build_node(schemas, name)
        self._writer = Writer(self._node)
        self._strict = _validator(json_schema(schemas, name, tolerant=False))
        self._tolerant = _validator(json_schema(schemas, name, tolerant=True))

    @property
    def node(self) -> Node:
        """The schema as a tree, for whoever makes or takes apart bodies: the conformance kit, tests."""
        return self._node

    def read(self, body: Any, options: BodyOptions = STANDARD_BODY) -> dict[str, Any]:
        """The body in the standard's form: standard member names, ids as text, amounts as ``Decimal``.

        :raises InvalidBody: (4004) with the path of the first wrong member.
        """
        standard = read(self._node, body, options)
        validator = self._tolerant if options.tolerant_schema else self._strict
        if not validator.is_valid(standard):
            first = _first(validator, standard)
            raise InvalidBody(first.reason, field=first.field)
        return standard  # type: ignore[no-any-return]  # the schema says it is an object

    def write(self, body: Mapping[str, Any], options: WriteOptions = STANDARD_WRITE) -> bytes:
        """JSON bytes of one of our bodies, each decimal with its fixed scale, nothing rounded.

        :raises UnwritableBody: a float, a number beyond its scale, a type JSON does not have.
        """
        return jsonio.dumps(self._writer.scaled(body, options))

    def violations(self, body: Any, *, strict: bool = True) -> list[Violation]:
        """Everything in which a body differs from the letter (or, not strict, from the tolerant form) of the contract.

        A body with ``Rendered`` pieces cannot be looked into and has none.
        """
        validator = self._strict if strict else self._tolerant
        if _is_valid(validator, body) or _holds_rendered(body):
            return []
        return [_violation(error) for error in validator.iter_errors(body)]

    def check_outgoing(self, body: Mapping[str, Any]) -> list[Violation]:
        """Violations of a body that we are about to send, other spellings and echoed foreign ids being legal."""
        if _is_valid(self._tolerant, body):
            return []
        try:
            return self.violations(read(self._node, body, STANDARD_BODY), strict=False)
        except InvalidBody as error:
            return [Violation(error.field, error.msg)]


@dataclass(frozen=True, slots=True)
class Interface:
    """One function of the standard: its wire name, our side, its bodies, and whether it needs a token."""

    name: str
    side: Side
    request: BodySchema
    reply: BodySchema
    needs_token: bool
    summary: str
    clause: str


class Contract(Mapping[str, Interface]):
    """All interfaces by wire name (case-sensitive)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        schemas = document.get("components", {}).get("schemas", {})
        bodies: dict[str, BodySchema] = {}
        self._schemas, self._bodies = schemas, bodies
        self._interfaces = {
            interface.name: interface
            for path, item in document.get("paths", {}).items()
            if (interface := _interface(path, item, schemas, bodies))
        }

    @classmethod
    def standard(cls) -> Contract:
        """The contract of ``openapi/tcec102.yaml``.

        :raises ConfigurationError: the document is not one this package understands.
        """
        return cls(openapi.load("tcec102"))

    def component(self, name: str) -> BodySchema:
        """A part of bodies by itself (``StationInfo``), for whoever writes such parts once and sends them often.

        :raises ConfigurationError: the contract has no such schema.
        """
        return _body(name, self._schemas, self._bodies)

    def __getitem__(self, name: str) -> Interface:
        return self._interfaces[name]

    def __contains__(self, name: object) -> bool:
        # Asked several times for every call; the one of Mapping catches an exception for each unknown name.
        return name in self._interfaces

    def __iter__(self) -> Iterator[str]:
        return iter(self._interfaces)

    def __len__(self) -> int:
        return len(self._interfaces)


def _interface(
    path: str, item: Mapping[str, Any], schemas: Mapping[str, Any], bodies: dict[str, BodySchema]
) -> Interface:
    operation = item.get("post", {})
    name = path.removeprefix("/")
    if set(item) != {"post"} or operation.get("operationId") != name:
        raise ConfigurationError(f"{path}: one POST operation whose operationId is the interface name is due")
    try:
        return Interface(
            name=name,
            side=Side(operation["x-tcec-side"]),
            request=_body(operation["x-tcec-request"], schemas, bodies),
            reply=_body(operation["x-tcec-response"], schemas, bodies),
            needs_token=operation.get("x-tcec-token", True),
            summary=operation.get("summary", ""),
            clause=operation.get("x-tcec-clause", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _body(name: str, schemas: Mapping[str, Any], bodies: dict[str, BodySchema]) -> BodySchema:
    if name not in bodies:
        bodies[name] = BodySchema(schemas, name)
    return bodies[name]


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$schema": _DRAFT, **schema})


def _first(validator: jsonschema_rs.Draft202012Validator, body: Any) -> Violation:
    return _violation(next(iter(validator.iter_errors(body))))


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    path = _path(error.instance_path)
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
        member = error.kind.property
        return Violation(f"{path}.{member}" if path else member, "缺失 missing")
    return Violation(path, _reason(error))


def _reason(error: jsonschema_rs.ValidationError) -> str:
    """The keyword and its limit, never the value: it may be personal or secret."""
    kind, limit = error.kind.name, error.kind.value
    if kind == "type":
        return f"类型应为 must be {limit}"
    return f"不符合 violates {kind} {limit}"


def _is_valid(validator: jsonschema_rs.Draft202012Validator, body: Any) -> bool:
    try:
        return validator.is_valid(body)
    except ValueError:  # a type that JSON does not have: a rendered piece, or a mistake that the writer refuses
        return True


def _holds_rendered(value: Any) -> bool:
    if isinstance(value, jsonio.Rendered):
        return True
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds_rendered(item) for item in below)


def _path(parts: list[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


__all__ = ["BodySchema", "Contract", "Interface", "Side", "UnwritableBody", "Violation"]
