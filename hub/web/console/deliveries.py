"""Console: deliveries, how they go, and repairing them. Every change is recorded with the token's name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response

from charging_core.db import HubSession
from charging_core.errors import InvalidInput
from hub.reading import deliveries
from hub.reading.destinations import Destinations
from hub.reading.paging import Window
from hub.reading.selections import Wanted
from hub.reading.times import instant
from hub.web.context import acting, answer, hub, operation, reading, writing
from worker import repair


@operation
def list_deliveries(limit: int, after: str | None = None, **narrow: Any) -> Response:
    """`GET /deliveries`."""
    with reading() as session:
        which = _wanted(narrow).read(session, hub().clock.now())
        return answer(deliveries.list_deliveries(session, Window(limit, after), which))


@operation
def get_delivery(delivery: str) -> Response:
    """`GET /deliveries/{delivery}`."""
    with reading() as session:
        return answer(deliveries.delivery_view(session, delivery))


@operation
def list_stats(window_minutes: int) -> Response:
    """`GET /deliveries/stats`."""
    with reading() as session:
        found = deliveries.list_stats(session, hub().clock.now(), timedelta(minutes=window_minutes))
        return answer({"items": found, "next": None})


@operation
def list_actions(limit: int, delivery: str | None = None, destination: str | None = None) -> Response:
    """`GET /deliveries/actions`."""
    with reading() as session:
        subject = delivery
        if destination is not None:
            found = Destinations(session).find(destination).destination
            subject = f"{found.kind}:{found.id}"
        return answer({"items": deliveries.list_actions(session, limit, subject=subject), "next": None})


@operation
def replay_delivery(delivery: str) -> Response:
    """`POST /deliveries/{delivery}/replay`."""
    with writing() as session:
        repair.replay(session, delivery, hub().clock, acting(session))
        return _repaired(session, delivery)


@operation
def hold_delivery(delivery: str, body: dict[str, Any]) -> Response:
    """`POST /deliveries/{delivery}/hold`."""
    with writing() as session:
        repair.hold_delivery(session, delivery, acting(session), body["why"], hub().clock)
        return _repaired(session, delivery)


@operation
def release_delivery(delivery: str) -> Response:
    """`POST /deliveries/{delivery}/release`."""
    with writing() as session:
        repair.release_delivery(session, delivery, hub().clock, acting(session))
        return _repaired(session, delivery)


@operation
def discard_delivery(delivery: str, body: dict[str, Any]) -> Response:
    """`POST /deliveries/{delivery}/discard`."""
    with writing() as session:
        repair.discard(session, delivery, acting(session), body["why"], hub().clock)
        return _repaired(session, delivery)


@operation
def replay_selection(body: dict[str, Any]) -> Response:
    """`POST /deliveries/replay`."""
    dry_run = body.get("dry_run", False)
    wanted = _wanted(body)
    if not wanted.bounded:
        raise InvalidInput("destination", "请缩小范围 / narrow it: destination, interface, object, outcome or since")
    with writing() as session:
        which = wanted.read(session, hub().clock.now())
        if dry_run:
            return _counted(repair.count_replayable(session, which), dry_run=True)
        count = repair.replay_selection(session, which, hub().clock, acting(session))
        session.on_commit(hub().wake_worker)
        return _counted(count, dry_run=False)


@operation
def recover(body: dict[str, Any]) -> Response:
    """`POST /deliveries/recover`."""
    dry_run, since = body.get("dry_run", False), instant("since", body["since"])
    with writing() as session:
        destination = Destinations(session).find(body["destination"]).destination
        if dry_run:
            return _counted(repair.count_recoverable(session, destination, since), dry_run=True)
        count = repair.recover(session, destination, since, hub().clock, acting(session))
        session.on_commit(hub().wake_worker)
        return _counted(count, dry_run=False)


@operation
def hold_destination(destination: str, body: dict[str, Any]) -> Response:
    """`POST /destinations/{destination}/hold`."""
    with writing() as session:
        named = Destinations(session).find(destination)
        with named.speaking():
            repair.hold(session, named.destination, body["why"], hub().clock, acting(session))
        return answer({"destination": named.label, "name": named.title, "held": body["why"]})


@operation
def release_destination(destination: str) -> Response:
    """`POST /destinations/{destination}/release`."""
    with writing() as session:
        named = Destinations(session).find(destination)
        with named.speaking():
            repair.release(session, named.destination, hub().clock, acting(session))
        session.on_commit(hub().wake_worker)
        return answer({"destination": named.label, "name": named.title, "held": None})


def _wanted(members: dict[str, Any]) -> Wanted:
    state = members.get("state")
    return Wanted(
        destination=members.get("destination"),
        interface=members.get("interface"),
        object_key=members.get("object"),
        states=() if state is None else (state,) if isinstance(state, str) else tuple(state),
        outcome=members.get("outcome"),
        since=members.get("since"),
        until=members.get("until"),
    )


def _repaired(session: HubSession, delivery: str) -> Response:
    session.on_commit(hub().wake_worker)
    return answer(deliveries.delivery_view(session, delivery), 202)


def _counted(count: int, *, dry_run: bool) -> Response:
    return answer({"count": count, "dry_run": dry_run}, 200 if dry_run else 202)
