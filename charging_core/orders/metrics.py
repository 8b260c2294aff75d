"""What orders count."""

from __future__ import annotations

from prometheus_client import Counter

TIMER_ERRORS = Counter("hub_orders_timer_errors_total", "Orders whose timers could not be looked at; tried again")
