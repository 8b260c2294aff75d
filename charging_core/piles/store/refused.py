"""The list of piles that knocked and were not let in. Anybody can knock, so the list has an end."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, func, select, true

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.piles.events import PileLogin
from charging_core.stations.model import RefusedLogin

PER_ADDRESS = 100
"""Unknown codes kept of one address: more than the piles behind one station's router, less than a scanner invents."""
IN_ALL = 2000
"""Unknown codes kept in all: what an operator may still want to read."""


def list_refused(session: HubSession, login: PileLogin, reason: str, tenant_id: str | None) -> None:
    """Count the refusal on its (code, address); a new one of an unknown pile pushes out the oldest when the list is full."""
    host = _host(login.address)
    known = session.scalars(
        select(RefusedLogin)
        .where(RefusedLogin.pile_code == login.pile_code, RefusedLogin.address == host)
        .with_for_update()
    ).one_or_none()
    if known is None:
        if tenant_id is None:
            _make_room(session, RefusedLogin.address == host, PER_ADDRESS)
            _make_room(session, true(), IN_ALL)
        session.add(_new_row(login, host, reason, tenant_id))
        return
    known.count += 1
    known.last_at = login.received_at
    known.reason = reason
    known.firmware = login.firmware
    known.tenant_id = tenant_id


def _make_room(session: HubSession, where: ColumnElement[bool], limit: int) -> None:
    """Let the unknown piles that knocked longest ago go, until one more fits. Piles of a tenant are few and stay."""
    unknown = where & RefusedLogin.tenant_id.is_(None)
    surplus = (session.scalar(select(func.count()).select_from(RefusedLogin).where(unknown)) or 0) - limit + 1
    if surplus > 0:
        oldest = select(RefusedLogin.id).where(unknown).order_by(RefusedLogin.last_at, RefusedLogin.id).limit(surplus)
        session.execute(delete(RefusedLogin).where(RefusedLogin.id.in_(oldest)))


def _new_row(login: PileLogin, host: str, reason: str, tenant_id: str | None) -> RefusedLogin:
    return RefusedLogin(
        id=new_id(),
        pile_code=login.pile_code,
        address=host,
        firmware=login.firmware,
        protocol=f"{login.protocol} {login.protocol_version}".strip()[:32],
        reason=reason,
        tenant_id=tenant_id,
        first_at=login.received_at,
        last_at=login.received_at,
        count=1,
    )


def _host(address: str) -> str:
    """Without the port, which is new at every try and would make a row of each."""
    return address.rpartition(":")[0] or address
