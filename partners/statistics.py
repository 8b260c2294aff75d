"""Energy of a station over whole days (T/CEC 102.2 query_station_stats; `specs/tcec102.md` 10.6, 11.4).

Every settled charge counts, whoever started it, on the day on which it ended. Rounded to one decimal by largest remainder, so that a
pile is the sum of its connectors and the station the sum of its piles, as shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from charging_core.clock import CHINA
from charging_core.db import HubSession
from charging_core.money import ZERO, spread_largest_remainder
from charging_core.orders.model import ChargeOrder
from charging_core.stations.model import Connector, Pile, Station
from partners.asking import Asked
from partners.authorised import authorised_stations, connector_scope, station_scope, with_equipment
from partners.tcec102.errors import RET_BUSINESS, BusinessError

PLACES = 1
"""Decimals of the three `…Electricity` members."""


def query_station_stats(asked: Asked) -> dict[str, Any]:
    """11.4: both days included; 4004 for an unknown station, days in the wrong order, or more of them than the profile allows."""
    first, last = _day(asked, "StartTime"), _day(asked, "EndTime")
    most = asked.link.profile.spec.served.stats_days_max
    if last < first:
        raise BusinessError(RET_BUSINESS, "EndTime", "早于 StartTime before StartTime")
    if (last - first).days >= most:
        raise BusinessError(RET_BUSINESS, "EndTime", f"最多 {most} 天 at most {most} days")
    with asked.reading() as session:
        station = _station(asked, session)
        energies = _energies(session, station, first, last)
        stats = _stats(station, energies) | {"first_day": first, "last_day": last}
        return asked.answer("query_station_stats", {**station_scope(station), "stats": stats})


def _day(asked: Asked, member: str) -> date:
    try:
        return date.fromisoformat(str(asked.body[member])[:10])
    except ValueError as error:
        raise BusinessError(RET_BUSINESS, member, "日期不存在 no such day") from error


def _station(asked: Asked, session: HubSession) -> Station:
    wire_id, profile = asked.body["StationID"], asked.link.profile
    query = authorised_stations(asked.link)
    if profile.native_id("station_id"):
        query = query.where(Station.code == wire_id)
    found = session.scalars(with_equipment(query).order_by(Station.id)).all()
    for station in found:
        if profile.derive("station_id", station_scope(station)) == wire_id:
            return station
    raise BusinessError(RET_BUSINESS, "StationID", "没有这个充电站 no such station")


def _energies(session: HubSession, station: Station, first: date, last: date) -> dict[str, Decimal]:
    """kWh by connector id; connectors without a charge are absent."""
    begins = datetime.combine(first, time(), CHINA)
    ends = datetime.combine(last + timedelta(days=1), time(), CHINA)
    query = (
        select(ChargeOrder.connector_id, func.sum(ChargeOrder.energy_kwh))
        .where(
            ChargeOrder.station_id == station.id,
            ChargeOrder.ended_at >= begins,
            ChargeOrder.ended_at < ends,
            ChargeOrder.settled_at.is_not(None),
        )
        .group_by(ChargeOrder.connector_id)
    )
    return {connector_id: energy or ZERO for connector_id, energy in session.execute(query)}


def _stats(station: Station, energies: dict[str, Decimal]) -> dict[str, Any]:
    equipment = [(pile, _shown(pile, energies)) for pile in station.piles]
    connectors = [connector for _, shown in equipment for connector in shown]
    rounded = spread_largest_remainder([energies.get(one.id, ZERO) for one in connectors], PLACES)
    shares = {connector.id: share for connector, share in zip(connectors, rounded, strict=True)}
    piles = [_pile(station, pile, shown, shares) for pile, shown in equipment if pile.enabled or shown]
    total = sum((pile["energy_kwh"] for pile in piles), ZERO)
    return {"energy_kwh": total, "piles": piles}


def _shown(pile: Pile, energies: dict[str, Decimal]) -> list[Connector]:
    """Those in service, and those that gave energy in these days though they no longer are."""
    return [one for one in pile.connectors if (pile.enabled and one.enabled) or energies.get(one.id)]


def _pile(station: Station, pile: Pile, shown: Sequence[Connector], shares: dict[str, Decimal]) -> dict[str, Any]:
    connectors = [{**connector_scope(station, pile, one), "energy_kwh": shares[one.id]} for one in shown]
    energy = sum((shares[one.id] for one in shown), ZERO)
    return {"pile": {"code": pile.code, "extra": pile.extra}, "energy_kwh": energy, "connectors": connectors}
