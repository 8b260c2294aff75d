"""One link with made-up keys, a door in front of simple handlers, and a way to seal calls for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from charging_core.clock import ManualClock
from partners.tcec102 import envelope
from partners.tcec102.contract import Contract
from partners.tcec102.edge import AsgiApp
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, MemorySink, NoLimit
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import Door
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall
from tests.partners.tcec102.served import PROTOCOLS, Serve, Served

BASE = "/demo/evcs/v1/"
PARTNER = "MA5TEST02"
STAMP = "20241027080000"
NOW = datetime(2024, 10, 27, 0, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.standard()


@pytest.fixture
def keys() -> KeySet:
    return KeySet("op-secret-1", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def tokens() -> MemoryTokenStore:
    return MemoryTokenStore()


@pytest.fixture
def token(tokens: MemoryTokenStore) -> str:
    return tokens.issue("link-1", 7200).token


@pytest.fixture
def link(keys: KeySet) -> InboundLink:
    return InboundLink("link-1", (PARTNER,), "MA5TEST01", (keys,))


def _stations(_link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
    infos = [{"StationID": station, "ConnectorStatusInfos": []} for station in body["StationIDs"]]
    return {"Total": len(infos), "StationStatusInfos": infos}


def _stop(_link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
    return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}


@pytest.fixture
def make_door(
    contract: Contract, clock: ManualClock, sink: MemorySink, tokens: MemoryTokenStore, link: InboundLink
) -> Callable[..., Door]:
    """``make_door(link=…, handlers=…, …)``: a door for one link, everything else by default."""

    def make(*, link: InboundLink = link, **changes: Any) -> Door:
        door = Door(
            contract=contract,
            links=MemoryLinkDirectory([(BASE, link)]),
            tokens=tokens,
            limiter=NoLimit(),
            handlers={"query_station_status": _stations, "query_stop_charge": _stop},
            clock=clock,
            sink=sink,
        )
        return replace(door, **changes)

    return make


@pytest.fixture
def seal(keys: KeySet) -> Callable[..., bytes]:
    """``seal(body, …)``: the bytes of a request envelope of the partner."""

    def sealed(
        body: Any, *, by: KeySet = keys, operator: str = PARTNER, stamp: str = STAMP, seq: str = "0001"
    ) -> bytes:
        return orjson.dumps(envelope.seal_request(body, operator, by, stamp, seq))

    return sealed


@pytest.fixture
def call_for(seal: Callable[..., bytes], token: str) -> Callable[..., InboundCall]:
    """``call_for(interface, body)``: a correct call with a valid token."""

    def make(interface: str, body: Any, **how: Any) -> InboundCall:
        return InboundCall(BASE, interface, seal(body, **how), f"Bearer {token}", "192.0.2.7")

    return make


@pytest.fixture
def opened(keys: KeySet) -> Callable[[bytes], envelope.OpenedReply]:
    """The verified and opened answer."""

    def open_it(payload: bytes) -> envelope.OpenedReply:
        return envelope.open_reply(payload, keys)

    return open_it


@pytest.fixture(params=sorted(PROTOCOLS))
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """``serve(app)``: a server on a port of its own, by uvicorn's protocol and by the hub's."""
    running: list[Served] = []

    def start(app: AsgiApp) -> Served:
        running.append(Served(app, request.param))
        return running[-1]

    yield start
    for served in running:
        served.stop()
