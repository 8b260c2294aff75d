"""What orders count."""

from __future__ import annotations

from prometheus_client import Counter

TIMER_ERRORS = Counter("hub_orders_timer_errors_total", "Orders whose timers could not be looked at; tried again")
UNASKED = Counter("hub_orders_unasked_total", "Charges that piles made without having asked us")
STARTS_AT_PILE = Counter(
    "hub_orders_starts_at_pile_total", "Cards and vehicles shown at piles, by what became of them", ["outcome"]
)
