"""Statements both ways and contested orders, as the operator's staff see them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from hub.reading.links import require_link
from hub.reading.paging import Page, Window, read_page
from partners.model import PartnerLink
from partners.reconcile.disputes import find_dispute
from partners.reconcile.model import PartnerDispute, PartnerStatement
from partners.reconcile.statements import lines_of

_STATEMENT = (
    "id", "link_id", "direction", "check_seq", "starts_at", "ends_at", "order_count", "energy_kwh", "total_yuan", "state",
    "dispute_count", "answer", "created_at", "answered_at",
)  # fmt: skip
_LINE = ("start_charge_seq", "order_id", "energy_kwh", "total_yuan", "finding", "their_kwh", "their_yuan")
_DISPUTE = (
    "id", "link_id", "order_id", "start_charge_seq", "source", "state", "reason_code", "reason", "judgement", "energy_kwh",
    "total_yuan", "their_kwh", "their_yuan", "delivery_id", "statement_id", "explanation", "opened_at", "closed_at",
)  # fmt: skip


def list_statements(
    session: HubSession, window: Window, *, link: str | None = None, direction: str | None = None
) -> Page:
    """Statements, newest first. Raises `NotFound` for an unknown link."""
    query = select(PartnerStatement)
    if link is not None:
        query = query.where(PartnerStatement.link_id == require_link(session, link).id)
    if direction is not None:
        query = query.where(PartnerStatement.direction == direction)
    names = _slugs(session)
    return read_page(session, query, PartnerStatement.id, window, lambda row: _statement(row, names), newest_first=True)


def statement_view(session: HubSession, statement_id: str) -> dict[str, Any]:
    """One statement with its lines. Raises `NotFound`."""
    row = session.scalars(select(PartnerStatement).where(PartnerStatement.id == statement_id)).one_or_none()
    if row is None:
        raise NotFound(f"statement {statement_id}")
    lines = [{name: getattr(line, name) for name in _LINE} for line in lines_of(session, row.id)]
    return _statement(row, _slugs(session)) | {"lines": lines}


def list_disputes(session: HubSession, window: Window, *, link: str | None = None, state: str | None = None) -> Page:
    """Contested orders, newest first. Raises `NotFound` for an unknown link."""
    query = select(PartnerDispute)
    if link is not None:
        query = query.where(PartnerDispute.link_id == require_link(session, link).id)
    if state is not None:
        query = query.where(PartnerDispute.state == state)
    names = _slugs(session)
    return read_page(session, query, PartnerDispute.id, window, lambda row: _dispute(row, names), newest_first=True)


def dispute_view(session: HubSession, dispute_id: str) -> dict[str, Any]:
    """One contested order with what happened. Raises `NotFound`."""
    row = find_dispute(session, dispute_id)
    return _dispute(row, _slugs(session)) | {"history": row.history}


def _statement(row: PartnerStatement, names: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _STATEMENT} | {"link": names.get(row.link_id)}


def _dispute(row: PartnerDispute, names: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _DISPUTE} | {"link": names.get(row.link_id)}


def _slugs(session: HubSession) -> dict[str, str]:
    return {row.id: row.slug for row in session.execute(select(PartnerLink.id, PartnerLink.slug))}
