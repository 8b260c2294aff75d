"""What the clock asks for: charge status and power at multiples of their periods in China time, and the hourly look for news.

The scheduler runs `PeriodSweep` once a minute. The instant of a period is the delivery's version, so that planning it twice changes
nothing. A period whose time has passed is left out, not replayed (`specs/municipal.md` 13.6).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from charging_core.clock import CHINA, Clock
from charging_core.db import Database, HubSession
from charging_core.orders.model import ChargeOrder
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import OrderState
from municipal import metrics
from municipal.announcing import plan_changed, stations_in_scope
from municipal.documents import power_reading
from municipal.planning import plan_power, plan_sample
from municipal.profiles.schema import POWER, RegionInterfaceSpec
from municipal.regulators import Regulator, enabled_regulators
from worker.api import PlannedDelivery
from worker.planning import enqueue

NEWS_EVERY_S = 3600
LATE_LIMIT = timedelta(seconds=120)
"""How long after its instant a period is still told: two looks at the clock. Longer would label an old instant with new readings."""

_RUNNING = (OrderState.CHARGING, OrderState.STOPPING)
_MIDNIGHT = datetime(2020, 1, 1, tzinfo=CHINA)


@dataclass(frozen=True, slots=True)
class _Due:
    """One push of one regulator whose instant has come."""

    regulator: Regulator
    name: str
    part: RegionInterfaceSpec
    at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What the sweep remembers it by."""
        return self.regulator.id, self.name


class PeriodSweep:
    """Plans the periodic pushes of all tenants. Remembers what it planned only to save work, never to decide."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._planned: dict[tuple[str, str], datetime] = {}

    def run(self, tick: datetime) -> int:
        """Plan what is due at `tick`; returns how many deliveries are new."""
        due = [one for one in self._due(tick) if self._planned.get(one.key) != one.at]
        new = 0
        for tenant_id, wanted in _by_tenant(due).items():
            with self._db.session(tenant_id) as session:
                new += sum(self._plan(session, tenant_id, one) for one in wanted)
        self._planned |= {one.key: one.at for one in due}
        return new

    def _due(self, tick: datetime) -> Iterator[_Due]:
        with self._db.read_system("regulator periods") as session:
            regulators = enabled_regulators(session)
        for regulator in regulators:
            for name, part in regulator.profile.spec.interfaces.items():
                for rhythm in part.rhythms:
                    at = period_begin(tick, rhythm.seconds)
                    if self._in_time(at):
                        yield _Due(regulator, name, part, at)

    def _in_time(self, at: datetime) -> bool:
        return self._clock.now() - at <= LATE_LIMIT

    def _plan(self, session: HubSession, tenant_id: str, due: _Due) -> int:
        plans = _power(session, due) if due.part.source == POWER else _samples(session, due)
        new = len(enqueue(session, plans, self._clock, tenant_id))
        metrics.SWEPT.labels(due.name).inc(new)
        return new


class NewsSweep:
    """Once an hour: what changed without an event, or was never told."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def run(self, tick: datetime) -> int:
        """Plan what is news; returns how many deliveries are new."""
        with self._db.read_system("regulator news") as session:
            regulators = enabled_regulators(session)
        return sum(self._look(regulator, tick) for regulator in regulators)

    def _look(self, regulator: Regulator, tick: datetime) -> int:
        with self._db.read(regulator.tenant_id) as session:
            plans = list(plan_changed(session, regulator, tick))
        if not plans:
            return 0
        with self._db.session(regulator.tenant_id) as session:
            return len(enqueue(session, plans, self._clock, regulator.tenant_id))


def period_begin(instant: datetime, seconds: int) -> datetime:
    """The last multiple of `seconds` on the Chinese wall clock that is not later than `instant`."""
    step = timedelta(seconds=seconds)
    return (_MIDNIGHT + (instant - _MIDNIGHT) // step * step).astimezone(instant.tzinfo)


def _by_tenant(due: Iterable[_Due]) -> dict[str, list[_Due]]:
    found: dict[str, list[_Due]] = defaultdict(list)
    for one in due:
        found[one.regulator.tenant_id].append(one)
    return found


def _samples(session: HubSession, due: _Due) -> list[PlannedDelivery]:
    """The status of every charge that was running at the instant."""
    running = select(ChargeOrder).where(ChargeOrder.state.in_(_RUNNING), ChargeOrder.started_at <= due.at)
    plans: list[PlannedDelivery] = []
    for order in session.scalars(running.order_by(ChargeOrder.id)):
        snapshot = order_snapshot(session, order)
        if due.regulator.concerns(snapshot):
            plans += plan_sample(due.regulator, due.name, snapshot, due.at)
    return plans


def _power(session: HubSession, due: _Due) -> list[PlannedDelivery]:
    """The power of all stations in scope; nothing without stations."""
    stations = stations_in_scope(session, due.regulator)
    if not stations:
        return []
    newest_within = None if due.part.max_age is None else timedelta(seconds=due.part.max_age)
    return [plan_power(due.regulator, due.name, power_reading(session, stations, due.at, newest_within))]
