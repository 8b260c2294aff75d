"""The life of a grant in the database (`specs/parking.md` 7.3): decided once per order, waiting for a plate or a stay, queued, ended.

`consider_order` runs when an order is settled, `reconsider` whenever a plate or a stay turns up, `finish` when the delivery to the
park has ended. All run in the caller's transaction, under the lock of the park's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import or_, select

from charging_core.db import HubSession
from charging_core.events import record_event
from charging_core.ids import new_id
from parking.connections import connection_of
from parking.metrics import GRANTS
from parking.model import GrantProgress, Park, ParkingGrant, ParkStation, Role, Stay
from parking.plates import normalise
from parking.port import Benefit, BenefitKind
from parking.rules import (
    Decision,
    GrantHistory,
    GrantRule,
    OrderFacts,
    Reason,
    StayFacts,
    Verdict,
    decide,
)

KEY_PREFIX = "CH"
"""Starts every idempotency key, so that a person at the park sees who gave the coupon."""

PLATE_BOUND = "grant.plate_bound"

_RECENT_STAYS = 20
"""Stays of one plate that are looked at; a charge overlaps one of the latest or none."""

_COUNTS = (GrantProgress.QUEUED, GrantProgress.GRANTED, GrantProgress.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a grant ends: state, stable reason, words, and the vendor's reference."""

    state: GrantProgress
    reason: Reason | None = None
    message: str = ""
    vendor_ref: str | None = None


def idempotency_key(order_id: str) -> str:
    """What the park knows the grant by: the same for every attempt about one order."""
    return f"{KEY_PREFIX}{order_id}"


def consider_order(session: HubSession, order: Mapping[str, Any], now: datetime) -> ParkingGrant | None:
    """Decide about a settled order (its event snapshot). None when its station has no park; the old grant when decided before."""
    place = session.scalars(
        select(ParkStation).where(ParkStation.station_id == order["station"]["id"], ParkStation.enabled.is_(True))
    ).one_or_none()
    park = None if place is None else session.get(Park, place.park_id, with_for_update=True)
    if park is None or not park.enabled or order.get("started_at") is None:
        return None
    known = find_grant(session, str(order["id"]))
    if known is not None:
        return known
    grant = _new_grant(park, order, now)
    session.add(grant)
    _decide(session, park, grant, now)
    return grant


def reconsider(session: HubSession, park_id: str, plate: str, now: datetime) -> list[ParkingGrant]:
    """Decide again about the waiting grants of a plate; returns those that are queued now."""
    park = session.get(Park, park_id, with_for_update=True)
    if park is None:
        return []
    query = select(ParkingGrant).where(
        ParkingGrant.park_id == park_id, ParkingGrant.plate == plate, ParkingGrant.state == GrantProgress.WAITING
    )
    waiting = session.scalars(query.order_by(ParkingGrant.id)).all()
    for grant in waiting:
        _decide(session, park, grant, now)
    return [grant for grant in waiting if grant.state == GrantProgress.QUEUED]


def bind_plate(session: HubSession, grant: ParkingGrant, plate_text: str, now: datetime) -> bool:
    """Give a waiting grant the plate that a person or the driver named; the worker then decides again.

    False, and nothing changed, when the grant does not wait or `plate_text` is no plate.
    """
    plate = normalise(plate_text)
    if grant.state != GrantProgress.WAITING or plate is None or not plate.usable:
        return False
    grant.plate = plate.text
    grant.version += 1
    session.flush()
    snapshot = {"id": grant.id, "order_id": grant.order_id, "park_id": grant.park_id, "plate": plate.text}
    record_event(session, PLATE_BOUND, grant.id, grant.version, snapshot, now, grant.tenant_id)
    return True


def finish(session: HubSession, grant: ParkingGrant, ending: Ending, now: datetime) -> None:
    """End a queued grant. Does nothing when it has ended already."""
    if grant.state != GrantProgress.QUEUED:
        return
    _set(grant, ending.state, ending.reason, ending.message)
    grant.vendor_ref = ending.vendor_ref
    grant.finished_at = now
    session.flush()


def expire_waiting(session: HubSession, park: Park, now: datetime) -> int:
    """End the grants of a locked park that waited for a plate or a stay until their time was over; returns how many."""
    query = select(ParkingGrant).where(
        ParkingGrant.park_id == park.id,
        ParkingGrant.state == GrantProgress.WAITING,
        ParkingGrant.valid_until <= now,
    )
    overdue = session.scalars(query).all()
    for grant in overdue:
        _set(grant, GrantProgress.EXPIRED, Reason(grant.reason) if grant.reason else None, grant.message or "")
        grant.finished_at = now
    return len(overdue)


