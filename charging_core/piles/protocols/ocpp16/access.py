"""Declaring how charge points connect: what `hub apply` saves. Idempotent; runs in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.db import HubSession
from charging_core.errors import Conflict
from charging_core.piles.protocols.ocpp16.model import OcppAccess
from charging_core.secretbox import SecretBox, SecretError

KIND = "charge point"


def save_access(
    session: HubSession, box: SecretBox, pile_code: str, identity: str, password: str | None
) -> list[Change]:
    """Let the pile connect as `identity`, with this password (none: with any or none), and return what changed.

    Raises `Conflict` when another pile has the identity.
    """
    row = session.scalars(select(OcppAccess).where(OcppAccess.pile_code == pile_code)).one_or_none()
    _check_free(session, pile_code, identity)
    if row is None:
        sealed = None if password is None else box.seal(password, _context(pile_code))
        session.add(OcppAccess(pile_code=pile_code, identity=identity, secret=sealed))
        session.flush()
        return [Change(KIND, pile_code, Action.CREATE)]
    fields = set_members(row, {"identity": identity})
    if _opened(box, row) != password or (row.secret is not None and box.stale(row.secret)):
        row.secret = None if password is None else box.seal(password, _context(pile_code))
        fields = (*fields, FieldChange("password", "changed", "changed"))
    return [Change(KIND, pile_code, Action.UPDATE, fields)] if fields else []


def _check_free(session: HubSession, pile_code: str, identity: str) -> None:
    query = select(OcppAccess.pile_code).where(OcppAccess.identity == identity, OcppAccess.pile_code != pile_code)
    if session.scalars(query).first() is not None:
        raise Conflict(f"{identity}: 已被另一充电桩使用 / another pile connects under this identity")


def _opened(box: SecretBox, row: OcppAccess) -> str | None:
    """In clear; a text that nobody can open any more counts as no secret, so that it is sealed anew."""
    if row.secret is None:
        return None
    try:
        return box.open(row.secret, _context(row.pile_code))
    except SecretError:
        return ""


def _context(pile_code: str) -> str:
    return f"ocpp:{pile_code}"
