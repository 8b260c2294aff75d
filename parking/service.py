"""What the rest of the hub asks of parking: take a push, move a barrier, test a connection, sweep; and the driver for the worker.

A push is answered as soon as it is stored; opening a barrier, which takes as long as a device needs, happens on a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import NotFound
from charging_core.secretbox import SecretBox, SecretError
from parking.adapters.registry import adapter_kind
from parking.connections import AdapterPool, open_secrets
from parking.driver import ParkDriver
from parking.errors import EventUnreadable, SettingsError
from parking.gates import GateOperator, LiveExit, end_interrupted
from parking.grants import expire_waiting
from parking.metrics import ERRORS, PUSHES
from parking.model import Park, ParkConnection, Role, Stay, StayState
from parking.passages import Recorded, close_stay, record_passage
from parking.port import GateAction, GateResult, Health, InboundPush, Outcome, PassageKind, PassageSource, Trace
from worker.api import Registry

log = structlog.get_logger()

SWEEP_EVERY_S = 60.0
_GATE_THREADS = 4
"""Barriers that can be moved at once by one process; each waits for one device for seconds at most."""


class PushResult(StrEnum):
    """What became of a push. All but `UNKNOWN_TOKEN` are answered 200, so that no device repeats them for ever."""

    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    RECORDED = "recorded"
    REPEATED = "repeated"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep ended."""

    grants_expired: int
    stays_abandoned: int
    gates_interrupted: int = 0


class ParkingService:
    """One per process. `register` brings it to the worker; `close` waits for barriers under way."""

    def __init__(self, db: Database, clock: Clock, box: SecretBox, wake: Callable[[], None] = lambda: None) -> None:
        self._db = db
        self._clock = clock
        self._box = box
        self._wake = wake
        self._pool = AdapterPool(db, box, clock)
        self._gates = GateOperator(db, self._pool, clock)
        self._threads = ThreadPoolExecutor(_GATE_THREADS, thread_name_prefix="parking-gate")
        self.driver = ParkDriver(self._pool, clock)

    def register(self, registry: Registry) -> None:
        """Bring the driver of parks and the sweep to the worker."""
        registry.register(self.driver)
        registry.schedule("parking.sweep", self._sweep_tick, every_s=SWEEP_EVERY_S)

    def receive_push(self, inbound_token: str, headers: Mapping[str, str], body: bytes) -> PushResult:
        """Store what a device posted to its path. Durable when this returns; never raises for what the device sent."""
        connection = self._by_token(inbound_token)
        if connection is None:
            return PushResult.UNKNOWN_TOKEN
        try:
            adapter = self._pool.of(connection)
            push = InboundPush(headers, body, self._clock.now())
            event = adapter.read_push(push) if isinstance(adapter, PassageSource) else None
        except (EventUnreadable, SettingsError, SecretError) as error:
            PUSHES.labels(connection.adapter, "unreadable").inc()
            log.warning(
                "parking_push_unreadable",
                destination_id=connection.park_id,
                connection_id=connection.id,
                problem=str(error)[:200],
            )
            return PushResult.UNREADABLE
        if event is None or Role.PASSAGES not in connection.roles:
            return PushResult.IGNORED
        with self._db.session(connection.tenant_id) as session:
            session.on_commit(self._wake)
            row = session.get_one(ParkConnection, connection.id)
            recorded = record_passage(session, row, event)
        self._after(connection.tenant_id, recorded)
        return PushResult.RECORDED if recorded.is_new else PushResult.REPEATED

    def operate_gate(self, tenant_id: str, lane_id: str, action: GateAction, asked_by: str) -> GateResult:
        """Move a barrier for a person, now. Raises `NotFound`."""
        return self._gates.operate(tenant_id, lane_id, action, asked_by)

    def test_connection(self, tenant_id: str, connection_id: str) -> Health:
        """Ask a connection how it is, with a fresh adapter; a success lifts an earlier refusal. Raises `NotFound`."""
        with self._db.read(tenant_id) as session:
            row = session.scalars(select(ParkConnection).where(ParkConnection.id == connection_id)).one_or_none()
        if row is None:
            raise NotFound(f"park connection {connection_id}")
        health = self._health(row)
        if health.outcome is Outcome.OK:
            self._pool.drop(row.id)
            with self._db.session(tenant_id) as session:
                session.get_one(ParkConnection, row.id).auth_failed_at = None
        return health

    def sweep(self) -> Swept:
        """Expire grants that waited too long and close stays that nobody saw end; the scheduler does it every minute."""
        with self._db.read_system("parking sweep") as session:
            parks = session.execute(select(Park.id, Park.tenant_id)).all()
        swept = [self._sweep_park(park_id, tenant_id) for park_id, tenant_id in parks]
        return Swept(*(sum(counts) for counts in zip(*swept, strict=True))) if swept else Swept(0, 0, 0)

    def close(self) -> None:
        """Wait for barriers under way, then close all connections."""
        self._threads.shutdown(wait=True)
        self._pool.close()

    def _sweep_park(self, park_id: str, tenant_id: str) -> tuple[int, int, int]:
        """One transaction per park, under the lock that passages take, so that a long sweep holds up nobody."""
        now = self._clock.now()
        with self._db.session(tenant_id) as session:
            session.on_commit(self._wake)
            park = session.get_one(Park, park_id, with_for_update=True)
            return expire_waiting(session, park, now), _abandon(session, park, now), end_interrupted(session, park, now)

    def _sweep_tick(self, _tick: datetime) -> None:
        swept = self.sweep()
        if swept != Swept(0, 0, 0):
            log.info("parking_swept", **asdict(swept))

    def _by_token(self, inbound_token: str) -> ParkConnection | None:
        with self._db.read_system("parking inbound") as session:
            query = select(ParkConnection).where(
                ParkConnection.inbound_token == inbound_token, ParkConnection.enabled.is_(True)
            )
            return session.scalars(query).one_or_none()

    def _after(self, tenant_id: str, recorded: Recorded) -> None:
        passage = recorded.passage
        if recorded.is_new and passage.kind == PassageKind.EXIT_SEEN and not passage.is_replay and passage.stay_id:
            self._threads.submit(self._gates.open_exit, LiveExit(tenant_id, passage.id)).add_done_callback(_log_failure)

    def _health(self, row: ParkConnection) -> Health:
        try:
            adapter = adapter_kind(row.adapter).create(
                row.id, {**row.settings, **open_secrets(self._box, row)}, self._clock
            )
        except (SettingsError, SecretError) as error:
            return Health(Outcome.CONFIGURATION, str(error), Trace(""))
        try:
            return adapter.health()
        finally:
            adapter.close()


def _abandon(session: HubSession, park: Park, now: datetime) -> int:
    """Close the stays that are older than the park allows."""
    oldest = now - timedelta(days=park.max_stay_days)
    query = select(Stay).where(Stay.park_id == park.id, Stay.state == StayState.INSIDE, Stay.entered_at < oldest)
    forgotten = session.scalars(query).all()
    for stay in forgotten:
        close_stay(session, stay, now, "too_long", exited=False)
    return len(forgotten)


def _log_failure(done: Future[GateResult | None]) -> None:
    error = done.exception()
    if error is not None:
        ERRORS.labels("gate").inc()
        log.error("parking_gate_failed", exc_info=error)
