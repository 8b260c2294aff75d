"""Keeps roaming links up to date in the background: stations, status, silent orders.

The scheduler only says when to look; the calls run in threads of their own, one per link at a time, because another operator's slow
server must hold up neither the scheduler nor the other links.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog

from charging_core.clock import Clock
from charging_core.db import Database
from partners import metrics
from partners.errors import RoamingFailed
from partners.links import Link, LinkBook
from partners.roaming.mirror import Mirror
from partners.roaming.model import RoamingSync
from partners.roaming.orders import RoamingOrders

log = structlog.get_logger()

LOOK_S = 10.0
"""How often silent orders are looked for, in business seconds."""
FULL_EVERY = timedelta(hours=24)
"""A full listing is the only sign of a deleted station (11.1)."""
PARTIAL_EVERY = timedelta(hours=1)
THREADS = 4


class RoamingKeeper:
    """Looks after all links on which our drivers charge."""

    def __init__(self, db: Database, clock: Clock, book: LinkBook, mirror: Mirror, orders: RoamingOrders) -> None:
        self._db = db
        self._clock = clock
        self._book = book
        self._mirror = mirror
        self._orders = orders
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[None]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def run(self, tick: datetime) -> None:
        """Begin to look after every link that is not being looked after already."""
        del tick
        links = [link for link in self._book.enabled() if link.role.buys and link.outbound is not None]
        with self._lock:
            for link in links:
                if link.id not in self._under_way or self._under_way[link.id].done():
                    self._under_way[link.id] = self._pool().submit(self._apart, link)

    def wait(self) -> None:
        """Until what is under way is done."""
        with self._lock:
            futures = list(self._under_way.values())
        for future in futures:
            future.result()

    def stop(self) -> None:
        """Finish what is under way and end the threads."""
        with self._lock:
            pool, self._threads = self._threads, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def look_after(self, link: Link) -> None:
        """Everything that is due on one link now. Raises `RoamingFailed`."""
        self._orders.follow_up(link)
        due = self._due(link)
        if due is not None:
            self._mirror.sync(link, full=due == "full")
            self._mirror.sync_status(link)

    def _due(self, link: Link) -> str | None:
        now = self._clock.now()
        with self._db.read(link.tenant_id) as session:
            kept = session.get(RoamingSync, link.id)
        if kept is None or kept.full_at is None or now - kept.full_at >= FULL_EVERY:
            return "full"
        last = max(filter(None, (kept.full_at, kept.partial_at)))
        return "partial" if now - last >= PARTIAL_EVERY else None

    def _apart(self, link: Link) -> None:
        try:
            self.look_after(link)
        except RoamingFailed as failed:
            metrics.ROAMING_FAILURES.labels(failed.interface).inc()
            log.warning("roaming_link_not_kept", link=link.slug, problem=str(failed))
        except Exception:  # the edge of the loop: one link's trouble must not end the others'
            metrics.ROAMING_FAILURES.labels("internal").inc()
            log.exception("roaming_link_not_kept", link=link.slug)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="roaming")
        return self._threads
