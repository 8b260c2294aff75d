"""What may differ from pile to pile: the `protocol_options` of an OCPP pile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from charging_core.piles.protocols.ocpp16.errors import BadOption

CONFIGURATION: Mapping[str, str] = MappingProxyType(
    {
        "MeterValueSampleInterval": "15",  # as YKC samples while charging
        "MeterValuesSampledData": "Energy.Active.Import.Register,Voltage,Current.Import,SoC",
        "ConnectionTimeOut": "60",  # the time for the plug that orders give (orders/limits.py)
        "StopTransactionOnInvalidId": "true",  # a charge that nobody pays ends by itself
    }
)
"""What every pile is told after it booted; keys it does not know it refuses, which changes nothing."""
_KEY_LENGTH, _VALUE_LENGTH = 50, 500
"""Of ChangeConfiguration."""


@dataclass(frozen=True, slots=True)
class Options:
    """`configuration`: keys told after a boot, beside or instead of the usual ones (an empty value: leave this key alone)."""

    heartbeat_s: int = 30
    """A third of the silence after which a link is dead (DECISIONS 16)."""
    configuration: Mapping[str, str] = field(default_factory=lambda: CONFIGURATION)


USUAL = Options()


def read_options(options: Mapping[str, Any]) -> Options:
    """The options that a pile's `protocol_options` describe. Raises `BadOption` for an unknown name or a value of no use."""
    for name in options:
        if name not in Options.__dataclass_fields__:
            raise BadOption(f"未知的桩协议选项 / unknown protocol option: {name}")
    heartbeat_s = options.get("heartbeat_s", USUAL.heartbeat_s)
    if type(heartbeat_s) is not int or not 5 <= heartbeat_s <= 3600:
        raise BadOption(f"heartbeat_s 应为 5…3600 / is 5…3600, not {heartbeat_s!r}")
    return Options(heartbeat_s, _configuration(options.get("configuration", {})))


def _configuration(given: Any) -> Mapping[str, str]:
    if not isinstance(given, Mapping):
        raise BadOption("configuration 应为键值表 / is a table of keys")
    told = dict(CONFIGURATION)
    for key, value in given.items():
        fits = isinstance(value, str) and len(value) <= _VALUE_LENGTH and 0 < len(str(key)) <= _KEY_LENGTH
        if not fits:
            raise BadOption(
                f"configuration.{key}: 取值应为文本 / its value is text of at most {_VALUE_LENGTH} characters"
            )
        told[str(key)] = value
    return {key: value for key, value in told.items() if value}
