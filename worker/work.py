"""The delivery under way: what the stages of the pipeline pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.api import Body, Delivery, Destination, Driver, Exchange, Verdict
from worker.decision import Decision
from worker.ledger import Claim
from worker.model import DeliveryRow
from worker.policy import DeliveryPolicy

INTERRUPTED = "interrupted"
"""Error and code of an attempt that was cut off: its worker died between sending and recording."""


@dataclass
class Work:
    """One delivery between claim and record. `row` is as it was loaded; only the journal writes."""

    claim: Claim
    row: DeliveryRow
    delivery: Delivery
    driver: Driver
    policy: DeliveryPolicy
    body: Body = field(default_factory=dict)
    attempt_id: str = ""
    exchange: Exchange | None = None
    verdict: Verdict | None = None
    decision: Decision | None = None


class Lost(Exception):
    """Raised inside the pipeline when the lease went to somebody else; the delivery is no longer ours."""


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
