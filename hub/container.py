"""The composition root: builds every room's parts from the settings, and starts and stops them by role.

Nothing else in the house wires rooms together; a handler or command asks this object. Building opens no port and starts no thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp

from charging_core.clock import SystemClock, clock_from_spec
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, NotFound
from charging_core.orders.guard import GuardPolicy, OverLimit
from charging_core.orders.ports import OrderContext
from charging_core.orders.reservations.service import sweep_reservations
from charging_core.orders.rules import MissingRecord
from charging_core.orders.starts.groups import sweep_groups
from charging_core.orders.sweep import sweep_orders
from charging_core.piles.errors import PortUnavailable
from charging_core.piles.ports import PilePorts
from charging_core.piles.server import PileServer
from charging_core.piles.settings import PileServerSettings
from charging_core.piles.store.cards import CardDesk
from charging_core.piles.store.commands import TableCommands, TableCommandSource
from charging_core.piles.store.device import sweep_commands
from charging_core.piles.store.directory import TablePileDirectory, TableTariffSource
from charging_core.piles.store.firmware import FirmwareDesk
from charging_core.piles.store.frames import FrameRetention
from charging_core.piles.store.late_cards import sweep_late_cards
from charging_core.piles.store.parked import sweep_parked
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.piles.store.starts import TableStartDesk
from charging_core.piles.store.tariff_sweep import sweep_tariffs
from charging_core.secretbox import SecretBox
from charging_core.tariffs.schedule import follow_calendars
from hub import migrate
from hub.errors import NotMigrated, PortBusy
from hub.limits import LocalRateLimiter, RateLimiter
from hub.local import LocalRoutes, LocalWaker, WakeOnEvent
from hub.patience import wait_for_database
from hub.redis_adapters import RedisRateLimiter, RedisRoutes, RedisWaker, WakeListener, connect, wake_stream
from hub.settings import Settings
from hub.watching import FrameForwarder, LocalWatching, RedisWatching, Watching
from municipal.wiring import register as register_regulators
from parking.reading import parking_of_order
from parking.service import SWEEP_EVERY_S, ParkingService
from partners.linktest import test_link
from partners.model import PartnerLink
from partners.room import PartnerRoom
from partners.tcec102.edge import TcecEdge
from partners.tcec102.memory import TokenBuckets
from worker.api import Registry
from worker.runtime import WorkerRuntime
from worker.settings import Keep, WorkerSettings

log = structlog.get_logger()

ORDER_TIMER_S = 2.0
"""How often order timers are looked at, in business seconds; the shortest timer is 15 s (`orders/limits.py`)."""
TARIFF_ROLLOUT_S = 60.0
"""How often piles that still run an older tariff version are told the new one, in business seconds."""
DEVICE_SWEEP_S = 10.0
"""How often commands to piles that nobody will answer are closed and firmware rollouts moved on, in business seconds."""
LATE_CARDS_S = 600.0
"""How often off-line charges are looked at whose card nobody knew, in business seconds: a card is declared by people."""

NIGHT = (time(3), time(4))
"""China time in which history that nobody may keep any longer is deleted."""

BURST_S = 4
"""Seconds' worth of a partner's rate that may come at once: pushes of a platform arrive in bunches."""


class Role(StrEnum):
    """What a process does. The embedded program does all of it."""

    WEB = "web"
    PILES = "piles"
    WORKER = "worker"
    SCHEDULER = "scheduler"


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for this process to do its work; `title` is for people, `detail` says what is wrong."""

    name: str
    title: str
    ok: bool
    detail: str


