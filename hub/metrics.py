"""What the edge counts; served at `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("hub_web_requests_total", "Requests answered, by area and status", ["area", "status"])
SECONDS = Histogram("hub_web_request_seconds", "Time to the end of the answer, by area", ["area"])
IN_FLIGHT = Gauge("hub_web_in_flight", "Requests being answered")
REFUSED = Counter("hub_web_refused_total", "Requests refused before their handler, by reason", ["reason"])
REDIS_ERRORS = Counter("hub_web_redis_errors_total", "Calls to Redis that failed and were done without", ["use"])
UNEXPECTED = Counter("hub_web_unexpected_errors_total", "Handlers that failed unexpectedly")
READY = Gauge("hub_web_ready", "1 when the last readiness check passed")
