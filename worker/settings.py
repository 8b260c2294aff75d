"""The worker's own settings; the hub fills them from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from charging_core.ids import new_id


@dataclass(frozen=True, slots=True)
class Keep:
    """How long after its end a delivery is kept: its attempts with their texts, and the delivery itself.

    In months of a partitioned history attempts go when the last of their month may go, up to a month later.
    """

    attempts: timedelta = timedelta(days=90)
    """A quarter: every monthly settlement with its disputes."""
    deliveries: timedelta = timedelta(days=730)
    """Two years: subsidy declarations are checked against what was reported in the year before."""

    def for_days(self, attempts: int | None, deliveries: int | None) -> Keep:
        """The same with other numbers of days, where they are given."""
        return Keep(
            self.attempts if attempts is None else timedelta(days=attempts),
            self.deliveries if deliveries is None else timedelta(days=deliveries),
        )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one process works. Seconds are real seconds unless said otherwise.

    `redis_url` None means the in-process broker; then this process is the only worker of its database and may take back the leases
    of its former life at once.
    """

    redis_url: str | None = None
    threads: int = 16
    """Calls under way at once: sending is waiting, 16 threads with 50 ms answers are up to 320 attempts/s. Calls that hang do not count
    (see `senders.py`)."""
    concurrency: int = 4
    """Calls under way at once per destination, so that a slow one leaves threads to the others."""
    queue_lease_s: float = 15.0
    """A claimed delivery must have begun within this time, else it is claimed again (the message was lost)."""
    lease_margin_s: float = 10.0
    """Added to the policy's timeout for the lease of an attempt under way: rendering, recording, a slow database."""
    poll_s: float = 0.5
    """How often relay and dispatcher look by themselves; in one process they are woken by commits."""
    sweep_s: float = 1.0
    """How often expired leases are taken back and the gauges are read."""
    batch: int = 100
    """Events per relay transaction; 10 cost a third of the throughput, 1 000 make locks long (`specs/stack.md`)."""
    event_tries: int = 5
    """Planning failures after which an event is put aside as stuck."""
    break_after: int = 5
    """Failed attempts in a row that open a destination's breaker."""
    break_s: float = 30.0
    """Business seconds for which an open breaker keeps fresh deliveries back; retries go on as probes."""
    leader_lease_s: float = 10.0
    keep: Keep = Keep()
    """How long history is kept, of kinds of destinations without a time of their own."""
    keep_of_kind: Mapping[str, Keep] = field(default_factory=dict)
    name: str = field(default_factory=new_id)
    """Names this process in leases and attempts."""