class Container:
    """One composed hub process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = clock_from_spec(settings.clock)
        self.db = Database(
            settings.database_url, synchronous=settings.sqlite_synchronous, pool_size=settings.database_pool
        )
        self.box = SecretBox(settings.secret_keys)
        self.redis: Redis | None = connect(settings.redis_url) if settings.redis_url else None
        self.local_waker = LocalWaker()
        self.routes: LocalRoutes | RedisRoutes = LocalRoutes()
        self.limiter: RateLimiter = LocalRateLimiter(settings.rate_per_minute)
        waker: LocalWaker | RedisWaker = self.local_waker
        if self.redis is not None:
            self.routes = RedisRoutes(self.redis, settings.shard)
            waker = RedisWaker(self.redis, self.routes)
            self.limiter = RedisRateLimiter(self.redis, settings.rate_per_minute)
        self.waker = waker
        self.watching: Watching = LocalWatching(lambda: self.pile_server)
        if self.redis is not None and isinstance(self.routes, RedisRoutes):
            self.watching = RedisWatching(self.redis, self.routes.shard_of, wake_stream)
        self.firmware = FirmwareDesk(self.clock, waker, self.box)
        self.commands = TableCommands(self.clock, waker)
        self.order_context = OrderContext(
            self.clock, self.commands, guard_policy(settings), MissingRecord(settings.missing_record)
        )
        self.starts = TableStartDesk(self.db, self.order_context)
        self.card_lists = CardDesk(self.clock, waker)
        self.registry = Registry()
        self.registry.schedule("order_timers", lambda _tick: self._sweep_orders(), every_s=ORDER_TIMER_S)
        self.registry.schedule("pile_commands", lambda _tick: self._sweep_devices(), every_s=DEVICE_SWEEP_S)
        self.registry.schedule("tariff_rollout", lambda _tick: self._sweep_tariffs(), every_s=TARIFF_ROLLOUT_S)
        self.registry.schedule("late_cards", lambda _tick: self._sweep_late_cards(), every_s=LATE_CARDS_S)
        self.registry.schedule("frame_retention", lambda _tick: self._forget_frames(), daily=NIGHT)
        self.partners = PartnerRoom(self.db, self.order_context, self.box)
        self.partners.register(self.registry, after_planning=self.wake_worker)
        self.regulators = register_regulators(
            self.registry,
            self.db,
            self.clock,
            self.box,
            self.partners.recorder,
            after_planning=self.wake_worker,
        )
        self.parking = ParkingService(self.db, self.clock, self.box, self.wake_worker)
        self.registry.register(self.parking.driver)
        self.registry.schedule("parking_sweep", self._sweep_parking, every_s=SWEEP_EVERY_S)
        self.roles: frozenset[Role] = frozenset()
        self.web_port: int | None = None
        self.pile_port: int | None = None
        self.ocpp_port: int | None = None
        self.pile_server: PileServer | None = None
        self.worker: WorkerRuntime | None = None
        self._listener: WakeListener | None = None
        self._forwarder: FrameForwarder | None = None
        self._wake_on_event: WakeOnEvent | None = None
        self._lock = threading.Lock()
        self._closed = False

    # -- start and stop

    def start(self, roles: Iterable[Role]) -> None:
        """Start the parts of these roles; does nothing when started already.

        Raises `NotMigrated`, or `PortBusy` with the setting to change; what had started by then is stopped again.
        """
        with self._lock:
            if self.roles:
                return
            wait_for_database(self.db)
            migrate.require_head(self.db.engine)
            self.roles = frozenset(roles)
            try:
                self._start_parts()
            except BaseException:
                self._stop_parts()
                self.roles = frozenset()
                raise
        log.info("hub.started", roles=sorted(self.roles), pile_port=self.pile_port, ocpp_port=self.ocpp_port)

    def stop(self) -> None:
        """Stop taking work, finish what is under way within the drain time, close everything. Safe to repeat."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stop_parts()
            self.db.close()
            if self.redis is not None:
                self.redis.close()
        log.info("hub.stopped")

    def _start_parts(self) -> None:
        self.partners.start()
        if Role.WORKER in self.roles or Role.SCHEDULER in self.roles:
            self.worker = self._build_worker()
            self._wake_on_event = WakeOnEvent(self.db, self.worker.wake)
            self._wake_on_event.start()
            self.worker.start()
        if Role.PILES in self.roles:
            self._start_piles()

    def _start_piles(self) -> None:
        keeping = PileServerSettings(keep_frames=self.settings.frame_days > 0)
        # Here and not at the top: processes without piles need not load what OCPP brings along, a tenth of their start.
        from charging_core.piles.protocols.ocpp16.book import TableOcppBook
        from charging_core.piles.protocols.ocpp16.server import OcppListener

        ocpp = OcppListener(self.settings.bind, self.settings.ocpp_port, TableOcppBook(self.db, self.box, self.starts))
        server = PileServer(
            self.settings.bind, self.settings.pile_port, self._pile_ports(), self.clock, keeping, also=ocpp
        )
        try:
            self.pile_port = server.start()
        except PortUnavailable as error:
            setting = "HUB_OCPP_PORT" if error.also else "HUB_PILE_PORT"
            raise PortBusy(error.host, error.port, setting) from error
        self.ocpp_port = server.also_port
        self.pile_server = server
        self.local_waker.attach(server.wake)
        if self.redis is not None:
            self._listener = WakeListener(self.redis, self.settings.shard, server.wake, server.watch.watch)
            self._listener.start()
            self._forwarder = FrameForwarder(self.redis, server.watch)
            self._forwarder.start()

    def _stop_parts(self) -> None:
        self.local_waker.attach(None)
        if self._listener is not None:
            self._listener.stop()
            self._listener.join()
        if self._forwarder is not None:
            self._forwarder.stop()
            self._forwarder.join()
        if self.pile_server is not None:
            self.pile_server.stop(self.settings.drain_s)
        if self._wake_on_event is not None:
            self._wake_on_event.stop()
        if self.worker is not None:
            self.worker.stop(self.settings.drain_s)
        self.parking.close()
        self.regulators.close()
        self.partners.stop()
        self._listener = self._forwarder = self.pile_server = self._wake_on_event = self.worker = None

    def _build_worker(self) -> WorkerRuntime:
        return WorkerRuntime(
            self.db,
            self.clock,
            self.registry,
            self._worker_settings(),
            deliver=Role.WORKER in self.roles,
            schedule=Role.SCHEDULER in self.roles,
        )

    def _worker_settings(self) -> WorkerSettings:
        attempts, deliveries = self.settings.keep_attempts_days, self.settings.keep_deliveries_days
        usual = Keep().for_days(attempts.get("default"), deliveries.get("default"))
        own = {kind: usual.for_days(attempts.get(kind), deliveries.get(kind)) for kind in {*attempts, *deliveries}}
        return WorkerSettings(
            redis_url=self.settings.redis_url,
            threads=self.settings.delivery_threads,
            lease_margin_s=self.settings.delivery_margin_s,
            keep=usual,
            keep_of_kind={kind: keep for kind, keep in own.items() if kind != "default"},
        )

    def _pile_ports(self) -> PilePorts:
        return PilePorts(
            directory=TablePileDirectory(self.db, self.clock),
            sink=TablePileEventSink(self.db, self.order_context),
            commands=TableCommandSource(self.db, self.order_context, self.box),
            tariffs=TableTariffSource(self.db, self.clock),
            routes=self.routes,
            starts=self.starts,
        )

    def _sweep_parking(self, _tick: datetime) -> None:
        self.parking.sweep()

    def _forget_frames(self) -> None:
        FrameRetention(self.db, self.clock, timedelta(days=self.settings.frame_days)).run()

    def _sweep_tariffs(self) -> None:
        follow_calendars(self.db, self.clock)
        sweep_tariffs(self.db, self.clock, self.commands)

    def _sweep_late_cards(self) -> None:
        sweep_late_cards(self.db, self.order_context)

    def _sweep_devices(self) -> None:
        sweep_commands(self.db, self.clock)
        sweep_parked(self.db, self.order_context)
        self.firmware.sweep(self.db)

    def _sweep_orders(self) -> None:
        sweep_orders(self.db, self.order_context)
        sweep_reservations(self.db, self.order_context)
        sweep_groups(self.db, self.order_context)

    # -- what the edge asks

    def tcec_door(self, inner: ASGIApp) -> ASGIApp:
        """The T/CEC 102 edge in front of `inner`."""
        rate = float(self.settings.partner_rate_per_s)
        door = self.partners.door(TokenBuckets(rate, max(1, int(rate * BURST_S))))
        edge: ASGIApp = TcecEdge(door, inner, threads=self.settings.web_threads)
        return edge

    def test_link(self, tenant_id: str | None, slug: str) -> list[dict[str, Any]]:
        """Reach the other side of a link; the steps in words. Raises `NotFound`, or `Conflict` when several tenants have that name."""
        with self.db.read_system("link test") as session:
            query = select(PartnerLink.tenant_id).where(PartnerLink.slug == slug)
            owners = [owner for owner in session.scalars(query) if tenant_id in (None, owner)]
        if not owners:
            raise NotFound(f"link {slug}")
        if len(owners) > 1:
            raise Conflict(
                f"{slug}: 多个租户有此链路, 请用 --tenant / several tenants have this link: name one with --tenant"
            )
        self.partners.book.refresh()
        link = self.partners.book.by_slug(owners[0], slug)
        with self.db.read(owners[0]) as session:
            steps = test_link(session, link, self.partners.clients, self.clock, SystemClock().now)
        self.partners.recorder.flush()
        return [asdict(step) for step in steps]

    def wake_worker(self) -> None:
        """Something was committed that the worker should look at now; a worker in another process polls."""
        if self.worker is not None:
            self.worker.wake()

    def parking_of(self, session: HubSession, order_id: str) -> list[dict[str, Any]]:
        """What parking did for an order."""
        return parking_of_order(session, order_id)

    def checks(self) -> list[Check]:
        """Whether this process can do its work now, part by part."""
        found = [self._check_database()]
        if self.redis is not None:
            found.append(self._check_redis(self.redis))
        if Role.PILES in self.roles:
            alive = self.pile_server is not None and self.pile_server.alive()
            found.append(_check("piles", "桩服务 · pile server", alive, f"port {self.pile_port}", "not running"))
        if Role.WORKER in self.roles or Role.SCHEDULER in self.roles:
            alive = self.worker is not None and self.worker.alive()
            found.append(_check("worker", "后台任务 · worker", alive, "running", "not running"))
        if not self.roles:
            found.append(Check("started", "启动 · start", False, "not started"))
        return found

    def facts(self) -> Mapping[str, str]:
        """Addresses and settings for the status page; no secrets."""
        settings = self.settings
        return {
            "roles": " ".join(sorted(self.roles)),
            "web": f"http://{settings.bind}:{self.web_port or settings.web_port}/",
            "piles (YKC TCP)": f"{settings.bind}:{self.pile_port}" if self.pile_port else "",
            "piles (OCPP 1.6J)": f"ws://{settings.bind}:{self.ocpp_port}/" if self.ocpp_port else "",
            "database": self.db.dialect,
            "broker": "redis" if self.redis is not None else "in process",
            "environment": settings.environment,
            "clock": settings.clock or "system",
        }

    def _check_database(self) -> Check:
        title = "数据库 · database"
        try:
            self.db.ping()
            migrate.require_head(self.db.engine)
        except NotMigrated as error:
            return Check("database", title, False, str(error))
        except (DBAPIError, OSError) as error:
            return Check("database", title, False, f"不可达 / unreachable ({type(error).__name__})")
        return Check("database", title, True, f"{self.db.dialect}, schema at head")

    def _check_redis(self, redis: Redis) -> Check:
        try:
            redis.ping()
        except RedisError as error:
            return Check("broker", "Redis", False, f"不可达 / unreachable ({type(error).__name__})")
        return Check("broker", "Redis", True, "reachable")


def guard_policy(settings: Settings) -> GuardPolicy:
    """How the settings want the payers' limits guarded."""
    return GuardPolicy(
        settings.guard_margin_yuan, settings.guard_sample_s, settings.guard_stop_s, OverLimit(settings.over_limit)
    )


def _check(name: str, title: str, ok: bool, good: str, bad: str) -> Check:
    return Check(name, title, ok, good if ok else bad)
