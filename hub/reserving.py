"""Reserving a connector for people: console, own app and command line ask in the same words."""

from __future__ import annotations

from typing import Any

from charging_core.db import HubSession
from charging_core.members.service import require_member
from charging_core.orders.ports import OrderContext
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.service import Reserved, Wish, reserve
from hub.starting import Desk


def reserve_at(session: HubSession, context: OrderContext, desk: Desk, wish: dict[str, Any], asked_by: str) -> Reserved:
    """Reserve from a contract-checked `wish` (`Reserve` of the contracts). Idempotent by `request_id`. Raises `NotFound` for a member."""
    member = wish.get("member")
    payer = Holder(
        plate=wish.get("plate"),
        phone=wish.get("phone"),
        member_id=None if member is None else require_member(session, member).id,
    )
    return reserve(
        session,
        context,
        Wish(
            connector_code=wish["connector"],
            desk=desk.link_id,
            request_id=wish["request_id"],
            minutes=wish["minutes"],
            payer=payer,
            asked_by=asked_by,
            reason=wish.get("reason"),
        ),
    )
