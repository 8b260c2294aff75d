"""Starting and stopping a charge for people: console and own app ask in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charging_core.db import HubSession
from charging_core.orders.model import Origin
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import StartOutcome, StartRequest, start_order


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
    limit = wish.get("limit_yuan")
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
            limit_yuan=Decimal(limit) if limit is not None else None,
        ),
    )
