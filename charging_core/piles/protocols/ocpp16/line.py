"""A kept request in one line, for a page that people read. Never a tag or a serial number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from charging_core.piles.protocols.ocpp16.frames import FROM_PILE
from charging_core.piles.protocols.ykc.line import FrameLine

_SHOWN = ("connectorId", "transactionId", "meterStart", "meterStop", "timestamp", "reason", "firmwareVersion")
_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "BootNotification": ("桩启动", "the pile booted"),
        "RemoteStartTransaction": ("远程启动", "remote start"),
        "RemoteStopTransaction": ("远程停止", "remote stop"),
        "StartTransaction": ("充电开始", "the charge began"),
        "StopTransaction": ("充电结束", "the charge ended"),
    }
)


def frame_line(raw: bytes) -> FrameLine:
    """The line of a request; one that cannot be read says so."""
    try:
        _, _, action, payload = json.loads(raw)
        zh, en = _NAMES[action]
        text = " ".join(f"{name}={payload[name]}" for name in _SHOWN if name in payload)
    except (ValueError, KeyError, TypeError) as error:
        return FrameLine("?", "up", "无法解码", "not decodable", str(error))
    return FrameLine(action, "up" if action in FROM_PILE else "down", zh, en, text)
