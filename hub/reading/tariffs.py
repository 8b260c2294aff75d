"""Tariffs as people look at them: versions, the days to come, quotes, and a tariff over past orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import or_, select

from charging_core.clock import to_china
from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.money import fen
from charging_core.orders.bills.explain import slots_of
from charging_core.orders.bills.quote import Wish, quote
from charging_core.orders.bills.simulate import Past, simulate, summed
from charging_core.stations.model import Connector, Pile, Station
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.schedule import newest_version
from charging_core.tariffs.service import current_version, periods_at, plan_of
from charging_core.tariffs.terms import discounted
from hub.reading.paging import Page, Window, read_page

DAYS_SHOWN = 14
VERSIONS_SHOWN = 20
_SMALLEST_POWER = Decimal(1)


@dataclass(frozen=True, slots=True)
class Asked:
    """A quote as asked for: kWh at a station from `at` on; kW (none: the strongest connector), whose discount, minutes left parked."""

    energy_kwh: Decimal
    at: datetime
    power_kw: Decimal | None = None
    origin: str = "app"
    stay_minutes: int = 0


def list_tariffs(session: HubSession, window: Window, now: datetime) -> Page:
    """Tariffs with the version that holds now."""

    def line(tariff: Tariff) -> dict[str, Any]:
        version = current_version(session, tariff.id, now)
        return {
            "id": tariff.id, "code": tariff.code, "name": tariff.name, "enabled": tariff.enabled,
            "version": version.number, "day": version.day, "valid_from": version.valid_from, "periods": version.periods,
        }  # fmt: skip

    return read_page(session, select(Tariff), Tariff.id, window, line)


def tariff_view(session: HubSession, code: str, now: datetime) -> dict[str, Any]:
    """One tariff: its newest declaration, its last versions, and what each of the coming days is. Raises `NotFound`."""
    tariff = require_tariff(session, code)
    newest = newest_version(session, tariff)
    plan = plan_of(newest)
    query = select(TariffVersion).where(TariffVersion.tariff_id == tariff.id).order_by(TariffVersion.number.desc())
    names = ("number", "model_number", "day", "valid_from", "periods")
    versions = session.scalars(query.limit(VERSIONS_SHOWN)).all()
    return {
        "id": tariff.id,
        "code": tariff.code,
        "name": tariff.name,
        "enabled": tariff.enabled,
        "version": current_version(session, tariff.id, now).number,
        "declared_from": newest.declared_from,
        "plan": plan.rows(),
        "days": _days(plan, now),
        "versions": [{name: getattr(version, name) for name in names} for version in versions],
    }


def require_tariff(session: HubSession, code: str) -> Tariff:
    """The tariff with this code. Raises `NotFound`; of several tenants' in a look at all, the first."""
    found = session.scalars(select(Tariff).where(Tariff.code == code).order_by(Tariff.id)).first()
    if found is None:
        raise NotFound(f"tariff {code}")
    return found


def require_station(session: HubSession, name: str) -> Station:
    """The station with this id or code. Raises `NotFound`."""
    found = session.scalars(
        select(Station).where(or_(Station.id == name, Station.code == name)).order_by(Station.id)
    ).first()
    if found is None:
        raise NotFound(f"station {name}")
    return found


def quote_at(session: HubSession, station: str, asked: Asked) -> dict[str, Any]:
    """What a charge would cost at a station, slot by slot, made by the engine that bills. Raises `NotFound`, `InvalidInput`."""
    place = require_station(session, station)
    version, listed = periods_at(session, place.tariff_id, asked.at)
    terms = plan_of(version).terms
    discount = terms.discount_for(asked.origin, asked.at)
    wish = Wish(asked.at, asked.energy_kwh, asked.power_kw or _strongest(session, place))
    bill = quote(wish, discounted(listed, discount))
    occupancy = terms.occupancy.fee(asked.stay_minutes) if terms.occupancy else Decimal(0)
    return {
        "station": place.code,
        "tariff": session.get_one(Tariff, place.tariff_id).code,
        "day": None if version.day is None else plan_of(version).calendar.kind_on(to_china(asked.at).date()),
        "loss_percent": terms.loss_percent,
        "discount": discount.name if discount else None,
        "starts_at": wish.start,
        "ends_at": wish.end,
        "power_kw": wish.power_kw,
        "slots": slots_of(bill, listed),
        "energy_kwh": bill.energy_kwh,
        "elec_fee": bill.elec_fee,
        "service_fee": bill.service_fee,
        "total_fee": bill.total_fee,
        "yuan_per_kwh": (bill.total_fee / bill.energy_kwh).quantize(Decimal("0.0001")),
        "occupancy_fee": fen(occupancy),
        "occupancy": terms.occupancy.row() if terms.occupancy else None,
    }


def simulated(
    session: HubSession, past: Past, plan_for: Callable[[str], TariffPlan | None], limit: int
) -> dict[str, Any]:
    """Past orders by other prices: sums over all of them, and the orders that change most, at most `limit` of them."""
    lines = list(simulate(session, past, plan_for))
    most = sorted(lines, key=lambda line: abs(line.difference), reverse=True)[:limit]
    return {
        "since": past.since,
        "until": past.until,
        "orders": len(lines),
        "sums": summed(lines),
        "items": [line.row() for line in most],
    }


def _days(plan: TariffPlan, now: datetime) -> list[dict[str, Any]]:
    today = to_china(now).date()
    days = [today + timedelta(days=ahead) for ahead in range(DAYS_SHOWN)]
    return [
        {"date": day.isoformat(), "day": plan.calendar.kind_on(day), "prices": _range(plan.on(day))} for day in days
    ]


def _range(periods: DayPeriods) -> str:
    totals = [period.elec_price + period.service_price for period in periods.periods]
    return f"{min(totals)} – {max(totals)}"


def _strongest(session: HubSession, station: Station) -> Decimal:
    query = select(Connector.power_kw).join(Pile, Pile.id == Connector.pile_id)
    powers = session.scalars(query.where(Pile.station_id == station.id, Pile.enabled, Connector.enabled)).all()
    return max([Decimal(power) for power in powers], default=_SMALLEST_POWER)
