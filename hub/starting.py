"""Starting and stopping a charge for people: console and own app ask in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charging_core.db import HubSession
from charging_core.orders.model import Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartOutcome, StartRequest, start_order
from charging_core.orders.starts.groups import ParallelOutcome, ParallelRequest
from charging_core.piles.store.starts import start_together


@dataclass(frozen=True, slots=True)
class Desk:
    """From where somebody asks. Its name makes the caller's request ids unique: they stand in the place of a link."""

    origin: Origin
    tenant_id: str

    @property
    def link_id(self) -> str:
        """`app:demo`: distinct from every partner link, and per tenant, because the pair (link, request) is unique hub-wide."""
        return f"{self.origin.value}:{self.tenant_id}"


def start_at(session: HubSession, context: OrderContext, desk: Desk, wish: dict[str, Any]) -> StartOutcome:
    """Start a charge from a contract-checked `wish` (`StartOrder` of the contracts). Idempotent by `request_id`."""
    return start_order(
        session,
        context,
        StartRequest(
            connector_code=wish["connector"],
            origin=desk.origin,
            link_id=desk.link_id,
            start_charge_seq=wish["request_id"],
            plate=wish.get("plate"),
            phone=wish.get("phone"),
            limit_yuan=_decimal(wish.get("limit_yuan")),
            limit_kwh=_decimal(wish.get("limit_kwh")),
            limit_minutes=wish.get("limit_minutes"),
            limit_soc=wish.get("limit_soc"),
            reservation_id=wish.get("reservation"),
        ),
    )


def start_parallel_at(session: HubSession, context: OrderContext, desk: Desk, wish: dict[str, Any]) -> ParallelOutcome:
    """Start one vehicle at two connectors from a contract-checked `wish` (`StartParallel`). Idempotent by `request_id`."""
    request = ParallelRequest(
        connectors=tuple(wish["connectors"]),
        origin=desk.origin,
        link_id=desk.link_id,
        request_id=wish["request_id"],
        plate=wish.get("plate"),
        phone=wish.get("phone"),
        limit_yuan=_decimal(wish.get("limit_yuan")),
    )
    return start_together(session, context, request)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
