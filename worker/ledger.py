"""Who works on which delivery: claims in batches, leases with expiry, lanes, isolation of destinations.

A claim moves due deliveries from `waiting` to `leased` under a fresh token. Whoever holds the token may work until the lease ends; a
silent worker's lease expires and the delivery is due again. Due times are business time, leases are real time.

Order of claiming inside a destination: what is urgent (alarms, the second half of a deadline), then by priority. A delivery with
an open predecessor in its lane is never claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Select, exists, func, or_, select, tuple_, update
from sqlalchemy.orm import aliased

from charging_core.clock import Clock, SystemClock
from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from worker.api import State
from worker.metrics import HELD, LEASES_EXPIRED, OLDEST_WAITING_S, WAITING
from worker.model import OPEN_STATES, DeliveryRow, DestinationState, in_state
from worker.settings import WorkerSettings

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one delivery until its lease ends."""

    delivery_id: str
    token: str


@dataclass
class Ledger:
    """Claims and returns deliveries. Safe to use from any number of threads and processes."""

    db: Database
    clock: Clock
    settings: WorkerSettings
    real_clock: Clock = field(default_factory=SystemClock)
    _turn: int = 0

    def claim(self, kinds: Sequence[str], limit: int) -> list[Claim]:
        """Lease due deliveries to destinations of `kinds`, up to `limit` under way in this process, shared between destinations."""
        with self.db.read_system("ledger") as session:
            busy, mine = self._under_way(session)
            room = limit - mine
            work = self._destinations_with_work(session, kinds) if room > 0 else []
        free = [one for one in work if self._concurrency(one) > busy[_key(one)]]
        if not free:
            return []  # nothing was written: an idle or saturated worker costs the database two reads
        with self.db.system("ledger") as session:
            return self._claim_round(session, self._rotated(free), busy, room)

    def _claim_round(
        self, session: HubSession, work: Sequence[DestinationState], busy: Counter[Key], room: int
    ) -> list[Claim]:
        claims: list[Claim] = []
        for destination in work:
            free = min(self._concurrency(destination) - busy[_key(destination)], room - len(claims))
            if free > 0:
                claims += self._lease(session, self._pick(session, destination, free))
        return claims

    def _rotated(self, work: Sequence[DestinationState]) -> Sequence[DestinationState]:
        # Another destination comes first every time, so that none is starved by the order of keys when room is short.
        self._turn = (self._turn + 1) % len(work)
        return [*work[self._turn :], *work[: self._turn]]

    def _destinations_with_work(self, session: HubSession, kinds: Sequence[str]) -> Sequence[DestinationState]:
        now = self.clock.now()
        statement = select(DestinationState).where(
            DestinationState.kind.in_(kinds),
            DestinationState.held.is_(False),
            or_(DestinationState.next_call_at.is_(None), DestinationState.next_call_at <= now),
            exists().where(*_of(DestinationState), DeliveryRow.next_attempt_at <= now),
        )
        return session.scalars(statement.order_by(DestinationState.kind, DestinationState.destination_id)).all()

    def _under_way(self, session: HubSession) -> tuple[Counter[Key], int]:
        statement = (
            select(
                DeliveryRow.tenant_id,
                DeliveryRow.destination_kind,
                DeliveryRow.destination_id,
                DeliveryRow.lease_owner,
                func.count(),
            )
            .where(in_state(DeliveryRow, State.LEASED))
            .group_by(
                DeliveryRow.tenant_id,
                DeliveryRow.destination_kind,
                DeliveryRow.destination_id,
                DeliveryRow.lease_owner,
            )
        )
        busy: Counter[Key] = Counter()
        mine = 0
        for tenant, kind, destination, owner, count in session.execute(statement):
            busy[tenant, kind, destination] += count
            mine += count if owner == self.settings.name else 0
        return busy, mine

    def _concurrency(self, destination: DestinationState) -> int:
        if destination.next_call_at is not None or destination.consecutive_failures >= self.settings.break_after:
            return 1  # paced, or failing: one call at a time, as a probe
        return destination.concurrency or self.settings.concurrency

    def _pick(self, session: HubSession, destination: DestinationState, limit: int) -> list[str]:
        now = self.clock.now()
        due = self._due(destination, now)
        urgent = due.where(DeliveryRow.urgent_at <= now).order_by(DeliveryRow.priority, DeliveryRow.urgent_at)
        picked = _locked(session, urgent.order_by(DeliveryRow.lane_order, DeliveryRow.id), limit)
        if len(picked) < limit:
            rest = due.where(or_(DeliveryRow.urgent_at.is_(None), DeliveryRow.urgent_at > now))
            rest = rest.order_by(DeliveryRow.priority, DeliveryRow.next_attempt_at, DeliveryRow.id)
            picked += _locked(session, rest, limit - len(picked))
        return picked

    def _due(self, destination: DestinationState, now: datetime) -> Select[str]:
        earlier = aliased(DeliveryRow)
        statement = select(DeliveryRow.id).where(
            DeliveryRow.tenant_id == destination.tenant_id,
            DeliveryRow.destination_kind == destination.kind,
            DeliveryRow.destination_id == destination.destination_id,
            in_state(DeliveryRow, State.WAITING),
            DeliveryRow.next_attempt_at <= now,
            ~exists().where(
                earlier.lane == DeliveryRow.lane,
                in_state(earlier, *OPEN_STATES),
                tuple_(earlier.lane_order, earlier.id) < tuple_(DeliveryRow.lane_order, DeliveryRow.id),
            ),
        )
        if destination.open_until is not None and destination.open_until > now:
            return statement.where(DeliveryRow.failure_count > 0)
        return statement

    def _lease(self, session: HubSession, ids: Iterable[str]) -> list[Claim]:
        until = self.real_clock.now() + timedelta(seconds=self.settings.queue_lease_s)
        claims = [Claim(delivery_id, new_id()) for delivery_id in ids]
        for claim in claims:
            session.execute(
                update(DeliveryRow)
                .where(DeliveryRow.id == claim.delivery_id)
                .values(
                    state=State.LEASED.value,
                    lease_owner=self.settings.name,
                    lease_token=claim.token,
                    lease_until=until,
                )
                .execution_options(synchronize_session=False)
            )
        return claims

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
                .where(in_state(DeliveryRow, State.LEASED), which)
                .values(state=State.WAITING.value, lease_owner=None, lease_token=None, lease_until=None)
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
        with self.db.read_system("ledger") as session:
            backlog = select(DeliveryRow.destination_kind, func.count(), func.min(DeliveryRow.created_at))
            found = {
                kind: (count, oldest)
                for kind, count, oldest in session.execute(
                    backlog.where(in_state(DeliveryRow, *OPEN_STATES)).group_by(DeliveryRow.destination_kind)
                )
            }
            held = select(DestinationState.kind, func.count()).where(DestinationState.held.is_(True))
            holds = dict(session.execute(held.group_by(DestinationState.kind)).all())
        for kind in kinds:
            count, oldest = found.get(kind, (0, now))
            WAITING.labels(kind).set(count)
            OLDEST_WAITING_S.labels(kind).set(max(0.0, (now - oldest).total_seconds()))
            HELD.labels(kind).set(holds.get(kind, 0))


def _key(destination: DestinationState) -> Key:
    return destination.tenant_id, destination.kind, destination.destination_id


def _of(destination: type[DestinationState]) -> tuple[ColumnElement[bool], ...]:
    return (
        DeliveryRow.tenant_id == destination.tenant_id,
        DeliveryRow.destination_kind == destination.kind,
        DeliveryRow.destination_id == destination.destination_id,
        in_state(DeliveryRow, State.WAITING),
    )


def _locked(session: HubSession, statement: Select[Any], limit: int) -> list[str]:
    return list(session.scalars(statement.limit(limit).with_for_update(skip_locked=True)))
