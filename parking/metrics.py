"""Counters of the parking room; defined once, incremented where things happen."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

CALLS = Counter(
    "hub_parking_calls_total",
    "Calls to car parks by adapter, operation and outcome",
    ["adapter", "operation", "outcome"],
)
CALL_SECONDS = Histogram("hub_parking_call_seconds", "Duration of one call to a car park", ["adapter", "operation"])
PUSHES = Counter(
    "hub_parking_pushes_total", "Events pushed by car parks, by what became of them", ["adapter", "result"]
)
PASSAGES = Counter("hub_parking_passages_total", "Passages by kind and by what they were", ["kind", "what"])
SKEWED = Counter("hub_parking_clock_skewed_total", "Live events whose device clock cannot be trusted", ["connection"])
GRANTS = Counter("hub_parking_grants_total", "Grants that reached a state, by reason", ["state", "reason"])
GATE_COMMANDS = Counter("hub_parking_gate_commands_total", "Gate commands by what became of them", ["state", "outcome"])
ERRORS = Counter("hub_parking_errors_total", "Unexpected errors caught at the edge of a loop", ["where"])
