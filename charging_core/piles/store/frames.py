"""Frames of charges: kept for the page that tells what happened to an order, and forgotten after some weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, delete, or_, select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.orders.model import ChargeOrder
from charging_core.orders.service import open_order
from charging_core.piles.events import FrameSeen
from charging_core.piles.model import PileFrame
from charging_core.piles.store.directory import find_pile
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector

log = structlog.get_logger()

MOST_SHOWN = 500
"""Frames on one page: a charge of two days keeps as many."""
TOGETHER = 2_000
"""Rows deleted per transaction: a lock of some 20 ms."""


def keep_frame(session: HubSession, seen: FrameSeen) -> None:
    """Write a frame down beside its order: the one it names, else the one that holds the connector. Strangers' are dropped."""
    pile = find_pile(session, seen.pile_code)
    if pile is None:
        return
    row = PileFrame(
        order_id=_order_id(session, seen),
        pile_code=seen.pile_code,
        connector_no=seen.connector_no,
        protocol=seen.protocol,
        frame_type=seen.frame_type,
        raw=seen.raw,
        at=seen.received_at,
    )
    row.tenant_id = pile.tenant_id
    session.add(row)


def _order_id(session: HubSession, seen: FrameSeen) -> str | None:
    if seen.trade_number is not None:
        query = select(ChargeOrder.id).join(Connector, Connector.id == ChargeOrder.connector_id)
        named = query.where(ChargeOrder.trade_number == seen.trade_number, Connector.code.startswith(seen.pile_code))
        return session.scalars(named).one_or_none()
    if seen.connector_no is None:
        return None
    connector = find_connector(session, f"{seen.pile_code}{seen.connector_no:02d}")
    holder = open_order(session, connector.id) if connector else None
    return holder.id if holder else None


def frames_of(session: HubSession, order: ChargeOrder) -> Sequence[PileFrame]:
    """The kept frames of an order, and the log-ins of its pile while it was open; oldest first, at most `MOST_SHOWN`."""
    pile_code = order.connector.pile.code
    during = [PileFrame.pile_code == pile_code, PileFrame.order_id.is_(None), PileFrame.connector_no.is_(None)]
    during.append(PileFrame.at >= order.created_at)
    over = order.settled_at or order.ended_at
    if over is not None:
        during.append(PileFrame.at <= over)
    query = select(PileFrame).where(or_(PileFrame.order_id == order.id, and_(*during)))
    return session.scalars(query.order_by(PileFrame.at, PileFrame.id).limit(MOST_SHOWN)).all()


@dataclass(frozen=True, slots=True)
class FrameRetention:
    """Forgets frames older than `keep`: they hold VINs and card numbers, so they have an end."""

    db: Database
    clock: Clock
    keep: timedelta

    def run(self) -> int:
        """Delete what is due in small transactions; returns how many. Safe to repeat."""
        before, gone = self.clock.now() - self.keep, 0
        while ids := self._due(before):
            with self.db.system("frame retention") as session:
                session.execute(delete(PileFrame).where(PileFrame.id.in_(ids)))
            gone += len(ids)
        if gone:
            log.info("pile_frames_forgotten", frames=gone)
        return gone

    def _due(self, before: datetime) -> Sequence[int]:
        with self.db.read_system("frame retention") as session:
            return session.scalars(select(PileFrame.id).where(PileFrame.at < before).limit(TOGETHER)).all()
