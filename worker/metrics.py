"""What the worker counts; served by the hub's `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter("hub_worker_attempts_total", "Attempts by destination kind and outcome", ["kind", "outcome"])
FINISHED = Counter(
    "hub_worker_deliveries_total",
    "Deliveries ended, by destination kind, state and outcome",
    ["kind", "state", "outcome"],
)
PLANNED = Counter("hub_worker_planned_total", "Deliveries planned by destination kind", ["kind"])
WAITING = Gauge("hub_worker_waiting", "Open deliveries by destination kind", ["kind"])
OLDEST_WAITING_S = Gauge(
    "hub_worker_oldest_waiting_seconds", "Age of the oldest open delivery, held and paced ones included", ["kind"]
)
HELD = Gauge("hub_worker_held_destinations", "Destinations on hold", ["kind"])
ATTEMPT_SECONDS = Histogram("hub_worker_attempt_seconds", "Duration of one attempt", ["kind"])
ACCEPTED_SECONDS = Histogram(
    "hub_worker_accepted_seconds",
    "Business time from the event to its acceptance",
    ["kind"],
    buckets=(0.25, 0.5, 1, 2.5, 5, 15, 30, 60, 150, 300, 900, 3600, 86_400),
)
LATE = Counter("hub_worker_late_total", "Deliveries accepted after their deadline", ["kind"])
LEASES_EXPIRED = Counter("hub_worker_leases_expired_total", "Deliveries taken back from a worker that went silent")
RELAYED = Counter("hub_worker_events_relayed_total", "Domain events whose deliveries were planned")
STUCK = Counter("hub_worker_events_stuck_total", "Domain events given up after repeated planning failures", ["type"])
LOOP_ERRORS = Counter("hub_worker_loop_errors_total", "Failures caught at the edge of a background loop", ["loop"])
BROKER_LOST = Counter("hub_worker_broker_unreachable_total", "Batches processed locally because the broker was away")
JOB_RUNS = Counter("hub_worker_job_runs_total", "Scheduled job runs", ["job", "result"])
RECORDED_TOGETHER = Histogram(
    "hub_worker_recorded_together", "Results written by one commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 200)
)
FORGOTTEN = Counter("hub_worker_forgotten_total", "Ended deliveries whose history was deleted", ["kind", "what"])
MONTHS_DROPPED = Counter("hub_worker_attempt_months_dropped_total", "Months of attempts that were dropped whole")

_DESTINATION = ["kind", "destination"]
DESTINATION_WAITING = Gauge("hub_worker_destination_waiting", "Open deliveries by destination", _DESTINATION)
DESTINATION_OLDEST_S = Gauge(
    "hub_worker_destination_oldest_waiting_seconds",
    "Age of the oldest open delivery by destination, held and paced ones included",
    _DESTINATION,
)
DESTINATION_ATTEMPTS = Counter(
    "hub_worker_destination_attempts_total", "Attempts by destination and outcome", [*_DESTINATION, "outcome"]
)
DESTINATION_ACCEPTED_SECONDS = Histogram(
    "hub_worker_destination_accepted_seconds",
    "Business time from the event to its acceptance by destination",
    _DESTINATION,
    buckets=(0.5, 1, 5, 15, 30, 50, 150, 600, 3600, 86_400),
)
DESTINATION_PUNCTUAL = Counter(
    "hub_worker_destination_deadline_total", "Acceptances of deliveries with a deadline", [*_DESTINATION, "in_time"]
)
