"""What the tests of the fakes share: ids and keys, the hub's side of a link, small HTTP calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import requests

from charging_core.clock import ManualClock
from partners.fake.caller import HubCaller
from partners.fake.config import LinkConfig
from partners.fake.platform import EnvelopeFake
from partners.fake.server import FakeServer
from partners.fake.wire import Keys, seal_request, to_json

HUB = "MA00HUB01"
OTHER = "MA00OTHER"
KEYS = Keys(
    operator_secret="partner-secret-1",
    data_secret="partnerDataKey01",
    data_iv="partnerInitVec01",
    sig_secret="partnerSignKey01",
)
HUB_KEYS = Keys(
    operator_secret="hub-secret-00001",
    data_secret="hubDataKey000001",
    data_iv="hubInitVector001",
    sig_secret="hubSignKey000001",
)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""Noon in China."""


def keys_config(keys: Keys) -> dict[str, str]:
    return dict(keys)


def link_config(**more: Any) -> dict[str, Any]:
    return {"operator_id": OTHER, "hub_operator_id": HUB, "keys": keys_config(KEYS)} | more


def manual_clock() -> ManualClock:
    return ManualClock(NOON)


def hub_side(fake: EnvelopeFake, **changes: Any) -> HubCaller:
    """The hub calling `fake`, with the keys that the fake issued."""
    config = {
        "operator_id": HUB,
        "hub_operator_id": OTHER,
        "hub_base_url": fake.base_url,
        "keys": keys_config(HUB_KEYS),
        "hub_keys": keys_config(KEYS),
    }
    return HubCaller(LinkConfig.model_validate(config | changes), fake.clock)


def post(url: str, body: Any, headers: dict[str, str] | None = None, timeout: float = 5) -> requests.Response:
    """One POST on a connection of its own; text and bytes go as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else to_json(body).encode()
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, raw, headers=headers, timeout=timeout)


def get_json(url: str) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=5).json()


def control(fake: FakeServer, name: str, body: Any = None) -> Any:
    if body is None:
        return get_json(f"{fake.url}/control/{name}")
    return json.loads(post(f"{fake.url}/control/{name}", body).content)


def envelope(body: Any, **changes: Any) -> dict[str, Any]:
    """A request envelope of the hub to the fake, right unless `changes` spoil it after sealing."""
    return seal_request(HUB, body, KEYS, "20260302120000", "0001") | changes
