"""Runs registered jobs at their ticks, in one process at a time.

Any number of schedulers may run; a lease in the database makes one of them the leader. It keeps in memory where its jobs stand, so
that looking whether something is due, several times a second, costs no transaction. Ticks are business time aligned to the
Chinese wall clock. A missed tick is not replayed, only the latest is run, unless the job backfills (`specs/municipal.md` 13.6, 13.7).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import CursorResult, or_, select, update

from charging_core.clock import CHINA, Clock, SystemClock
from charging_core.db import Database, HubSession
from worker.api import Job, Registry
from worker.metrics import JOB_RUNS
from worker.model import ScheduleTick, WorkerLease
from worker.planning import insert_ignore
from worker.settings import WorkerSettings

log = structlog.get_logger()

LEADER = "scheduler"
MAX_BACKFILL = 400
"""Ticks caught up at once: a year of days. Older ones are dropped with a warning."""
_CHINA_MIDNIGHT = datetime(2020, 1, 1, tzinfo=CHINA)


class Kept(NamedTuple):
    """Where a job stands: when it was first seen, and its last tick."""

    origin: datetime
    last_tick: datetime


@dataclass
class Scheduler:
    """The jobs of one registry, and the wish to lead."""

    db: Database
    clock: Clock
    registry: Registry
    settings: WorkerSettings
    real_clock: Clock = field(default_factory=SystemClock)

    _kept: dict[str, Kept] = field(default_factory=dict, init=False)
    """What this leader knows of its jobs, so that a look at them costs no transaction; nobody else writes it while it leads."""
    _led_from: datetime | None = field(default=None, init=False)

    def run_due(self) -> int:
        """Run every due tick if this process leads (or now can); returns how many ran. A failing job does not stop the others."""
        if not self.lead():
            return 0
        return sum(self._run(job) for job in self.registry.jobs)

    def lead(self) -> bool:
        """Take the leader's lease, or prolong it when half of it is over; false when somebody else holds it."""
        now = self.real_clock.now()
        lease = timedelta(seconds=self.settings.leader_lease_s)
        led_for = None if self._led_from is None else now - self._led_from
        if led_for is not None and timedelta() <= led_for < lease / 2:
            return True
        with self.db.system("scheduler") as session:
            leads = self._take_lease(session, now, now + lease)
        if not leads:
            self._forget()
        elif led_for is None or not timedelta() <= led_for < lease:
            self._kept = self._read()  # the lease had run out, if there was one: somebody else may have led meanwhile
        self._led_from = now if leads else None
        return leads

    def resign(self) -> None:
        """Let another process lead at once (this one stops)."""
        self._led_from = None  # where the jobs stand stays known to one that is still running
        with self.db.system("scheduler") as session:
            held = session.get(WorkerLease, LEADER)
            if held is not None and held.owner == self.settings.name:
                session.delete(held)

    def _take_lease(self, session: HubSession, now: datetime, until: datetime) -> bool:
        mine_or_free = or_(WorkerLease.owner == self.settings.name, WorkerLease.lease_until < now)
        taken = session.execute(
            update(WorkerLease)
            .where(WorkerLease.name == LEADER, mine_or_free)
            .values(owner=self.settings.name, lease_until=until)
            .execution_options(synchronize_session=False)
        )
        if isinstance(taken, CursorResult) and taken.rowcount:
            return True
        values = {"name": LEADER, "owner": self.settings.name, "lease_until": until}
        fresh = session.execute(insert_ignore(session, WorkerLease).values(values).returning(WorkerLease.name))
        return fresh.first() is not None

    def _forget(self) -> None:
        self._kept, self._led_from = {}, None

    def _read(self) -> dict[str, Kept]:
        with self.db.read_system("scheduler") as session:
            return {row.name: Kept(row.origin, row.last_tick) for row in session.scalars(select(ScheduleTick))}

    def _run(self, job: Job) -> int:
        return sum(self._run_tick(job, tick) for tick in self._due_ticks(job))

    def _run_tick(self, job: Job, tick: datetime) -> int:
        # A job without backfill is never run twice for a tick, one with backfill never loses one.
        if job.name not in self._kept or (not job.backfill and not self._remember(job, tick)):
            return 0
        try:
            job.run(tick)
        except Exception:  # told and counted; the next tick is another chance
            log.error("job_failed", job=job.name, tick=tick.isoformat(), exc_info=True)
            JOB_RUNS.labels(job.name, "failed").inc()
            return 0
        if job.backfill:
            self._remember(job, tick)
        JOB_RUNS.labels(job.name, "ok").inc()
        return 1

    def _due_ticks(self, job: Job) -> list[datetime]:
        now = self.clock.now()
        kept = self._kept.get(job.name)
        if kept is None:
            self._begin(job, now)
            return []
        ticks = ticks_between(job, kept.origin, kept.last_tick, now)
        if job.backfill:
            if len(ticks) > MAX_BACKFILL:
                log.warning("ticks_dropped", job=job.name, count=len(ticks) - MAX_BACKFILL)
            return ticks[-MAX_BACKFILL:]
        return ticks[-1:]

    def _begin(self, job: Job, now: datetime) -> None:
        """A job that nobody has seen before: its ticks count from now."""
        if self._led_from is None:
            return
        with self.db.system("scheduler") as session:
            row = {"name": job.name, "origin": now, "last_tick": now}
            session.execute(insert_ignore(session, ScheduleTick).values(row))
        self._kept[job.name] = Kept(now, now)

    def _remember(self, job: Job, tick: datetime) -> bool:
        """Write the tick down; false, and an end to leading, when another leader has written one meanwhile (this process slept)."""
        kept = self._kept[job.name]
        with self.db.system("scheduler") as session:
            done = session.execute(
                update(ScheduleTick)
                .where(ScheduleTick.name == job.name, ScheduleTick.last_tick == kept.last_tick)
                .values(last_tick=tick)
                .execution_options(synchronize_session=False)
            )
            ours = isinstance(done, CursorResult) and done.rowcount == 1
        if ours:
            self._kept[job.name] = Kept(kept.origin, tick)
        else:
            log.warning("another_leader", job=job.name, tick=tick.isoformat())
            self._forget()
        return ours


