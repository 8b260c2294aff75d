"""How a link may differ from the textbook: the switches of a partner profile (``specs/partners.md`` section 3).

Every option is strict or standard by default. They are frozen and checked when built, so a wrong profile fails at load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from types import MappingProxyType

from partners.tcec102.errors import ConfigurationError

REQUEST_SIGNING = "{OperatorID}{Data}{TimeStamp}{Seq}"
RESPONSE_SIGNING = "{Ret}{Msg}{Data}"
_REQUEST_NAMES = frozenset({"OperatorID", "Data", "TimeStamp", "Seq"})
_RESPONSE_NAMES = frozenset({"Ret", "Msg", "Data"})


class KeyStyle(StrEnum):
    """Case of the envelope's member names."""

    UPPER = "upper"
    LOWER_CAMEL = "lower_camel"


class Verify(StrEnum):
    """What to do with the signature of an answer."""

    STRICT = "strict"
    """Must fit; only an answer with Ret other than 0 may come without one (unsigned refusals)."""
    WARN = "warn"
    """A wrong one is reported in the result and counted, the answer is used."""
    OFF = "off"


class TimeFormat(StrEnum):
    """Forms of TimeStamp that are met."""

    SECONDS = "yyyyMMddHHmmss"
    MINUTES = "yyyyMMddHHmm"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"


@dataclass(frozen=True, slots=True)
class EnvelopeOptions:
    """Deviations of the envelope: case, signature, time, base64, encryption.

    ``plaintext_in`` / ``plaintext_out`` name interfaces whose Data is not encrypted; an inbound link with ``plaintext_in``
    needs an address allow-list. ``max_skew_s`` None switches the time window off. ``refuse_replays`` refuses a signed text that came
    before inside that window; never the pair of TimeStamp and Seq, which many senders repeat. ``seq_widths`` is (shortest, longest).
    """

    request_keys_in: KeyStyle | None = KeyStyle.UPPER
    """None accepts both cases."""
    request_keys_out: KeyStyle = KeyStyle.UPPER
    reply_keys: KeyStyle | None = None
    """None mirrors the request's case."""
    hex_case_out: str = "upper"
    hex_case_in: str = "any"
    null_msg_as: str = ""
    """How a null Msg enters the signature when an answer is verified: "" (standard) or "null" (some Java servers)."""
    verify_response: Verify = Verify.STRICT
    request_signing: str = REQUEST_SIGNING
    response_signing: str = RESPONSE_SIGNING
    time_formats_in: tuple[TimeFormat, ...] = (TimeFormat.SECONDS,)
    time_format_out: TimeFormat = TimeFormat.SECONDS
    max_skew_s: int | None = None
    refuse_replays: bool = False
    seq_widths: tuple[int, int] = (4, 4)
    base64_line_breaks: bool = True
    empty_data: str | None = ""
    """Data of an answer without a body: "" (usual), None (JSON null) or "encrypt_{}" (an encrypted empty object)."""
    plaintext_in: frozenset[str] = frozenset()
    plaintext_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_choice("hex_case_out", self.hex_case_out, {"upper", "lower"})
        _check_choice("hex_case_in", self.hex_case_in, {"any", "upper"})
        _check_choice("null_msg_as", self.null_msg_as, {"", "null"})
        _check_choice("empty_data", self.empty_data, {"", None, "encrypt_{}"})
        _check_template("request_signing", self.request_signing, _REQUEST_NAMES)
        _check_template("response_signing", self.response_signing, _RESPONSE_NAMES)
        if self.refuse_replays and self.max_skew_s is None:
            raise ConfigurationError("refuse_replays needs max_skew_s, which bounds what has to be remembered")
        if not self.time_formats_in:
            raise ConfigurationError("time_formats_in is empty")
        if not 1 <= self.seq_widths[0] <= self.seq_widths[1]:
            raise ConfigurationError("seq_widths is (shortest, longest), from 1")


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """What is forgiven when a decrypted body is read (sections 9 and 15 of the digest).

    The first four are the standard's own receiving rules (9.1) and on by default; the others belong to a profile.
    """

    text_numbers: bool = True
    """Accept ``"12.50"`` and ``"0"`` where a number is due."""
    number_ids: bool = True
    """Accept ``1001`` where a text is due, keeping its literal digits."""
    blank_is_missing: bool = True
    """Treat null and "" of an optional member as absent."""
    aliases: bool = True
    """Accept the other spellings of ``aliases.ALIASES``; two different values under two spellings are refused."""
    extra_aliases: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    any_name_case: bool = False
    """Match member names without regard to case (lower-camel senders)."""
    strip_names: bool = False
    """Drop white space around member names."""
    byte_order_mark: bool = False
    wrap_single: bool = False
    """Accept one object or text where a list is due, and a list of one where an object is due."""
    tolerant_schema: bool = True
    """Read by the tolerant keywords: unknown codes, longer texts. False demands the letter of the standard."""

    @classmethod
    def strict(cls) -> BodyOptions:
        """Nothing forgiven: what the conformance kit asks of a partner's messages."""
        return cls(text_numbers=False, number_ids=False, blank_is_missing=False, aliases=False, tolerant_schema=False)

    @classmethod
    def lenient(cls) -> BodyOptions:
        """Everything forgiven that cannot change the meaning."""
        return cls(any_name_case=True, strip_names=True, byte_order_mark=True, wrap_single=True)


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """How one kind of decimal is written: ``NumberStyle(2, as_text=True)`` gives ``"1.20"``."""

    decimals: int
    as_text: bool = False


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How decimals of our bodies are written: by ``x-quantity`` (money, energy, price …); absent = the contract's."""

    quantities: Mapping[str, NumberStyle] = field(default_factory=lambda: MappingProxyType({}))


def _check_choice(name: str, value: str | None, allowed: set[str | None] | set[str]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} cannot be {value!r}")


def _check_template(name: str, template: str, names: frozenset[str]) -> None:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a template") from error
    used = {piece[1] for piece in pieces if piece[1] is not None}
    plain = all(not piece[2] and piece[3] is None for piece in pieces)
    if not plain or not used <= names or "Data" not in used:
        raise ConfigurationError(f"{name} may use only {sorted(names)}, and must use Data")


STANDARD_ENVELOPE = EnvelopeOptions()
STANDARD_BODY = BodyOptions()
STANDARD_WRITE = WriteOptions()
