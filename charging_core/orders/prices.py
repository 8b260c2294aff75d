"""At which prices an order is charged: its tariff version, less the payer's discount."""

from __future__ import annotations

from charging_core.db import HubSession
from charging_core.orders.model import ChargeOrder
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.service import periods_of, version_by_id
from charging_core.tariffs.terms import Terms, discounted


def payer_periods(session: HubSession, order: ChargeOrder) -> DayPeriods:
    """The periods at the payer's prices, as the bill will use them. Raises `NotFound` for an unknown version."""
    version = version_by_id(session, order.tariff_version_id)
    periods = periods_of(version)
    if version.plan is None:  # without terms there is no discount, and nothing more to read
        return periods
    return discounted(periods, Terms.from_rows(version.plan).discount_for(order.origin, order.created_at))
