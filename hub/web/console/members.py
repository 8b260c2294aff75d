"""Console: accounts of members, their money and cards, and the card lists of piles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Response

from charging_core.db import HubSession
from charging_core.members.ledger import Note, correct
from charging_core.members.service import block_card, block_member, require_card, require_member
from charging_core.orders.starts.funds import top_up
from charging_core.piles.store.device import Asked
from hub.reading import devices, members
from hub.reading.paging import Page, Window
from hub.reading.values import masked
from hub.web.context import acting, answer, hub, operation, reading, writing


@operation
def list_members(limit: int, after: str | None = None) -> Response:
    """`GET /members`."""
    with reading() as session:
        return _page(members.list_members(session, Window(limit, after)))


@operation
def get_member(member: str) -> Response:
    """`GET /members/{member}`."""
    with reading() as session:
        return answer(masked(members.member_view(session, require_member(session, member))))


@operation
def list_movements(member: str, limit: int, after: str | None = None) -> Response:
    """`GET /members/{member}/movements`."""
    with reading() as session:
        return answer(members.list_movements(session, require_member(session, member), Window(limit, after)))


@operation
def top_up_member(member: str, body: dict[str, Any]) -> Response:
    """`POST /members/{member}/top-up`."""
    with writing() as session:
        found = require_member(session, member)
        amount, note = Decimal(body["amount"]), _note(session, body)
        movement, fresh = top_up(session, hub().order_context, found.id, amount, note)
        return answer(members.movement_line(movement), 201 if fresh else 200)


@operation
def correct_member(member: str, body: dict[str, Any]) -> Response:
    """`POST /members/{member}/correct`."""
    with writing() as session:
        found = require_member(session, member)
        movement, fresh = correct(session, found.id, Decimal(body["amount"]), _note(session, body))
        return answer(members.movement_line(movement), 201 if fresh else 200)


@operation
def change_block(member: str, body: dict[str, Any]) -> Response:
    """`POST /members/{member}/block`."""
    with writing() as session:
        found = require_member(session, member)
        block_member(session, found, _note(session, body), blocked=body["blocked"])
        return answer(masked(members.member_view(session, found)))


@operation
def list_cards(limit: int, after: str | None = None, member: str | None = None) -> Response:
    """`GET /cards`."""
    with reading() as session:
        owner = require_member(session, member) if member is not None else None
        return answer(members.list_cards(session, Window(limit, after), owner))


@operation
def get_card(card: str) -> Response:
    """`GET /cards/{card}`."""
    with reading() as session:
        return answer(masked(members.card_view(session, require_card(session, card))))


@operation
def change_card_block(card: str, body: dict[str, Any]) -> Response:
    """`POST /cards/{card}/block`."""
    with writing() as session:
        found = require_card(session, card)
        block_card(session, found, _note(session, body), blocked=body["blocked"])
        return answer(members.card_line(found))


@operation
def list_pile_cards(pile: str) -> Response:
    """`GET /piles/{pile}/cards`."""
    with reading() as session:
        return answer({"items": members.pile_cards(session, pile), "next": None})


@operation
def sync_pile_cards(pile: str, body: dict[str, Any]) -> Response:
    """`POST /piles/{pile}/cards`."""
    with writing() as session:
        desk, asked = hub().card_lists, Asked(acting(session), body.get("reason"))
        if body["action"] == "query":
            rows = desk.query(session, pile, asked)
        else:
            rows = desk.sync(session, pile, asked, whole=body.get("whole", False))
        return answer({"items": [devices.command_line(row) for row in rows], "next": None}, 202)


def _note(session: HubSession, body: dict[str, Any]) -> Note:
    return Note(acting(session), hub().clock.now(), body.get("reason"), body.get("request_id"))


def _page(page: Page) -> Response:
    return answer(Page([masked(line) for line in page.items], page.next))
