"""Live status of connectors: derived from what a pile reports, told to the world when it changes.

Readings are kept on the connector but are never events; only a change of state or of the plug is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.events import record_event
from charging_core.stations.model import Connector, ConnectorState, Pile
from charging_core.stations.snapshot import connector_snapshot


def derive_state(reported: str, plugged: bool, before: str) -> ConnectorState:
    """Our state from a pile's `offline|fault|idle|charging` and the plug.

    A pile has no word for "finished": idle and still plugged after charging is that, until the plug is pulled.
    """
    if reported == "charging":
        return ConnectorState.CHARGING
    if reported == "fault":
        return ConnectorState.FAULT
    if reported == "offline":
        return ConnectorState.OFFLINE
    if not plugged:
        return ConnectorState.IDLE
    finished = before in (ConnectorState.CHARGING, ConnectorState.FINISHED)
    return ConnectorState.FINISHED if finished else ConnectorState.PLUGGED


def shown_state(connector: Connector, state: ConnectorState) -> ConnectorState:
    """What others are told: a connector that nobody uses and that is kept for somebody is reserved (占用, 预约锁定)."""
    free = state in (ConnectorState.IDLE, ConnectorState.PLUGGED)
    return ConnectorState.RESERVED if free and connector.reserved_until is not None else state


def show_reservation(session: HubSession, connector: Connector, at: datetime) -> None:
    """A reservation of `connector`, whose row is held, began or ended; told like every other change of its state."""
    state = ConnectorState(connector.state)
    if state is ConnectorState.RESERVED:
        state = ConnectorState.PLUGGED if connector.plugged else ConnectorState.IDLE
    observe(session, connector, shown_state(connector, state), connector.plugged, at)


def observe(session: HubSession, connector: Connector, state: ConnectorState, plugged: bool, at: datetime) -> bool:
    """Note that `connector`, whose row is held, is in `state`; writes `connector.status_changed` and returns true when that is news."""
    if connector.state == state and connector.plugged == plugged and connector.state_since is not None:
        return False
    connector.state = state
    connector.plugged = plugged
    connector.state_since = at
    connector.version += 1
    snapshot = connector_snapshot(session, connector)
    record_event(
        session, "connector.status_changed", connector.id, connector.version, snapshot, at, connector.tenant_id
    )
    return True


def keep_reading(connector: Connector, reading: dict[str, Any], at: datetime) -> None:
    """Keep the newest reading (voltage, current, soc …) on the connector."""
    connector.sample = reading
    connector.sampled_at = at


def pile_went_offline(session: HubSession, pile: Pile, at: datetime) -> None:
    """`pile`, whose row is held, and all its connectors are offline from `at` on; charges that run are not touched (P7)."""
    pile.online = False
    connectors = select(Connector).where(Connector.pile_id == pile.id).order_by(Connector.number)
    held = connectors.with_for_update(of=Connector, key_share=True).execution_options(populate_existing=True)
    for connector in session.scalars(held).all():
        observe(session, connector, ConnectorState.OFFLINE, connector.plugged, at)
