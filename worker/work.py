"""The delivery under way: what the stages of the pipeline pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from charging_core.events import log_ids
from worker.api import Body, Delivery, Destination, Driver, Exchange, Verdict
from worker.decision import Decision
from worker.ledger import Claim, Key
from worker.model import DeliveryRow
from worker.policy import DeliveryPolicy

INTERRUPTED = "interrupted"
"""Error and code of an attempt that was cut off: its worker died between sending and recording."""


@dataclass
class Work:
    """One delivery between claim and record. `row` is as it was claimed; only the journal writes.

    `attempt_id` is set once the attempt is open (written down before the network is touched), `start_at` when a paced destination
    may not be called before. `ours` tells after the record whether the delivery still was.

    Of several that share a call the first one leads: it is sent, with `others` in its company. `speaks` marks the one of them that
    stands for the destination's answer.
    """

    claim: Claim
    row: DeliveryRow
    delivery: Delivery
    driver: Driver
    policy: DeliveryPolicy
    body: Body = field(default_factory=dict)
    worker: str = ""
    attempt_id: str | None = None
    started_at: datetime | None = None
    start_at: datetime | None = None
    exchange: Exchange | None = None
    verdict: Verdict | None = None
    decision: Decision | None = None
    ours: bool = True
    others: tuple[Work, ...] = ()
    call_attempt_id: str | None = None
    speaks: bool = True

    @property
    def whole_call(self) -> tuple[Work, ...]:
        """Everything that goes out in this call."""
        return (self, *self.others)

    @property
    def key(self) -> Key:
        """The destination, as states and limits are kept by."""
        return self.row.tenant_id, self.row.destination_kind, self.row.destination_id


def log_facts(row: DeliveryRow) -> dict[str, str]:
    """What every log line about a delivery carries: the delivery, its destination, and the order and pile it is about."""
    return {
        "delivery_id": row.id,
        "kind": row.destination_kind,
        "destination_id": row.destination_id,
        "interface": row.interface,
        "object_key": row.object_key,
        **log_ids(row.snapshot),
    }


def view(row: DeliveryRow) -> Delivery:
    """A delivery as drivers see it."""
    return Delivery(
        id=row.id,
        tenant_id=row.tenant_id,
        destination=Destination(row.destination_kind, row.destination_id),
        interface=row.interface,
        object_key=row.object_key,
        object_version=row.object_version,
        snapshot=row.snapshot,
        body=row.body,
        attempt_count=row.attempt_count,
        event_id=row.event_id,
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        created_at=row.created_at,
        deadline_at=row.deadline_at,
    )
