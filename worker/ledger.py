"""Who works on which delivery: claims in batches, leases with expiry, lanes, isolation of destinations.

A claim moves due deliveries from `waiting` to `leased` under a fresh token. Whoever holds the token may work until the lease ends; a
silent worker's lease expires and the delivery is due again. Due times are business time, leases are real time.

Order of claiming inside a destination: what is urgent (alarms, the second half of a deadline), then by priority. A delivery with
an open predecessor in its lane is never claimed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Row, and_, func, select, update

from charging_core import faultpoints
from charging_core.clock import Clock, SystemClock
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from worker import batching, claiming
from worker.api import State
from worker.claiming import DELIVERY, Candidate, Key, Share
from worker.metrics import (
    DESTINATION_OLDEST_S,
    DESTINATION_WAITING,
    HELD,
    LEASES_EXPIRED,
    OLDEST_WAITING_S,
    WAITING,
)
from worker.model import OPEN_STATES, DeliveryRow, DestinationState, in_state
from worker.settings import WorkerSettings

__all__ = ["Claim", "Key", "Ledger"]

PACED_TOGETHER_S = 0.5
"""Calls to a paced destination whose turn comes within this time are claimed at once and wait for their turn in the process."""
FRUITLESS_S, FRUITLESS_SHARE = 0.02, 10
"""A look that took this long and found nothing (a long lane waits behind its head) is not repeated for ten times as long."""
_REMEMBERED = 2000
"""Claimed rows kept until they are worked on; more than any process has under way."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one delivery, and on those that share its call, until the lease ends."""

    delivery_id: str
    token: str


def _steadily(_key: Key) -> bool:
    return False


