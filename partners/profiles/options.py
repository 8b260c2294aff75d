"""The protocol's options from a profile's plain data: the same names, unknown ones refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from partners.tcec102.errors import ConfigurationError
from partners.tcec102.options import BodyOptions, EnvelopeOptions, KeyStyle, TimeFormat, Verify

_Options = TypeVar("_Options", EnvelopeOptions, BodyOptions)


def _style(value: Any) -> KeyStyle | None:
    return None if value in (None, "any", "mirror") else KeyStyle(value)


_ENVELOPE: Mapping[str, Callable[[Any], Any]] = {
    "request_keys_in": _style,
    "request_keys_out": KeyStyle,
    "reply_keys": _style,
    "verify_response": Verify,
    "time_formats_in": lambda value: tuple(TimeFormat(one) for one in value),
    "time_format_out": TimeFormat,
    "seq_widths": tuple,
    "plaintext_in": frozenset,
    "plaintext_out": frozenset,
}
_BODY: Mapping[str, Callable[[Any], Any]] = {
    "extra_aliases": lambda value: {name: tuple(spellings) for name, spellings in value.items()},
}


def envelope_options(given: Mapping[str, Any]) -> EnvelopeOptions:
    """`EnvelopeOptions` from a profile's `envelope`. Raises `ValueError` for an unknown option or value."""
    return _build(EnvelopeOptions, given, _ENVELOPE)


def body_options(given: Mapping[str, Any]) -> BodyOptions:
    """`BodyOptions` from a profile's `body`. Raises `ValueError` for an unknown option or value."""
    return _build(BodyOptions, given, _BODY)


def _build(kind: type[_Options], given: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]) -> _Options:
    unknown = set(given) - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"unknown option {', '.join(sorted(unknown))}")
    try:
        return kind(**{name: readers.get(name, lambda same: same)(value) for name, value in given.items()})
    except (ConfigurationError, TypeError) as error:
        raise ValueError(str(error)) from error
