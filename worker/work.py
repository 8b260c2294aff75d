"""The delivery under way: what the stages of the pipeline pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

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

    @property
    def key(self) -> Key:
        """The destination, as states and limits are kept by."""
        return self.row.tenant_id, self.row.destination_kind, self.row.destination_id


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
