"""What a passage does: it is kept once, opens or closes a stay, and tells of it as a domain event (`specs/parking.md` 7.5).

A buffered event only completes the history: it may open a stay in the past, never one that contradicts what was seen later, and
whoever opens gates ignores it. Nothing here talks to a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.events import record_event
from charging_core.ids import new_id
from parking.metrics import PASSAGES, SKEWED
from parking.model import Park, ParkConnection, Passage, Stay, StayState
from parking.port import PassageEvent, PassageKind

log = structlog.get_logger()

SAME_EVENT_WITHIN = timedelta(seconds=2)
"""One lane cannot see the same plate pass twice within this time; device ids of events are constant on some firmware (3.4.4)."""

TRUSTED_SKEW = timedelta(seconds=120)
"""A device clock that is further off than this is not used for rules (7.5)."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a passage. `stay` is the one it belongs to; `is_new` is False for a repeated event."""

    passage: Passage
    stay: Stay | None
    is_new: bool


def record_passage(session: HubSession, connection: ParkConnection, event: PassageEvent) -> Recorded:
    """Keep `event` and let it change the stays of the park, in the running transaction. Repeating it changes nothing."""
    # The park's row is the lock under which stays are opened and closed.
    park = session.get_one(Park, connection.park_id, with_for_update=True)
    known = _same_event(session, connection, event)
    if known is not None:
        PASSAGES.labels(event.kind.value, "repeated").inc()
        return Recorded(known, _stay(session, known.stay_id), is_new=False)
    _note_clock(connection, event)
    passage = _keep(session, park, connection, event)
    stay = _apply(session, park, event)
    passage.stay_id = stay.id if stay else None
    session.flush()
    PASSAGES.labels(event.kind.value, "buffered" if event.is_replay else "live").inc()
    return Recorded(passage, stay, is_new=True)


def rule_time(event: PassageEvent) -> datetime:
    """The time that rules use: the device's, unless a live event's clock is off by more than `TRUSTED_SKEW`."""
    if event.is_replay or abs(event.received_at - event.occurred_at) <= TRUSTED_SKEW:
        return event.occurred_at
    return event.received_at


def close_stay(session: HubSession, stay: Stay, at: datetime, by: str, *, exited: bool) -> None:
    """End a stay and tell of it. `exited` False: nobody saw it leave. Does nothing when it has ended already."""
    if stay.state != StayState.INSIDE:
        return
    stay.state = StayState.EXITED.value if exited else StayState.ABANDONED.value
    stay.exited_at = at if exited else None
    stay.closed_at, stay.closed_by = at, by
    tell(session, stay, "stay.exited", at)


def tell(session: HubSession, stay: Stay, kind: str, at: datetime) -> None:
    """Record a domain event about a stay, with the next version and the whole stay."""
    stay.version += 1
    session.flush()
    record_event(session, kind, stay.id, stay.version, stay_snapshot(stay), at, stay.tenant_id)


def stay_snapshot(stay: Stay) -> dict[str, Any]:
    """The canonical stay."""
    names = (
        "id", "park_id", "plate", "plate_color", "state", "entered_at", "entry_lane", "exit_seen_at", "exited_at",
        "exit_lane", "closed_at", "closed_by", "version",
    )  # fmt: skip
    return {name: getattr(stay, name) for name in names}


def _same_event(session: HubSession, connection: ParkConnection, event: PassageEvent) -> Passage | None:
    query = select(Passage).where(
        Passage.connection_id == connection.id,
        Passage.occurred_at >= event.occurred_at - SAME_EVENT_WITHIN,
        Passage.occurred_at <= event.occurred_at + SAME_EVENT_WITHIN,
        Passage.kind == event.kind.value,
        Passage.lane_ref == event.lane_ref,
        Passage.plate == (event.plate.text if event.plate else None),
    )
    return session.scalars(query.limit(1)).first()


def _note_clock(connection: ParkConnection, event: PassageEvent) -> None:
    connection.last_push_at = event.received_at
    if event.is_replay:
        return
    skew = event.occurred_at - event.received_at
    connection.clock_skew_s = round(skew.total_seconds())
    if abs(skew) > TRUSTED_SKEW:
        SKEWED.labels(connection.id).inc()
        log.warning(
            "parking_device_clock_wrong",
            destination_id=connection.park_id,
            connection_id=connection.id,
            skew_s=connection.clock_skew_s,
        )


