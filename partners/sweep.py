"""The periodic charge status push: a sweep over running orders, because samples are never events (DECISIONS 17).

Tick n of an order is due n periods after its start. Only the present tick is planned: missed ones are not replayed, and planning the
same tick twice changes nothing, because its second is the delivery's version: it rises also when a link changes its period on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.orders.model import ChargeOrder
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector, Pile
from partners import metrics
from partners.links import Link, LinkBook
from partners.outbound import plan_push
from partners.profiles.profile import CompiledInterface
from worker.api import PlannedDelivery
from worker.planning import enqueue

log = structlog.get_logger()

SWEEP_S = 5.0
"""How exactly a period is kept, in business seconds: a tenth of the usual 50 s."""

_RUNNING = (OrderState.CHARGING, OrderState.STOPPING)


@dataclass(frozen=True, slots=True)
class _Tick:
    """The present tick of one order and interface: `due_s` seconds after the start."""

    tenant_id: str
    order_id: str
    link: Link
    interface: CompiledInterface
    due_s: int

    @property
    def key(self) -> tuple[str, str]:
        """What the sweep remembers it by."""
        return self.order_id, self.interface.name


class ChargeStatusSweep:
    """Plans the charge status pushes of all tenants. Remembers what it planned only to save work, never to decide."""

    def __init__(self, db: Database, clock: Clock, book: LinkBook) -> None:
        self._db = db
        self._clock = clock
        self._book = book
        self._planned: dict[tuple[str, str], int] = {}

    def run(self, tick: datetime) -> int:
        """Plan what is due now; returns how many deliveries are new. `tick` is the scheduler's and only says when to look."""
        del tick
        now = self._clock.now()
        with self._db.read_system("charge status sweep") as session:
            present = list(self._present(session, now))
        due: dict[str, list[_Tick]] = {}
        for one in present:
            if one.due_s > self._planned.get(one.key, 0):
                due.setdefault(one.tenant_id, []).append(one)
        self._forget_all_but(present)
        new = sum(self._plan_apart(tenant_id, ticks) for tenant_id, ticks in due.items())
        metrics.SWEPT.inc(new)
        return new

    def _forget_all_but(self, present: Iterable[_Tick]) -> None:
        keys = {one.key for one in present}
        self._planned = {key: due_s for key, due_s in self._planned.items() if key in keys}

    def _plan_apart(self, tenant_id: str, due: list[_Tick]) -> int:
        try:
            new = self._plan(tenant_id, due)
        except Exception:  # the edge of the loop: what is wrong with one tenant must not silence the others
            metrics.SWEEP_FAILURES.inc()
            log.exception("charge_status_not_planned", tenant=tenant_id, orders=len(due))
            return 0
        self._planned |= {one.key: one.due_s for one in due}
        return new

    def _plan(self, tenant_id: str, due: list[_Tick]) -> int:
        with self._db.read(tenant_id) as session:
            plans = list(_plans(session, due))
        with self._db.session(tenant_id) as session:
            running = _still_running(session, due)
            return len(enqueue(session, [p for p in plans if p.object_key in running], self._clock, tenant_id))

    def _present(self, session: HubSession, now: datetime) -> Iterator[_Tick]:
        running = select(ChargeOrder.id, ChargeOrder.tenant_id, ChargeOrder.link_id, ChargeOrder.started_at).where(
            ChargeOrder.state.in_(_RUNNING),
            ChargeOrder.link_id.is_not(None),
            ChargeOrder.started_at.is_not(None),
            ~ChargeOrder.stop_told,
        )
        for order_id, tenant_id, link_id, started_at in session.execute(running):
            link = self._book.get(link_id or "")
            if link is None or link.outbound is None or not link.enabled or started_at is None:
                continue
            for interface, due_s in _ticks(link, started_at, now):
                yield _Tick(tenant_id, order_id, link, interface, due_s)


def _ticks(link: Link, started_at: datetime, now: datetime) -> Iterator[tuple[CompiledInterface, int]]:
    """The present tick of every interface that speaks in a rhythm while charging; the first comes one period after the start."""
    for name in link.profile.names:
        interface = link.profile.interface(name)
        if interface.spec.direction != "push" or not any(trigger.every for trigger in interface.spec.trigger):
            continue
        period_s = link.timing.charge_status_s
        due_s = int((now - started_at).total_seconds()) // period_s * period_s
        if due_s > 0:
            yield interface, due_s


def _still_running(session: HubSession, due: Iterable[_Tick]) -> set[str]:
    """The orders whose end has not been told meanwhile; held so until the pushes are planned, or one would follow the end."""
    wanted = select(ChargeOrder.id).where(
        ChargeOrder.id.in_({one.order_id for one in due}), ChargeOrder.state.in_(_RUNNING), ~ChargeOrder.stop_told
    )
    return set(session.scalars(wanted.order_by(ChargeOrder.id).with_for_update(read=True)))


def _plans(session: HubSession, due: Iterable[_Tick]) -> Iterator[PlannedDelivery]:
    ticks = list(due)
    equipment = joinedload(ChargeOrder.connector).joinedload(Connector.pile).joinedload(Pile.station)
    wanted = select(ChargeOrder).where(
        ChargeOrder.id.in_({one.order_id for one in ticks}), ChargeOrder.state.in_(_RUNNING), ~ChargeOrder.stop_told
    )
    found = session.scalars(wanted.options(equipment, selectinload(ChargeOrder.details)))
    snapshots = {order.id: order_snapshot(session, order) for order in found}
    for one in ticks:
        snapshot = snapshots.get(one.order_id)
        if snapshot is not None and snapshot["start_charge_seq"]:
            yield plan_push(one.link, one.interface, one.order_id, one.due_s, snapshot)
