"""The measured side: the product's T/CEC edge with limits, exchange record and metrics on, without a database."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from charging_core.clock import SystemClock
from hub.edge import settle
from partners.exchanges import BATCH
from partners.tcec102.contract import Contract
from partners.tcec102.edge import TcecEdge
from partners.tcec102.exchanges import Exchange
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, TokenBuckets
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import Door
from partners.tcec102.tokens import MemoryTokenStore
from tests.bench.floor_http import ANSWER, OPERATOR, TOKEN

BASE = "/demo/evcs/v1/"


class Kept:
    """A bounded record, as the product keeps one before it writes in the background: as many as are written at once."""

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=BATCH)

    def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


def _status(_link: InboundLink, _body: dict[str, Any]) -> dict[str, Any]:
    return ANSWER


def build() -> TcecEdge:
    """The edge as the product assembles it, over one link in memory."""
    keys = KeySet("1234567890abcdef", "1234567890abcdef", "1234567890abcdef", "1234567890abcdef")
    link = InboundLink("bench", (OPERATOR,), "MA5DEMO01", (keys,))
    tokens = MemoryTokenStore()
    tokens.keep("bench", TOKEN, time.time() + 3600)
    door = Door(
        contract=Contract.standard(),
        links=MemoryLinkDirectory([(BASE, link)]),
        tokens=tokens,
        limiter=TokenBuckets(rate_per_s=1_000_000, burst=1_000_000),
        handlers={"query_station_status": _status},
        clock=SystemClock(),
        sink=Kept(),
        inline_handlers=frozenset({"query_station_status"}),
    )
    settle()  # as every process of the hub does when it is composed
    return TcecEdge(door)


app = build()
