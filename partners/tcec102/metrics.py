"""What the protocol counts. Interface names come from the contract only, so a caller cannot invent label values."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

CALLS = Histogram(
    "hub_tcec102_call_seconds",
    "T/CEC 102 calls by direction (in = we answered, out = we called), interface and Ret; _count counts them",
    ("direction", "interface", "ret"),
    # The standard's targets are 1 s for commands and 3 s on average; below 5 ms is the edge itself.
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 20.0),
)
REFUSALS = Counter("hub_tcec102_refusals_total", "Inbound calls refused, by the check that failed", ("check",))
FAILURES = Counter(
    "hub_tcec102_call_failures_total",
    "Outbound calls without a usable envelope, by interface and error class",
    ("interface", "error"),
)
BAD_BODIES = Counter(
    "hub_tcec102_own_body_violations_total",
    "Bodies of ours that violate the contract, by interface and kind (request, reply)",
    ("interface", "kind"),
)
SINK_FAILURES = Counter("hub_tcec102_record_failures_total", "Exchanges that could not be recorded")


class CallMeter:
    """Histogram children looked up once per label set, because looking them up costs more than counting."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._children: dict[tuple[str, int], Histogram] = {}

    def count(self, interface: str, ret: int, seconds: float) -> None:
        """Count one finished call."""
        child = self._children.get((interface, ret))
        if child is None:
            child = self._children[interface, ret] = CALLS.labels(self._direction, interface, str(ret))
        child.observe(seconds)
