"""What people see of parking: the parking part of an order's page."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from parking.model import GateCommandRow, Park, ParkingGrant, Passage, Stay
from parking.passages import stay_snapshot

_GRANT = (
    "id", "order_id", "stay_id", "plate", "state", "reason", "message", "benefit_kind", "benefit_value", "vendor_ref",
    "valid_from", "valid_until", "created_at", "finished_at",
)  # fmt: skip
_PASSAGE = ("id", "kind", "lane_ref", "plate", "occurred_at", "received_at", "is_replay", "confidence")
_COMMAND = (
    "id", "lane_id", "action", "asked_by", "asked_at", "state", "outcome", "code", "message", "method", "attempts",
    "finished_at",
)  # fmt: skip


def parking_of_order(session: HubSession, order_id: str) -> list[dict[str, Any]]:
    """The grant of an order with its stay, the passages of that stay and the gate commands about it; empty if there is none."""
    query = select(ParkingGrant).where(ParkingGrant.order_id == order_id)
    return [_grant(session, grant) for grant in session.scalars(query)]


def _grant(session: HubSession, grant: ParkingGrant) -> dict[str, Any]:
    park = session.get_one(Park, grant.park_id)
    stay = session.get(Stay, grant.stay_id) if grant.stay_id else None
    return {
        "park": {"id": park.id, "code": park.code, "name": park.name},
        "grant": {name: getattr(grant, name) for name in _GRANT},
        "stay": None if stay is None else stay_snapshot(stay),
        "passages": [] if stay is None else _passages(session, stay),
        "gate_commands": [] if stay is None else _commands(session, stay),
    }


def _passages(session: HubSession, stay: Stay) -> list[dict[str, Any]]:
    query = select(Passage).where(Passage.stay_id == stay.id).order_by(Passage.id)
    return [{name: getattr(row, name) for name in _PASSAGE} for row in session.scalars(query)]


def _commands(session: HubSession, stay: Stay) -> list[dict[str, Any]]:
    query = select(GateCommandRow).where(GateCommandRow.stay_id == stay.id).order_by(GateCommandRow.id)
    return [{name: getattr(row, name) for name in _COMMAND} for row in session.scalars(query)]
