"""The registry: settings are checked as a whole, secrets are known, capabilities follow from settings."""

from __future__ import annotations

from typing import Any

import pytest

from charging_core.clock import SystemClock
from parking.adapters.registry import adapter_kind, adapter_kinds
from parking.errors import SettingsError
from parking.port import BenefitKind, GateAction, PassageKind

ISECURE: dict[str, Any] = {
    "base_url": "https://10.0.0.2:443",
    "app_key": "k",
    "app_secret": "very-secret",
    "park_syscode": "p",
}
ISAPI: dict[str, Any] = {
    "base_url": "http://10.0.0.9",
    "username": "admin",
    "password": "very-secret",
    "lane_ref": "exit-1",
    "direction": "exit",
}
SETTINGS = {"hikvision_isecure": ISECURE, "hikvision_isapi": ISAPI}


def test_every_kind_builds_from_plain_values() -> None:
    assert set(adapter_kinds()) == set(SETTINGS)
    for name, values in SETTINGS.items():
        kind = adapter_kind(name)
        adapter = kind.create("conn-1", values, SystemClock())
        assert adapter.capabilities == kind.capabilities(values)
        adapter.close()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_all_problems_are_named_at_once(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        adapter_kind(name).validate({"base_url": "ftp://x", "colour": "red"})
    named = {member for member, _text in caught.value.problems}
    assert {"base_url", "colour"} <= named
    assert len(named) > 3


@pytest.mark.parametrize(("name", "secret"), [("hikvision_isecure", "app_secret"), ("hikvision_isapi", "password")])
def test_secrets_are_declared_and_do_not_print(name: str, secret: str) -> None:
    kind = adapter_kind(name)
    assert kind.secret_members == {secret}
    assert "very-secret" not in repr(kind.validate(SETTINGS[name]))


@pytest.mark.parametrize(
    ("name", "changes", "member"),
    [
        ("hikvision_isecure", {"tls": {"ca_pem": "-----BEGIN CERTIFICATE-----\nnonsense"}}, "tls"),
        ("hikvision_isecure", {"tls": {"verify": False}}, "tls.verify"),
        ("hikvision_isecure", {"tls": {"pin_sha256": "12"}}, "tls.pin_sha256"),
        ("hikvision_isecure", {"base_url": "https://host/path"}, "base_url"),
        ("hikvision_isapi", {"direction": "forward"}, "direction"),
        ("hikvision_isapi", {"gate_methods": ["magic"]}, "gate_methods.0"),
    ],
)
def test_values_out_of_range(name: str, changes: dict[str, Any], member: str) -> None:
    with pytest.raises(SettingsError) as caught:
        adapter_kind(name).validate({**SETTINGS[name], **changes})
    assert [found for found, _text in caught.value.problems] == [member]


def test_an_unknown_adapter_lists_those_that_exist() -> None:
    with pytest.raises(SettingsError, match="hikvision_isapi, hikvision_isecure"):
        adapter_kind("etcp")


def test_capabilities_follow_from_settings() -> None:
    isecure, isapi = adapter_kind("hikvision_isecure"), adapter_kind("hikvision_isapi")
    assert BenefitKind.PERCENT not in isecure.capabilities(ISECURE).grant_kinds
    assert BenefitKind.PERCENT in isecure.capabilities({**ISECURE, "percent_means": "off"}).grant_kinds
    assert isecure.capabilities(ISECURE).idempotent_by == "couponCode"
    assert isapi.capabilities(ISAPI).gate_actions == frozenset(GateAction)
    assert isapi.capabilities(ISAPI).passage_kinds == {PassageKind.EXIT_SEEN}
    assert isapi.capabilities({**ISAPI, "gate_methods": []}).gate_actions == frozenset()
