"""The health of a camera: who it is, whether its clock is right, and what is wrong otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from charging_core.clock import ManualClock
from parking.adapters.hikvision_isapi.adapter import DEVICE_INFO, DEVICE_TIME
from parking.adapters.registry import adapter_kind
from parking.port import Health, Outcome
from tests.parking.scripted_http import Reply, ScriptedServer, Seen

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
INFO = Reply(200, b"<DeviceInfo><model>DS-TCG405-E</model><firmwareVersion>V5.4.0</firmwareVersion></DeviceInfo>")
NOT_SUPPORTED = Reply(403, b"<ResponseStatus><statusCode>4</statusCode></ResponseStatus>")


def health_of(script: Callable[[Seen], Reply]) -> Health:
    with ScriptedServer(script) as server:
        values = {
            "base_url": server.url,
            "username": "admin",
            "password": "Gate#2024",
            "lane_ref": "exit-1",
            "direction": "exit",
        }
        adapter = adapter_kind("hikvision_isapi").create("conn-1", values, ManualClock(NOW))
        try:
            return adapter.health()
        finally:
            adapter.close()


def device(info: Reply, time: Reply) -> Callable[[Seen], Reply]:
    return lambda seen: {DEVICE_INFO: info, DEVICE_TIME: time}[seen.target]


@pytest.mark.parametrize(
    ("local", "skew"),
    [
        ("2026-03-02T09:00:00+08:00", 0),
        ("2026-03-02T09:02:05+08:00", 125),
        ("2026-03-02T01:00:00", -28800),
        ("soon", None),
    ],
)
def test_the_devices_clock_is_compared(local: str, skew: int | None) -> None:
    health = health_of(device(INFO, Reply(200, f"<Time><localTime>{local}</localTime></Time>".encode())))
    assert (health.outcome, health.clock_skew_s) == (Outcome.OK, skew)
    assert health.details == {"model": "DS-TCG405-E", "firmwareVersion": "V5.4.0"}


def test_a_model_without_a_time_is_healthy() -> None:
    health = health_of(device(INFO, NOT_SUPPORTED))
    assert (health.outcome, health.clock_skew_s) == (Outcome.OK, None)


@pytest.mark.parametrize("info", [NOT_SUPPORTED, Reply(200, b"<html>router</html>"), Reply(200, b"")])
def test_something_else_at_the_address_is_not_a_device(info: Reply) -> None:
    assert health_of(device(info, NOT_SUPPORTED)).outcome is Outcome.UNKNOWN
