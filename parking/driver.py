"""The destination kind `park`: settled orders become grants, and the ledger carries them to the park (DECISIONS 17-20).

The body is neutral and frozen; which wire form it takes is the adapter's. The park's answer arrives here as an outcome class, so that
no policy text has to know a vendor's codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.secretbox import SecretError
from parking.connections import AdapterPool, connection_of
from parking.errors import SettingsError
from parking.grants import PLATE_BOUND, Ending, consider_order, find_grant, finish, reconsider
from parking.model import GrantProgress, ParkingGrant, Role
from parking.plates import Plate
from parking.port import Benefit, BenefitKind, Grant, GrantGiver, GrantResult
from parking.port import Outcome as ParkOutcome
from parking.rules import Reason
from worker.api import (
    Body,
    Delivery,
    Destination,
    DriverDefaults,
    Exchange,
    Outcome,
    PlannedDelivery,
    Verdict,
)
from worker.decision import EXPIRED
from worker.errors import BodyRefused
from worker.policy import RESULT, DeliveryPolicy, RetryPolicy

log = structlog.get_logger()

KIND = "park"
INTERFACE = "parking_grant"
ORDER_SETTLED, STAY_ENTERED, STAY_EXITED = "order.settled", "stay.entered", "stay.exited"

_POLICY = DeliveryPolicy(
    name=INTERFACE,
    # 1 + 6 attempts (7.6); adapters that grant are idempotent by key, so an unknown result is repeated (DECISIONS 20).
    retry=RetryPolicy(ladder=(2, 10, 60, 300, 900, 1800), then="stop"),
    retry_unknown=True,
    expire=True,
    priority=RESULT,
    timeout_s=30,
    success='outcome=="ok"',
)
_ERRORS = {ParkOutcome.TIMEOUT: "timeout", ParkOutcome.UNKNOWN: "invalid_answer"}
_MAYBE_GRANTED = (Outcome.TIMEOUT, Outcome.UNKNOWN)
_NOT_CONFIGURED = "NOT_CONFIGURED"


class ParkDriver(DriverDefaults):
    """The worker's driver of parks."""

    def __init__(self, pool: AdapterPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    @property
    def kind(self) -> str:
        """`park`; the destination id is the park's."""
        return KIND

    @property
    def subscriptions(self) -> frozenset[str]:
        """Orders that are final, cars that come and go, plates that become known."""
        return frozenset({ORDER_SETTLED, STAY_ENTERED, STAY_EXITED, PLATE_BOUND})

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        """The grants that are to be sent because of `event`; at most one per order, however often it is planned."""
        return [planned(grant) for grant in self._queued(session, event)]

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        """The same for all parks: adapters absorb their differences."""
        return _POLICY

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        """The grant in neutral members."""
        grant = find_grant(session, delivery.object_key)
        connection = None if grant is None else connection_of(session, grant.park_id, Role.GRANTS)
        if grant is None or grant.benefit_kind is None or grant.plate is None or grant.valid_from is None:
            raise BodyRefused("no_grant", "the order has no grant to send")
        if connection is None:
            raise BodyRefused(_NOT_CONFIGURED, "the park has no connection that gives grants")
        return {
            "connection_id": connection.id,
            "idempotency_key": grant.idempotency_key,
            "plate": grant.plate,
            "benefit_kind": grant.benefit_kind,
            "benefit_value": grant.benefit_value,
            "valid_from": grant.valid_from,
            "valid_until": grant.valid_until,
        }

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        """One call of the park."""
        try:
            adapter = self._pool.named(delivery.tenant_id, str(body["connection_id"]))
        except (SettingsError, SecretError) as error:
            return _not_sent(str(error))
        if adapter is None or not isinstance(adapter, GrantGiver):
            return _not_sent("the connection is disabled or gives no grants")
        return _exchange(adapter.grant(_grant(body)))

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        """The adapter's outcome class is the verdict."""
        outcome = Outcome(str(exchange.answer["outcome"]))
        code, message = str(exchange.answer["code"]), str(exchange.answer["message"])
        return Verdict(outcome, code, message)

    def on_finished(self, session: HubSession, delivery: Delivery, verdict: Verdict) -> None:
        """Write the end of the delivery into the grant."""
        grant = find_grant(session, delivery.object_key)
        if grant is None:
            return
        finish(session, grant, ending_of(grant, verdict), self._clock.now())
        log.info("parking_grant_finished", order_id=grant.order_id, state=grant.state, reason=grant.reason)

    def _queued(self, session: HubSession, event: DomainEvent) -> list[ParkingGrant]:
        now = self._clock.now()
        if event.type == ORDER_SETTLED:
            grant = consider_order(session, event.snapshot, now)
            return [grant] if grant is not None and grant.state == GrantProgress.QUEUED else []
        plate = event.snapshot.get("plate")
        return reconsider(session, str(event.snapshot["park_id"]), str(plate), now) if plate else []


def planned(grant: ParkingGrant) -> PlannedDelivery:
    """The delivery that carries a queued grant; it ends, unsent or not, when the benefit would."""
    begins = grant.valid_from or grant.created_at
    return PlannedDelivery(
        destination=Destination(KIND, grant.park_id),
        interface=INTERFACE,
        object_key=grant.order_id,
        object_version=grant.version,
        policy=_POLICY.model_copy(update={"deadline_s": (grant.valid_until - begins).total_seconds()}),
        snapshot={"grant_id": grant.id, "order_id": grant.order_id, "park_id": grant.park_id},
        occurred_at=begins,
    )


def ending_of(grant: ParkingGrant, verdict: Verdict) -> Ending:
    """What the end of a delivery means for its grant: given, refused, unknown, or too late."""
    if verdict.outcome in (Outcome.OK, Outcome.IGNORED):
        return Ending(GrantProgress.GRANTED, None, verdict.message, grant.idempotency_key)
    if verdict.outcome in _MAYBE_GRANTED:
        return Ending(GrantProgress.UNKNOWN, Reason.UNKNOWN_RESULT, verdict.message)
    if verdict.code == EXPIRED:
        return Ending(GrantProgress.EXPIRED, Reason.PARK_OFFLINE, verdict.message)
    if verdict.outcome is Outcome.RETRYABLE:
        return Ending(GrantProgress.REJECTED, Reason.PARK_OFFLINE, verdict.message)
    refused = verdict.outcome is Outcome.BUSINESS_REFUSED or verdict.code != _NOT_CONFIGURED
    reason = Reason.VENDOR_REFUSED if refused else Reason.NOT_CONFIGURED
    return Ending(GrantProgress.REJECTED, reason, f"{verdict.code} {verdict.message}".strip())


def _grant(body: Body) -> Grant:
    kind = BenefitKind(body["benefit_kind"])
    return Grant(
        idempotency_key=str(body["idempotency_key"]),
        plate=Plate(str(body["plate"]), str(body["plate"])),
        benefit=Benefit(kind, Decimal(body["benefit_value"] or 0)),
        valid_from=_instant(body["valid_from"]),
        valid_until=_instant(body["valid_until"]),
    )


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _exchange(result: GrantResult) -> Exchange:
    return Exchange(
        request_text=result.trace.request_text,
        answer_text=result.trace.answer_text,
        http_status=result.trace.http_status,
        answer={
            "state": result.state.value,
            "outcome": result.outcome.value,
            "code": result.code,
            "message": result.message,
        },
        duration_ms=result.trace.duration_ms,
        error=_ERRORS.get(result.outcome, ""),
        sent=result.outcome not in (ParkOutcome.RETRYABLE, ParkOutcome.PERMANENT),
    )


def _not_sent(message: str) -> Exchange:
    answer = {"outcome": Outcome.CONFIGURATION.value, "code": _NOT_CONFIGURED, "message": message}
    return Exchange(answer_text=message, answer=answer, sent=False)