@dataclass
class Ledger:
    """Claims and returns deliveries. Safe to use from any number of threads and processes.

    `flowing(key)` says that calls to a destination are being answered promptly: then as many again are claimed ahead, so that the
    next delivery is at hand when one ends.
    """

    db: Database
    clock: Clock
    settings: WorkerSettings
    real_clock: Clock = field(default_factory=SystemClock)
    flowing: Callable[[Key], bool] = _steadily
    _turn: int = 0
    _rows: dict[Claim, Sequence[DeliveryRow]] = field(default_factory=dict)
    _intervals: dict[Key, float] = field(default_factory=dict)
    _fruitless: dict[Key, float] = field(default_factory=dict)
    _concurrency: dict[Key, int] = field(default_factory=dict)
    _observed: set[tuple[str, str]] = field(default_factory=set)

    def claim(self, kinds: Sequence[str], limit: int, *, patient: bool = False) -> list[Claim]:
        """Lease due deliveries to destinations of `kinds`, up to `limit` under way in this process, shared between destinations.

        `patient` leaves out for a moment what was looked through in vain at some cost.
        """
        now = self.clock.now()
        if not patient:
            self._fruitless.clear()
        with self.db.read_system("ledger") as session:
            busy, mine = self._under_way(session)
            room = limit - mine
            work = self._with_work(session, kinds, now) if room > 0 else []
        shares = self._shares(work, busy, room, now)
        if not shares:
            return []  # nothing was written: an idle or saturated worker costs the database two reads
        claims = self._lease(shares, room, now)
        faultpoints.hit("worker.after_claim")
        return claims

    def look_again_s(self) -> float:
        """In how many seconds something left out for a moment is worth another look; a long time when nothing was."""
        return max(0.01, min([60.0, *(until - time.monotonic() for until in self._fruitless.values())]))

    def rows(self, claims: Collection[Claim]) -> list[tuple[Claim, DeliveryRow]]:
        """The claimed rows, of those claims that still hold, with those that share their calls.

        They are read again only when another process claimed them.
        """
        known = {claim: rows for claim in claims if (rows := self._rows.pop(claim, None)) is not None}
        foreign = [claim for claim in claims if claim not in known]
        if foreign:
            with self.db.read_system("ledger") as session:
                known |= _read(session, foreign)
        return [(Claim(row.id, claim.token), row) for claim in claims for row in known.get(claim, ())]

    def concurrency(self, key: Key) -> int:
        """How many calls to a destination may be under way at once."""
        return self._concurrency.get(key, self.settings.concurrency)

    def pace(self, key: Key, interval_s: float) -> None:
        """Remember how far apart the calls to a destination are."""
        self._intervals[key] = interval_s

    def _with_work(self, session: HubSession, kinds: Sequence[str], now: datetime) -> list[Candidate]:
        soon = now + timedelta(seconds=PACED_TOGETHER_S)
        moment = time.monotonic()
        self._fruitless = {key: until for key, until in self._fruitless.items() if until > moment}
        found = claiming.destinations_with_work(session, kinds, now, soon)
        self._concurrency.update({one.key: one.concurrency or self.settings.concurrency for one in found})
        return [one for one in found if one.key not in self._fruitless]

    def _under_way(self, session: HubSession) -> tuple[Counter[Key], int]:
        busy: Counter[Key] = Counter()
        mine = 0
        for key, owner in claiming.under_way(session):
            busy[key] += 1
            mine += owner == self.settings.name
        return busy, mine

    def _shares(self, work: Sequence[Candidate], busy: Counter[Key], room: int, now: datetime) -> list[Share]:
        free = {one: self._most(one) - busy[one.key] for one in self._rotated(work)}
        free = {one: most for one, most in free.items() if most > 0}
        fair = max(1, room // len(free)) if free else 0
        shares = []
        for one, most in free.items():
            given = min(most, fair, room)
            room -= given
            if given > 0:
                shares.append(Share(one.key, given, one.probing(now)))
        return shares

    def _rotated(self, work: Sequence[Candidate]) -> Sequence[Candidate]:
        # Another destination comes first every time, so that none is starved by the order of keys when room is short.
        if not work:
            return work
        self._turn = (self._turn + 1) % len(work)
        return [*work[self._turn :], *work[: self._turn]]

    def _most(self, destination: Candidate) -> int:
        if destination.consecutive_failures >= self.settings.break_after:
            return 1  # failing: one call at a time, as a probe
        if destination.next_call_at is not None and self._intervals.get(destination.key, 60.0) > PACED_TOGETHER_S:
            return 1  # paced slowly: one call at a time
        under_way = self.concurrency(destination.key)
        return 3 * under_way if self.flowing(destination.key) else under_way

    def _lease(self, shares: Sequence[Share], room: int, now: datetime) -> list[Claim]:
        until = self.real_clock.now() + timedelta(seconds=self.settings.queue_lease_s)
        token = new_id()
        began = time.monotonic()
        with self.db.system("ledger") as session:
            ids = claiming.next_ids(session, shares, now)[:room]
            rows = claiming.lease(session, ids, self.settings.name, token, until) if ids else ()
            by_id = {row.id: row for row in rows}
            batched = [by_id[one] for one in ids if one in by_id and by_id[one].batch_count is not None]
            calls = batching.gather(session, batched, now, self.settings.name, token, until) if batched else []
        took = time.monotonic() - began
        if not ids and took > FRUITLESS_S:
            self._fruitless.update({share.key: began + FRUITLESS_SHARE * took for share in shares})
        found = {row.id: [row] for row in rows if row.batch_count is None} | {call[0].id: call for call in calls}
        known = {Claim(one, token): cast("Sequence[DeliveryRow]", found[one]) for one in ids if one in found}
        self._remember(known)
        return list(known)

    def _remember(self, rows: dict[Claim, Sequence[DeliveryRow]]) -> None:
        # A row as it was leased is good as long as its token is; what other processes worked on is dropped, oldest first.
        for claim in list(self._rows)[: max(0, len(self._rows) + len(rows) - _REMEMBERED)]:
            self._rows.pop(claim, None)
        self._rows.update(rows)

    def take_back_expired(self) -> int:
        """Make deliveries due again whose worker went silent; returns how many."""
        return self._take_back(DeliveryRow.lease_until < self.real_clock.now())

    def take_back_all(self) -> int:
        """Make every leased delivery due again; only for the sole worker of a database, when it starts."""
        return self._take_back(DeliveryRow.lease_token.is_not(None))

    def give_back(self) -> int:
        """Return what this process has claimed and does not work on any more (it stops)."""
        return self._take_back(DeliveryRow.lease_owner == self.settings.name)

    def _take_back(self, which: ColumnElement[bool]) -> int:
        with self.db.system("ledger") as session:
            done = session.execute(
                update(DeliveryRow)
                .where(in_state(DeliveryRow, State.LEASED), DeliveryRow.lease_owner.is_not(None), which)
                .values(state=State.WAITING.value, lease_owner=None, lease_token=None, lease_until=None, call_id=None)
                .execution_options(synchronize_session=False)
            )
        count = done.rowcount if isinstance(done, CursorResult) else 0
        LEASES_EXPIRED.inc(count)
        return count

    def next_due(self, kinds: Sequence[str]) -> datetime | None:
        """When the earliest waiting delivery of `kinds` is due; None when none waits. Holds and lanes are not looked at."""
        with self.db.read_system("ledger") as session:
            statement = select(func.min(DeliveryRow.next_attempt_at)).where(
                in_state(DeliveryRow, State.WAITING), DeliveryRow.destination_kind.in_(kinds)
            )
            return session.scalar(statement)

    def observe(self, kinds: Sequence[str]) -> None:
        """Read the gauges: open deliveries, the age of the oldest (held ones included), destinations on hold."""
        now = self.clock.now()
        row = DeliveryRow
        backlog = select(row.destination_kind, row.destination_id, func.count(), func.min(row.created_at))
        held = select(DestinationState.kind, func.count()).where(DestinationState.held.is_(True))
        with self.db.read_system("ledger") as session:
            found = session.execute(
                backlog.where(in_state(row, *OPEN_STATES)).group_by(row.destination_kind, row.destination_id)
            ).all()
            holds = dict(session.execute(held.group_by(DestinationState.kind)).all())
        for kind in kinds:
            counts = [count for one, _, count, _ in found if one == kind]
            oldest = min((since for one, _, _, since in found if one == kind), default=now)
            WAITING.labels(kind).set(sum(counts))
            OLDEST_WAITING_S.labels(kind).set(max(0.0, (now - oldest).total_seconds()))
            HELD.labels(kind).set(holds.get(kind, 0))
        self._observe_destinations({(kind, one): (count, since) for kind, one, count, since in found}, now)

    def _observe_destinations(self, waiting: dict[tuple[str, str], tuple[int, datetime]], now: datetime) -> None:
        for kind, destination in self._observed - set(waiting):
            DESTINATION_WAITING.labels(kind, destination).set(0)
            DESTINATION_OLDEST_S.labels(kind, destination).set(0)
        for (kind, destination), (count, since) in waiting.items():
            DESTINATION_WAITING.labels(kind, destination).set(count)
            DESTINATION_OLDEST_S.labels(kind, destination).set(max(0.0, (now - since).total_seconds()))
        self._observed = set(waiting)


def _read(session: HubSession, claims: Collection[Claim]) -> dict[Claim, Sequence[DeliveryRow]]:
    leaders = _leased(session, DELIVERY.c.id.in_([claim.delivery_id for claim in claims]))
    calls = {row.call_id for row in leaders if row.call_id is not None}
    shared = _leased(session, DELIVERY.c.call_id.in_(calls)) if calls else []
    found = {row.id: row for row in leaders}
    return {
        claim: [row, *(one for one in shared if one.call_id == row.call_id and one.id != row.id)]
        for claim in claims
        if (row := found.get(claim.delivery_id)) is not None and row.lease_token == claim.token
    }


def _leased(session: HubSession, which: ColumnElement[bool]) -> list[DeliveryRow]:
    # The owner is asked for so that both planners may walk the small index of leased rows.
    leased = and_(in_state(DeliveryRow, State.LEASED), DELIVERY.c.lease_owner.is_not(None))
    rows: Sequence[Row[Any]] = session.connection().execute(select(*DELIVERY.c).where(which, leased)).all()
    return [cast("DeliveryRow", row) for row in rows]