def _keep(session: HubSession, park: Park, connection: ParkConnection, event: PassageEvent) -> Passage:
    passage = Passage(
        id=new_id(),
        park_id=park.id,
        connection_id=connection.id,
        kind=event.kind.value,
        lane_ref=event.lane_ref,
        plate=event.plate.text[:32] if event.plate else None,
        plate_raw=event.plate_raw[:64],
        plate_color=_cut(event.plate_color, 16),
        confidence=event.confidence,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        is_replay=event.is_replay,
        source_event_id=_cut(event.source_event_id, 128),
        device_ref=_cut(event.device_ref, 64),
        pictures=[{"name": picture.name[:128], "bytes": len(picture.content)} for picture in event.pictures],
    )
    session.add(passage)
    return passage


def _apply(session: HubSession, park: Park, event: PassageEvent) -> Stay | None:
    at = rule_time(event)
    if event.kind is PassageKind.ENTERED:
        return _enter(session, park, event, at)
    stay = _inside(session, park, event)
    if event.kind is PassageKind.EXITED:
        return _exit(session, park, event, stay, at)
    if event.kind is PassageKind.EXIT_SEEN and stay is not None and not event.is_replay:
        stay.exit_seen_at, stay.exit_lane = at, event.lane_ref
    return stay


def _enter(session: HubSession, park: Park, event: PassageEvent, at: datetime) -> Stay | None:
    if event.is_replay and _seen_later(session, park, event, at):
        return None
    old = _inside(session, park, event)
    if old is not None:
        close_stay(session, old, at, "next_entry", exited=False)
        session.flush()
    stay = Stay(
        id=new_id(),
        park_id=park.id,
        plate=event.plate.text[:32] if event.plate else None,
        plate_color=_cut(event.plate_color, 16),
        state=StayState.INSIDE.value,
        entered_at=at,
        entry_lane=event.lane_ref,
        version=0,
    )
    session.add(stay)
    tell(session, stay, "stay.entered", at)
    return stay


def _exit(session: HubSession, park: Park, event: PassageEvent, stay: Stay | None, at: datetime) -> Stay | None:
    if stay is not None:
        if stay.entered_at is not None and at < stay.entered_at:
            return None  # a buffered exit of an earlier visit
        stay.exit_lane = event.lane_ref
        close_stay(session, stay, at, "exit", exited=True)
        return stay
    if event.plate is None or event.is_replay or _just_left(session, park, event, at):
        return None
    unseen = Stay(
        id=new_id(),
        park_id=park.id,
        plate=event.plate.text[:32],
        plate_color=_cut(event.plate_color, 16),
        state=StayState.INSIDE.value,
        exit_lane=event.lane_ref,
        version=0,
    )
    session.add(unseen)
    session.flush()
    close_stay(session, unseen, at, "exit", exited=True)
    return unseen


def _inside(session: HubSession, park: Park, event: PassageEvent) -> Stay | None:
    """The open stay of the event's plate; none for an unread plate, because nobody may guess."""
    if event.plate is None:
        return None
    query = select(Stay).where(Stay.park_id == park.id, Stay.plate == event.plate.text, Stay.state == StayState.INSIDE)
    return session.scalars(query).one_or_none()


def _seen_later(session: HubSession, park: Park, event: PassageEvent, at: datetime) -> bool:
    if event.plate is None:
        return True
    query = select(Stay.id).where(
        Stay.park_id == park.id,
        Stay.plate == event.plate.text,
        (Stay.entered_at >= at) | (Stay.closed_at >= at) | (Stay.exit_seen_at >= at),
    )
    return session.scalars(query.limit(1)).first() is not None


def _just_left(session: HubSession, park: Park, event: PassageEvent, at: datetime) -> bool:
    """Whether the stay that this exit ends was closed a moment ago, by the gate that we opened for it."""
    query = select(Stay.id).where(
        Stay.park_id == park.id,
        Stay.plate == (event.plate.text if event.plate else None),
        Stay.closed_at >= at - TRUSTED_SKEW,
    )
    return session.scalars(query.limit(1)).first() is not None


def _stay(session: HubSession, stay_id: str | None) -> Stay | None:
    return None if stay_id is None else session.get(Stay, stay_id)


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]
