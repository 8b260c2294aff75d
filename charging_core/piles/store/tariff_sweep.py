"""Piles that still run an older tariff version are told the new one (0x58 on YKC), so that a change needs no re-login."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import TableCommands
from charging_core.stations.model import Pile
from charging_core.tariffs.service import current_version

PUSH_VALID_FOR = timedelta(minutes=10)
"""A push that found no open connection for this long is dropped; the next sweep makes a new one."""


def sweep_tariffs(db: Database, clock: Clock, commands: TableCommands) -> int:
    """Queue a push for every connected pile whose confirmed version is not the valid one; returns how many."""
    with db.system("tariff rollout") as session:
        piles = session.scalars(
            select(Pile).where(Pile.online, Pile.enabled, Pile.confirmed_tariff_version_id.is_not(None))
        )
        behind = [pile for pile in piles if _is_behind(session, clock, pile) and not _asked(session, clock, pile)]
        for pile in behind:
            commands.push_tariff(session, pile.code, pile.tenant_id, PUSH_VALID_FOR)
        return len(behind)


def _is_behind(session: HubSession, clock: Clock, pile: Pile) -> bool:
    return pile.confirmed_tariff_version_id != current_version(session, pile.station.tariff_id, clock.now()).id


def _asked(session: HubSession, clock: Clock, pile: Pile) -> bool:
    """Whether a push waits or was sent within the last while: a pile applies it only after a running charge."""
    recent = clock.now() - PUSH_VALID_FOR
    query = select(PileCommand.id).where(
        PileCommand.pile_code == pile.code,
        PileCommand.kind == CommandKind.PUSH_TARIFF,
        (PileCommand.state == CommandState.PENDING) | (PileCommand.created_at > recent),
    )
    return session.scalars(query.limit(1)).first() is not None
