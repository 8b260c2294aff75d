"""Metrics of the municipal room."""

from __future__ import annotations

from prometheus_client import Counter

UNUSABLE = Counter("hub_municipal_regulators_unusable", "Looks at a regulator link that could not be opened")
BODY_PROBLEMS = Counter("hub_municipal_body_problems", "Bodies refused before sending", ["interface", "code"])
SWEPT = Counter("hub_municipal_swept", "Deliveries planned by the clock", ["interface"])
STALE_SAMPLES = Counter("hub_municipal_stale_samples", "Charge samples too old for their periodic push")
