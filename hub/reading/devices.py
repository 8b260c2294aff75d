"""What was asked of piles and what became of it, who still runs an old tariff, firmware rollouts, ground locks, live frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.piles.model import FirmwareRollout, GroundLock, PileCommand
from charging_core.piles.ports import CommandKind
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.dialect import read_options
from charging_core.piles.protocols.ykc.errors import BadOption
from charging_core.piles.protocols.ykc.reading import of_bytes
from charging_core.piles.store.device import protocols_with
from charging_core.stations.model import Pile
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.service import current_version
from hub.reading.paging import Page, Window, read_page
from hub.watching import Seen


def require_pile(session: HubSession, code: str) -> Pile:
    """The pile of this tenant. Raises `NotFound`."""
    pile = session.scalars(select(Pile).where(Pile.code == code)).one_or_none()
    if pile is None:
        raise NotFound(f"pile {code}")
    return pile


def list_commands(session: HubSession, pile_code: str, window: Window) -> Page:
    """Commands of a pile, those of its orders too, newest first. Raises `NotFound`."""
    require_pile(session, pile_code)
    query = select(PileCommand).where(PileCommand.pile_code == pile_code)
    return read_page(session, query, PileCommand.id, window, command_line, newest_first=True)


def command_view(session: HubSession, command_id: str) -> dict[str, Any]:
    """One command. Raises `NotFound`."""
    row = session.scalars(select(PileCommand).where(PileCommand.id == command_id)).one_or_none()
    if row is None:
        raise NotFound(f"command {command_id}")
    return command_line(row)


def command_line(row: PileCommand) -> dict[str, Any]:
    """A command as people read it."""
    names = (
        "id", "pile_code", "kind", "state", "detail", "parameters", "asked_by", "reason", "order_id", "batch_id",
        "created_at", "changed_at", "expires_at",
    )  # fmt: skip
    connector = f"{row.pile_code}{row.connector_no:02d}" if row.connector_no else None
    return {name: getattr(row, name) for name in names} | {"connector": connector}


def tariff_rollout(session: HubSession, now: datetime) -> list[dict[str, Any]]:
    """Piles that have not confirmed the tariff version valid now, with the last push to each; those that hold none are not among them."""
    holds_one = Pile.protocol.in_(protocols_with(CommandKind.PUSH_TARIFF))
    piles = session.scalars(
        select(Pile)
        .where(Pile.enabled, holds_one)
        .options(joinedload(Pile.station, innerjoin=True))
        .order_by(Pile.code)
    ).all()
    valid = {tariff: current_version(session, tariff, now) for tariff in {pile.station.tariff_id for pile in piles}}
    behind = [pile for pile in piles if pile.confirmed_tariff_version_id != valid[pile.station.tariff_id].id]
    pushes = _last_pushes(session, [pile.code for pile in behind])
    numbers = _version_numbers(session, [pile.confirmed_tariff_version_id for pile in behind])
    return [
        {
            "pile": pile.code,
            "station": pile.station.name,
            "online": pile.online,
            "confirmed_version": numbers.get(pile.confirmed_tariff_version_id or ""),
            "valid_version": valid[pile.station.tariff_id].number,
            "valid_model_number": valid[pile.station.tariff_id].model_number,
            "last_push": pushes.get(pile.code),
        }
        for pile in behind
    ]


def _last_pushes(session: HubSession, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = session.scalars(
        select(PileCommand)
        .where(PileCommand.kind == CommandKind.PUSH_TARIFF, PileCommand.pile_code.in_(codes))
        .order_by(PileCommand.id)
    )
    names = ("id", "state", "detail", "changed_at", "asked_by")
    return {row.pile_code: {name: getattr(row, name) for name in names} for row in rows}


def _version_numbers(session: HubSession, ids: Sequence[str | None]) -> dict[str, int]:
    query = select(TariffVersion.id, TariffVersion.number).where(TariffVersion.id.in_([one for one in ids if one]))
    return {row[0]: row[1] for row in session.execute(query)}


def list_rollouts(session: HubSession, window: Window) -> Page:
    """Firmware rollouts, newest first."""
    return read_page(session, select(FirmwareRollout), FirmwareRollout.id, window, _rollout_line, newest_first=True)


def rollout_view(rollout: FirmwareRollout) -> dict[str, Any]:
    """One rollout with its piles; never its password."""
    names = ("pile_code", "group_no", "state", "detail", "command_id", "changed_at")
    piles = [{name: getattr(pile, name) for name in names} for pile in rollout.piles]
    return _rollout_line(rollout) | {"package": rollout.package, "history": rollout.history, "piles": piles}


def _rollout_line(rollout: FirmwareRollout) -> dict[str, Any]:
    names = ("id", "name", "version", "state", "failures_allowed", "asked_by", "reason", "created_at", "changed_at")
    counts: dict[str, int] = {}
    for pile in rollout.piles:
        counts[pile.state] = counts.get(pile.state, 0) + 1
    return {name: getattr(rollout, name) for name in names} | {"counts": counts}


def list_locks(session: HubSession, window: Window) -> Page:
    """Ground locks by connector, as they reported last."""
    names = ("connector_code", "position", "occupied", "battery_percent", "alarm", "reported_at")
    return read_page(
        session,
        select(GroundLock),
        GroundLock.connector_code,
        window,
        lambda lock: {name: getattr(lock, name) for name in names},
    )


def frames_seen(pile: Pile, seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Frames in words; a pile's own dialect is understood. Unmasked: for engineers with the right to change things."""

    try:
        dialect = read_options(pile.protocol_options)
    except BadOption:
        dialect = read_options({})
    told = []
    for frame in seen:
        line: dict[str, Any] = {
            "at": frame.at,
            "direction": "up" if frame.up else "down",
            "hex": frame.raw.hex().upper(),
        }
        for found in of_bytes(frame.raw):
            bad = {"error": found.problem, "position": found.position}
            line |= bad if found.frame is None else describe(dialect.textbook(found.frame))
        told.append(line)
    return told
