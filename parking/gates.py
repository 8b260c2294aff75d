"""Commands to barriers: recorded before they are sent, sent directly, never queued or replayed (DECISIONS 21).

An exit is opened when a live event shows a car there whose stay may leave (`parking.exits`). One passage opens at most once: its id is
unique among the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import NotFound
from charging_core.ids import new_id
from charging_core.secretbox import SecretError
from parking.connections import AdapterPool, connection_of
from parking.errors import SettingsError
from parking.exits import ExitFacts, judge_exit
from parking.grants import benefit_of_grant
from parking.metrics import GATE_COMMANDS
from parking.model import (
    ExitPolicy,
    GateCommandRow,
    GateLane,
    GrantProgress,
    Park,
    ParkConnection,
    ParkingGrant,
    Passage,
    Role,
    Stay,
    StayState,
)
from parking.passages import close_stay
from parking.plates import normalise
from parking.port import (
    Benefit,
    GateAction,
    GateCommand,
    GateKeeper,
    GateResult,
    GateState,
    Outcome,
    ParkingAdapter,
    PassageKind,
    QuoteResult,
    StayFinder,
)

log = structlog.get_logger()

GATE_EXPIRY_S = 15
"""Real seconds after which an "open" would open for another car (`specs/parking.md` 3.3)."""

_DEAD_AFTER = timedelta(minutes=2)
"""No device is waited for that long: a command still being sent then was cut off."""

SENDING = "sending"
BY_EXIT_RULE = "exit_rule"
_AUTH_FAILED = "AUTH_FAILED"


@dataclass(frozen=True, slots=True)
class LiveExit:
    """A car seen at an exit by a live event."""

    tenant_id: str
    passage_id: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """A recorded command and what is needed to send it."""

    row: GateCommandRow
    connection: ParkConnection


class GateOperator:
    """Moves barriers. Thread-safe; every method may block for as long as a device takes to answer."""

    def __init__(self, db: Database, pool: AdapterPool, clock: Clock) -> None:
        self._db = db
        self._pool = pool
        self._clock = clock

    def open_exit(self, live: LiveExit) -> GateResult | None:
        """Open the lane at which the passage was seen, if its stay may leave; None when it is left to the park."""
        bill = self._bill(live)
        with self._db.session(live.tenant_id) as session:
            ready = self._prepare_exit(session, live, bill)
        return None if ready is None else self._send(live.tenant_id, ready)

    def operate(self, tenant_id: str, lane_id: str, action: GateAction, asked_by: str) -> GateResult:
        """Move a barrier for a person. Raises `NotFound` for a lane that has none that we can move."""
        with self._db.session(tenant_id) as session:
            lane = session.scalars(select(GateLane).where(GateLane.id == lane_id)).one_or_none()
            connection = _gate_connection(session, lane)
            if lane is None or connection is None:
                raise NotFound(f"lane {lane_id} with a barrier that the hub can move")
            ready = _Ready(self._record(session, lane, connection, action, asked_by), connection)
        return self._send(tenant_id, ready)

    def _bill(self, live: LiveExit) -> QuoteResult | None:
        """The park's bill, only where the exit depends on it; asked before anything is written."""
        with self._db.read(live.tenant_id) as session:
            passage = session.get(Passage, live.passage_id)
            park = None if passage is None else session.get(Park, passage.park_id)
            plate = None if passage is None else normalise(passage.plate)
            if passage is None or park is None or plate is None or park.exit_policy != ExitPolicy.BILL:
                return None
            connection = connection_of(session, park.id, Role.STAYS)
        adapter = None if connection is None else self._adapter(connection)
        return adapter.quote(plate) if adapter is not None and isinstance(adapter, StayFinder) else None

    def _prepare_exit(self, session: HubSession, live: LiveExit, bill: QuoteResult | None) -> _Ready | None:
        passage = session.get(Passage, live.passage_id)
        if passage is None or passage.is_replay or passage.kind != PassageKind.EXIT_SEEN or passage.stay_id is None:
            return None
        park = session.get_one(Park, passage.park_id, with_for_update=True)
        stay = session.get_one(Stay, passage.stay_id)
        lane = session.scalars(
            select(GateLane).where(GateLane.park_id == park.id, GateLane.code == passage.lane_ref)
        ).one_or_none()
        connection = _gate_connection(session, lane)
        if lane is None or connection is None or stay.state != StayState.INSIDE or _commanded(session, passage.id):
            return None
        facts = ExitFacts(stay.entered_at, _benefits(session, stay, self._clock.now()))
        may_open, reason = judge_exit(ExitPolicy(park.exit_policy), facts, self._clock.now(), bill)
        log.info(
            "parking_exit_judged",
            destination_id=park.id,
            stay_id=stay.id,
            orders=_orders_of(session, stay),
            lane=lane.code,
            opens=may_open,
            reason=reason.value,
        )
        if not may_open:
            return None
        row = self._record(session, lane, connection, GateAction.OPEN, BY_EXIT_RULE)
        row.stay_id, row.passage_id = stay.id, passage.id
        return _Ready(row, connection)

    def _record(
        self, session: HubSession, lane: GateLane, connection: ParkConnection, action: GateAction, asked_by: str
    ) -> GateCommandRow:
        now = self._clock.now()
        row = GateCommandRow(
            id=new_id(),
            park_id=lane.park_id,
            lane_id=lane.id,
            connection_id=connection.id,
            action=action.value,
            asked_by=asked_by[:64],
            asked_at=now,
            expires_at=now + self._lifetime(),
            state=SENDING,
        )
        session.add(row)
        session.flush()
        return row

    def _lifetime(self) -> timedelta:
        """`GATE_EXPIRY_S` real seconds in the time of the clock: a car at a barrier does not hurry with the demo."""
        return timedelta(seconds=GATE_EXPIRY_S / self._clock.real_seconds(1.0))

    def _send(self, tenant_id: str, ready: _Ready) -> GateResult:
        result = self._carry_out(ready)
        with self._db.session(tenant_id) as session:
            session.get_one(Park, ready.row.park_id, with_for_update=True)  # the lock under which stays end
            self._finish(session, session.get_one(GateCommandRow, ready.row.id), result)
        GATE_COMMANDS.labels(result.state.value, result.outcome.value).inc()
        log.info(
            "gate_command_finished",
            command_id=ready.row.id,
            destination_id=ready.row.park_id,
            lane_id=ready.row.lane_id,
            stay_id=ready.row.stay_id,
            state=result.state.value,
            code=result.code,
        )
        return result

    def _carry_out(self, ready: _Ready) -> GateResult:
        if ready.connection.auth_failed_at is not None:
            return _refused(
                _AUTH_FAILED, "设备曾拒绝该账号 the device refused this account; test the connection by hand"
            )
        adapter = self._adapter(ready.connection)
        if adapter is None or not isinstance(adapter, GateKeeper):
            return _refused("NOT_CONFIGURED", "连接不可用 the connection cannot be used")
        return adapter.operate(GateCommand(GateAction(ready.row.action), ready.row.expires_at))

    def _adapter(self, connection: ParkConnection) -> ParkingAdapter | None:
        try:
            return self._pool.of(connection)
        except (SettingsError, SecretError) as error:
            log.error(
                "parking_connection_unusable",
                destination_id=connection.park_id,
                connection_id=connection.id,
                problem=str(error),
            )
            return None

    def _finish(self, session: HubSession, row: GateCommandRow, result: GateResult) -> None:
        now = self._clock.now()
        row.state, row.outcome, row.method = result.state.value, result.outcome.value, result.method
        row.code, row.message = result.code[:64] or None, result.message[:300] or None
        row.attempts = [asdict(trace) for trace in result.traces]
        row.finished_at = now
        if result.code == _AUTH_FAILED:
            connection = session.get_one(ParkConnection, row.connection_id)
            connection.auth_failed_at = connection.auth_failed_at or now
        opened = result.state is GateState.ACCEPTED_UNCONFIRMED and row.action == GateAction.OPEN
        if opened and row.asked_by == BY_EXIT_RULE and row.stay_id is not None:
            # No device says that the barrier moved; a later exit event of the same car finds the stay closed already.
            close_stay(session, session.get_one(Stay, row.stay_id), now, "gate", exited=True)


