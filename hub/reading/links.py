"""Links to partners as the operator's staff see them, and the masked record of what went over them. Never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from hub.reading.paging import Page, Window
from municipal.model import RegulatorLink
from partners.exchanges import ExchangeQuery, search_exchanges
from partners.model import ExchangeRow, PartnerLink
from worker.api import Destination
from worker.model import DestinationState

_LINK = (
    "id", "slug", "name", "profile", "environment", "our_operator_id", "their_operator_ids", "inbound_bases",
    "outbound_base", "stations", "options", "allow_ips", "enabled", "version", "changed_at",
)  # fmt: skip
_REGULATOR = (
    "id", "slug", "name", "profile", "environment", "our_operator_id", "their_operator_id", "outbound_base",
    "wire_names", "stations", "assigned_codes", "options", "enabled", "version", "changed_at",
)  # fmt: skip
_EXCHANGE = (
    "id", "kind", "link_id", "direction", "interface", "at", "duration_ms", "http_status", "ret", "message",
    "failed_check", "seq", "object_key", "remote", "request_body", "reply_body", "request_bytes", "reply_bytes",
)  # fmt: skip
_STATE = (
    "held", "hold_reason", "held_at", "consecutive_failures", "failing_since", "open_until", "last_accepted_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExchangeFilter:
    """What narrows a list of exchanges; none means all. `link` is a link's short name, `direction` `in` or `out`."""

    link: str | None = None
    interface: str | None = None
    object_key: str | None = None
    direction: str | None = None
    failed_only: bool = False


def list_links(session: HubSession) -> list[dict[str, Any]]:
    """All links of the tenant by name, partners first."""
    partners = session.scalars(select(PartnerLink).order_by(PartnerLink.slug)).all()
    regulators = session.scalars(select(RegulatorLink).order_by(RegulatorLink.slug)).all()
    return [
        *(_view(session, "partner", row, _LINK) for row in partners),
        *(_view(session, "regulator", row, _REGULATOR) for row in regulators),
    ]


def link_view(session: HubSession, slug: str) -> dict[str, Any]:
    """One link. Raises `NotFound`."""
    regulator = session.scalars(select(RegulatorLink).where(RegulatorLink.slug == slug)).one_or_none()
    if regulator is not None:
        return _view(session, "regulator", regulator, _REGULATOR)
    return _view(session, "partner", require_link(session, slug), _LINK)


def require_link(session: HubSession, slug: str) -> PartnerLink:
    """The tenant's link of this short name. Raises `NotFound`."""
    row = session.scalars(select(PartnerLink).where(PartnerLink.slug == slug)).one_or_none()
    if row is None:
        raise NotFound(f"link {slug}")
    return row


def list_exchanges(session: HubSession, window: Window, wanted: ExchangeFilter) -> Page:
    """Exchanges, newest first. Raises `NotFound` for an unknown link."""
    query = ExchangeQuery(
        link_id=None if wanted.link is None else link_view(session, wanted.link)["id"],
        interface=wanted.interface,
        object_key=wanted.object_key,
        direction=wanted.direction,
        failed_only=wanted.failed_only,
        before_id=window.after,
        limit=window.limit + 1,
    )
    rows = search_exchanges(session, query)
    more = len(rows) > window.limit
    rows = rows[: window.limit]
    return Page([exchange_view(row) for row in rows], rows[-1].id if more else None)


def _view(session: HubSession, kind: str, row: PartnerLink | RegulatorLink, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "kind": kind,
        **{name: getattr(row, name) for name in names},
        "delivery": _delivery_state(session, kind, row.id),
    }


def _delivery_state(session: HubSession, kind: str, link_id: str) -> dict[str, Any] | None:
    destination = Destination(kind, link_id)
    query = select(DestinationState).where(
        DestinationState.kind == destination.kind, DestinationState.destination_id == destination.id
    )
    state = session.scalars(query).one_or_none()
    return None if state is None else {name: getattr(state, name) for name in _STATE}


def exchange_view(row: ExchangeRow) -> dict[str, Any]:
    """One exchange as it is shown; its bodies were masked before they were stored."""
    return {name: getattr(row, name) for name in _EXCHANGE}
