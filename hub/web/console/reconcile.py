"""Console: statements, and contested orders until they are closed. Every step of a case is recorded with the token's name."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response

from charging_core.errors import Conflict, InvalidInput
from hub.partner_links import open_link
from hub.reading import reconcile
from hub.reading.paging import Window
from hub.web.context import acting, answer, caller, hub, operation, reading, writing
from partners.reconcile import disputes
from partners.reconcile.model import DisputeState
from partners.reconcile.statements import Day, state_day


@operation
def list_statements(
    limit: int, after: str | None = None, link: str | None = None, direction: str | None = None
) -> Response:
    """`GET /statements`."""
    with reading() as session:
        return answer(reconcile.list_statements(session, Window(limit, after), link=link, direction=direction))


@operation
def get_statement(statement: str) -> Response:
    """`GET /statements/{statement}`."""
    with reading() as session:
        return answer(reconcile.statement_view(session, statement))


@operation
def send_statement(body: dict[str, Any]) -> Response:
    """`POST /statements`."""
    link = open_link(hub(), caller().tenant_id, body["link"])
    with writing() as session:
        made = state_day(session, hub().clock, link, Day(_day(body["day"])))
        if made is None:
            raise Conflict("这一天已有对账单, 或没有订单 / this day is stated already, or has no orders")
        session.on_commit(hub().wake_worker)
        return answer(reconcile.statement_view(session, made.id), 201)


@operation
def list_disputes(limit: int, after: str | None = None, link: str | None = None, state: str | None = None) -> Response:
    """`GET /disputes`."""
    with reading() as session:
        return answer(reconcile.list_disputes(session, Window(limit, after), link=link, state=state))


@operation
def get_dispute(dispute: str) -> Response:
    """`GET /disputes/{dispute}`."""
    with reading() as session:
        return answer(reconcile.dispute_view(session, dispute))


@operation
def explain_dispute(dispute: str, body: dict[str, Any]) -> Response:
    """`POST /disputes/{dispute}/explain`."""
    with writing() as session:
        disputes.explain(session, hub().clock, dispute, body["text"], acting(session))
        return answer(reconcile.dispute_view(session, dispute))


@operation
def repush_dispute(dispute: str) -> Response:
    """`POST /disputes/{dispute}/repush`."""
    with writing() as session:
        disputes.repush(session, hub().clock, dispute, acting(session))
        session.on_commit(hub().wake_worker)
        return answer(reconcile.dispute_view(session, dispute), 202)


@operation
def close_dispute(dispute: str, body: dict[str, Any]) -> Response:
    """`POST /disputes/{dispute}/close`."""
    with writing() as session:
        outcome = DisputeState(body["outcome"])
        disputes.close(session, hub().clock, dispute, outcome, body.get("note", ""), acting(session))
        return answer(reconcile.dispute_view(session, dispute))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("day", "yyyy-MM-dd") from error