def find_grant(session: HubSession, order_id: str) -> ParkingGrant | None:
    """The grant of an order."""
    return session.scalars(select(ParkingGrant).where(ParkingGrant.order_id == order_id)).one_or_none()


def benefit_of_grant(grant: ParkingGrant) -> Benefit | None:
    """The benefit that was decided, None while there is none."""
    if grant.benefit_kind is None:
        return None
    return Benefit(BenefitKind(grant.benefit_kind), grant.benefit_value or Decimal(0))


def _new_grant(park: Park, order: Mapping[str, Any], now: datetime) -> ParkingGrant:
    order_id = str(order["id"])
    plate = normalise(order.get("plate"))
    return ParkingGrant(
        id=new_id(),
        order_id=order_id,
        park_id=park.id,
        station_id=order["station"]["id"],
        plate=plate.text[:32] if plate else None,
        energy_kwh=order["energy_kwh"],
        charge_started_at=order["started_at"],
        charge_ended_at=order["ended_at"] or now,
        state=GrantProgress.WAITING.value,
        idempotency_key=idempotency_key(order_id),
        valid_until=now,
        created_at=now,
    )


def _decide(session: HubSession, park: Park, grant: ParkingGrant, now: datetime) -> None:
    rule = _rule_of(session, park, grant.station_id)
    stays = _stays(session, grant)
    decision = decide(rule, _facts(grant), stays, _history(session, grant, stays), now)
    if decision.verdict is Verdict.GRANT and connection_of(session, park.id, Role.GRANTS) is None:
        decision = Decision(Verdict.REJECT, decision.valid_until, Reason.NOT_CONFIGURED, stay_id=decision.stay_id)
    _apply(grant, decision, now)
    session.flush()


def _apply(grant: ParkingGrant, decision: Decision, now: datetime) -> None:
    grant.stay_id = decision.stay_id
    if decision.verdict is Verdict.WAIT:
        # The clock of waiting starts when the order is final and is not wound up again by looking once more.
        grant.valid_until = decision.valid_until if grant.valid_until <= grant.created_at else grant.valid_until
        grant.state, grant.reason = GrantProgress.WAITING.value, decision.reason
        return
    if decision.verdict is Verdict.REJECT:
        _set(grant, GrantProgress.REJECTED, decision.reason, "")
        grant.finished_at = now
        return
    grant.valid_from, grant.valid_until = now, decision.valid_until
    if decision.benefit is not None:
        grant.benefit_kind, grant.benefit_value = decision.benefit.kind.value, decision.benefit.value
    _set(grant, GrantProgress.QUEUED, None, "")


def _set(grant: ParkingGrant, state: GrantProgress, reason: Reason | None, message: str) -> None:
    grant.state, grant.reason, grant.message = state.value, reason, message[:300] or None
    GRANTS.labels(state.value, reason.value if reason else "").inc()


def _rule_of(session: HubSession, park: Park, station_id: str) -> GrantRule | None:
    place = session.scalars(select(ParkStation).where(ParkStation.station_id == station_id)).one_or_none()
    rule = place.rule if place is not None and place.rule is not None else park.rule
    return None if rule is None else GrantRule.model_validate(rule)


def _facts(grant: ParkingGrant) -> OrderFacts:
    return OrderFacts(
        grant.order_id, normalise(grant.plate), grant.energy_kwh, grant.charge_started_at, grant.charge_ended_at
    )


def _stays(session: HubSession, grant: ParkingGrant) -> list[StayFacts]:
    if grant.plate is None:
        return []
    query = select(Stay).where(Stay.park_id == grant.park_id, Stay.plate == grant.plate)
    rows = session.scalars(query.order_by(Stay.id.desc()).limit(_RECENT_STAYS))
    return [StayFacts(row.id, row.entered_at, row.exited_at or row.closed_at) for row in rows]


def _history(session: HubSession, grant: ParkingGrant, stays: list[StayFacts]) -> GrantHistory:
    if grant.plate is None:
        return GrantHistory()
    query = select(ParkingGrant).where(
        ParkingGrant.park_id == grant.park_id,
        ParkingGrant.id != grant.id,
        ParkingGrant.state.in_([state.value for state in _COUNTS]),
        or_(ParkingGrant.stay_id.in_([stay.stay_id for stay in stays]), ParkingGrant.plate == grant.plate),
    )
    others = session.scalars(query).all()
    return GrantHistory(
        granted_stay_ids=frozenset(other.stay_id for other in others if other.stay_id),
        last_granted_at=max((other.valid_from for other in others if other.valid_from), default=None),
    )
