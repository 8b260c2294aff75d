"""Ground locks: what each said last, and an alarm while one complains."""

from __future__ import annotations

import structlog
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.monitoring.alarm import clear_alarm, raise_alarm
from charging_core.piles.events import GroundLockReported
from charging_core.piles.model import GroundLock
from charging_core.stations.service import find_connector

log = structlog.get_logger()

ALARM = "ground_lock"


def keep_lock(session: HubSession, report: GroundLockReported) -> None:
    """Keep the report; one of an unknown connector is logged and dropped."""
    code = f"{report.pile_code}{report.connector_no:02d}"
    connector = find_connector(session, code)
    if connector is None:
        log.warning("pile.lock.unknown_connector", connector=report.connector_no)
        return
    row = session.scalars(select(GroundLock).where(GroundLock.connector_code == code).with_for_update()).one_or_none()
    if row is None:
        row = GroundLock(connector_code=code, tenant_id=connector.tenant_id)
        session.add(row)
    row.position, row.occupied, row.alarm = report.position, report.occupied, report.alarm
    row.battery_percent, row.reported_at = report.battery_percent, report.received_at
    if report.alarm is None:
        clear_alarm(session, connector.tenant_id, ALARM, code, report.received_at)
    else:
        message = f"车位 {code} 地锁告警 {report.alarm}; the ground lock complains"
        raise_alarm(session, connector.tenant_id, ALARM, code, message, report.received_at)
