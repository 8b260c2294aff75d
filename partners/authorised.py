"""Which stations and connectors a partner may see, as queries and as the scopes that profiles read."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import selectinload

from charging_core.db import HubSession
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.snapshot import connector_facts, pile_facts, station_facts
from partners.links import Link
from partners.profiles.scope import Scope


def authorised_stations(link: Link) -> Select[Station]:
    """The enabled stations that the link's partner may see."""
    query = select(Station).where(Station.enabled)
    if isinstance(link.stations, frozenset):
        return query.where(tuple_(Station.operator_id, Station.code).in_(sorted(link.stations)))
    return query if link.stations == "all" else query.where(Station.operator_id == link.our_operator_id)


def with_equipment(query: Select[Station]) -> Select[Station]:
    """The same stations with piles and connectors loaded beside them."""
    return query.options(selectinload(Station.piles).selectinload(Pile.connectors))


def authorised_connectors(session: HubSession, link: Link) -> Iterator[Scope]:
    """Every connector that the partner may see, disabled ones included: their ids stay taken."""
    for station in session.scalars(with_equipment(authorised_stations(link))):
        for pile in station.piles:
            for connector in pile.connectors:
                yield connector_scope(station, pile, connector)


def station_scope(station: Station) -> Scope:
    """A station under the names that profiles use."""
    return {"operator": {"id": station.operator_id}, "station": station_facts(station), "owner_id": station.owner_id}


def connector_scope(station: Station, pile: Pile, connector: Connector) -> Scope:
    """A connector with its surroundings under the names that profiles use."""
    return {**station_scope(station), "pile": pile_facts(pile), "connector": connector_facts(connector)}