def end_interrupted(session: HubSession, park: Park, now: datetime) -> int:
    """Mark commands whose process died while it waited for the device; whether the barrier moved is not known."""
    query = select(GateCommandRow).where(
        GateCommandRow.park_id == park.id,
        GateCommandRow.state == SENDING,
        GateCommandRow.expires_at < now - _DEAD_AFTER,
    )
    rows = session.scalars(query).all()
    for row in rows:
        row.state, row.outcome = GateState.UNCONFIRMED.value, Outcome.UNKNOWN.value
        row.code, row.message, row.finished_at = "INTERRUPTED", "发送中断 the process ended while sending", now
    return len(rows)


def _gate_connection(session: HubSession, lane: GateLane | None) -> ParkConnection | None:
    if lane is None or not lane.enabled or lane.connection_id is None:
        return None
    connection = session.get(ParkConnection, lane.connection_id)
    usable = connection is not None and connection.enabled and Role.GATE in connection.roles
    return connection if usable else None


def _commanded(session: HubSession, passage_id: str) -> bool:
    query = select(GateCommandRow.id).where(GateCommandRow.passage_id == passage_id)
    return session.scalars(query).first() is not None


def _orders_of(session: HubSession, stay: Stay) -> list[str]:
    """The orders whose grants speak for a stay, for the log."""
    query = select(ParkingGrant.order_id).where(ParkingGrant.stay_id == stay.id).order_by(ParkingGrant.id)
    return list(session.scalars(query))


def _benefits(session: HubSession, stay: Stay, now: datetime) -> Sequence[Benefit]:
    query = select(ParkingGrant).where(
        ParkingGrant.stay_id == stay.id,
        ParkingGrant.state == GrantProgress.GRANTED,
        ParkingGrant.valid_until >= now,
    )
    found = (benefit_of_grant(grant) for grant in session.scalars(query))
    return [benefit for benefit in found if benefit is not None]


def _refused(code: str, message: str) -> GateResult:
    return GateResult(GateState.REFUSED, Outcome.CONFIGURATION, code, message)
