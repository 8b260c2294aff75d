"""Questions about stations and connectors that several rooms ask."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.stations.model import Connector, ConnectorState, Pile


def find_connector(session: HubSession, code: str, *, lock: bool = False) -> Connector | None:
    """The connector with this code, its pile and station loaded.

    `lock` holds its row until the transaction ends and reads it as committed last, even when the session had loaded it before.
    """
    pile = joinedload(Connector.pile, innerjoin=True)
    query = select(Connector).where(Connector.code == code).options(pile.joinedload(Pile.station, innerjoin=True))
    if lock:
        query = query.with_for_update(of=Connector, key_share=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def why_unusable(connector: Connector) -> str | None:
    """Why no charge can start here now: `disabled`, `offline`, `fault`, `busy`, `reserved`; none when it can."""
    if not (connector.enabled and connector.pile.enabled and connector.pile.station.enabled):
        return "disabled"
    return {
        ConnectorState.OFFLINE: "offline",
        ConnectorState.FAULT: "fault",
        ConnectorState.CHARGING: "busy",
        ConnectorState.RESERVED: "reserved",
    }.get(ConnectorState(connector.state))
