"""Metrics of the partners room; those of the protocol itself are in `partners.tcec102.metrics`."""

from __future__ import annotations

from prometheus_client import Counter

LINK_REFRESH_FAILURES = Counter("hub_partners_link_refresh_failures", "Failed looks for changed links")
LINKS_UNUSABLE = Counter("hub_partners_links_unusable", "Links that could not be opened (key, profile)")
EXCHANGES_DROPPED = Counter("hub_partners_exchanges_dropped", "Exchanges not recorded because the queue was full")
EXCHANGES_UNREADABLE = Counter("hub_partners_exchanges_unreadable", "Exchanges recorded without their texts")
EXCHANGE_WRITE_FAILURES = Counter("hub_partners_exchange_write_failures", "Batches of exchanges that were not stored")
BODY_PROBLEMS = Counter("hub_partners_body_problems", "Bodies refused before sending", ["interface", "code"])
STATEMENT_FAILURES = Counter("hub_partners_statement_failures", "Daily statements that could not be made")
BAD_PIECES = Counter("hub_partners_bad_pieces", "Kept parts of answers that violate the contract", ["piece"])
DISPUTES = Counter("hub_partners_disputes", "Orders contested by a partner")
SWEEP_FAILURES = Counter("hub_partners_charge_status_failures", "Tenants whose charge status pushes were not planned")
SWEPT = Counter("hub_partners_charge_status_planned", "Charge status pushes planned by the sweep")
ROAMING_FOLLOWED = Counter("hub_partners_roaming_followed", "Silent roaming orders that were asked after")
ROAMING_FAILURES = Counter(
    "hub_partners_roaming_failures", "Questions to other operators without a usable answer", ["interface"]
)