def ticks_between(job: Job, origin: datetime, after: datetime, now: datetime) -> list[datetime]:
    """The ticks of a job later than `after` and not later than `now` (pure). At most one more than `MAX_BACKFILL` is of use."""
    if job.daily is not None:
        return _daily_ticks(job, after, now)
    start = origin if job.align == "start" else _CHINA_MIDNIGHT
    step = timedelta(seconds=job.every_s)
    last = (now - start) // step
    first = max((after - start) // step + 1, last - MAX_BACKFILL)
    return [start + step * number for number in range(first, last + 1)]


def _daily_ticks(job: Job, after: datetime, now: datetime) -> list[datetime]:
    ticks = []
    day = max(after, now - timedelta(days=MAX_BACKFILL + 1)).astimezone(CHINA).date() - timedelta(days=1)
    while day <= now.astimezone(CHINA).date():
        tick = _moment(job, datetime.combine(day, time(), CHINA))
        if after < tick <= now:
            ticks.append(tick)
        day += timedelta(days=1)
    return ticks


def _moment(job: Job, midnight: datetime) -> datetime:
    """A steady, random-looking minute of the job's window, so that hubs do not all call a platform at once."""
    opening, closing = job.daily or (time(), time())
    start = timedelta(hours=opening.hour, minutes=opening.minute)
    length = (timedelta(hours=closing.hour, minutes=closing.minute) - start) % timedelta(days=1) or timedelta(days=1)
    minutes = int(length.total_seconds() // 60)
    return midnight + start + timedelta(minutes=zlib.crc32(job.name.encode()) % minutes)
