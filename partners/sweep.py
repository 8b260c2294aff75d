"""The periodic charge status push: a sweep over running orders, because samples are never events (DECISIONS 17).

Tick n of an order is due n periods after its start. Only the present tick is planned: missed ones are not replayed, and planning the
same tick twice changes nothing, because the tick is the delivery's version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.orders.model import ChargeOrder
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import OrderState
from partners import metrics
from partners.links import Link, LinkBook
from partners.outbound import plan_push
from partners.profiles.profile import CompiledInterface
from worker.api import PlannedDelivery
from worker.planning import enqueue

SWEEP_S = 5.0
"""How exactly a period is kept, in business seconds: a tenth of the usual 50 s."""

_RUNNING = (OrderState.CHARGING, OrderState.STOPPING)


@dataclass(frozen=True, slots=True)
class _Tick:
    """The present tick of one order and interface."""

    tenant_id: str
    order_id: str
    link: Link
    interface: CompiledInterface
    tick: int

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
        due = [one for one in present if one.tick > self._planned.get(one.key, 0)]
        new = sum(self._plan(tenant_id, due) for tenant_id in {one.tenant_id for one in due})
        self._planned = {one.key: one.tick for one in present}
        metrics.SWEPT.inc(new)
        return new

    def _plan(self, tenant_id: str, due: list[_Tick]) -> int:
        with self._db.session(tenant_id) as session:
            plans = [plan for one in due if one.tenant_id == tenant_id for plan in _plans(session, one)]
            return len(enqueue(session, plans, self._clock, tenant_id))

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
            for interface, tick in _ticks(link, started_at, now):
                yield _Tick(tenant_id, order_id, link, interface, tick)


def _ticks(link: Link, started_at: datetime, now: datetime) -> Iterator[tuple[CompiledInterface, int]]:
    """The present tick of every interface that speaks in a rhythm while charging; the first comes one period after the start."""
    for name in link.profile.names:
        interface = link.profile.interface(name)
        if interface.spec.direction != "push" or not any(trigger.every for trigger in interface.spec.trigger):
            continue
        tick = int((now - started_at).total_seconds() // link.timing.charge_status_s)
        if tick >= 1:
            yield interface, tick


def _plans(session: HubSession, due: _Tick) -> Iterator[PlannedDelivery]:
    order = session.get(ChargeOrder, due.order_id)
    if order is None or order.state not in _RUNNING:
        return
    snapshot: dict[str, Any] = order_snapshot(session, order)
    if snapshot.get("start_charge_seq"):
        yield plan_push(due.link, due.interface, order.id, due.tick, snapshot)
