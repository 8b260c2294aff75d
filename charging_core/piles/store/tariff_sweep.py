"""Piles that still run an older tariff version are told the new one (0x58 on YKC), so that a change needs no re-login."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import joinedload

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import TableCommands
from charging_core.piles.store.device import protocols_with
from charging_core.stations.model import Pile
from charging_core.tariffs.service import current_version

PUSH_VALID_FOR = timedelta(minutes=10)
"""A push that found no open connection for this long is dropped; the next sweep makes a new one. As long is waited before a push is
repeated, and for a pile that has just logged in to ask by itself."""


def sweep_tariffs(db: Database, clock: Clock, commands: TableCommands) -> int:
    """Queue a push for every connected pile that has not confirmed the valid version; returns how many.

    Looks without holding SQLite's writer: most of the time there is nothing to push.
    """
    with db.read_system("tariff rollout") as session:
        behind = _behind(session, clock.now())
    if behind:
        with db.system("tariff rollout") as session:
            for pile_code, tenant_id in behind:
                commands.push_tariff(session, pile_code, tenant_id, PUSH_VALID_FOR)
    return len(behind)


def _behind(session: HubSession, now: datetime) -> list[tuple[str, str]]:
    """Code and tenant of the piles to push to."""
    piles = session.scalars(_may_be_told(now).options(joinedload(Pile.station, innerjoin=True))).all()
    tariffs = {pile.station.tariff_id for pile in piles}
    valid = {tariff_id: current_version(session, tariff_id, now).id for tariff_id in tariffs}
    asked = _asked(session, now)
    return [
        (pile.code, pile.tenant_id)
        for pile in piles
        if pile.confirmed_tariff_version_id != valid[pile.station.tariff_id] and pile.code not in asked
    ]


def _may_be_told(now: datetime) -> Select[Pile]:
    """Connected piles, but for those that have confirmed nothing and have had no time to ask yet."""
    had_time = and_(Pile.last_login_at.is_not(None), Pile.last_login_at < now - PUSH_VALID_FOR)
    holds_one = Pile.protocol.in_(protocols_with(CommandKind.PUSH_TARIFF))
    return select(Pile).where(
        Pile.online, Pile.enabled, holds_one, or_(Pile.confirmed_tariff_version_id.is_not(None), had_time)
    )


def _asked(session: HubSession, now: datetime) -> set[str]:
    """Piles for which a push waits or was made within the last while: a pile may apply it only after a running charge."""
    recent = or_(
        and_(PileCommand.state == CommandState.PENDING, PileCommand.expires_at > now),
        PileCommand.created_at > now - PUSH_VALID_FOR,
    )
    query = select(PileCommand.pile_code).where(PileCommand.kind == CommandKind.PUSH_TARIFF, recent)
    return set(session.scalars(query))
