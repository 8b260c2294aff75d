"""Members, their cards and money, and which cards a pile holds for times without a link."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.db import HubSession
from charging_core.members.model import Member, MemberAction, MemberCard, MemberMovement
from charging_core.money import fen
from charging_core.orders.starts.funds import free_yuan, unsettled_orders
from charging_core.piles.model import PileCard, PileCommand
from charging_core.piles.store.cards import cards_of
from hub.reading.devices import require_pile
from hub.reading.paging import Page, Window, read_page

_MEMBER = (
    "id", "code", "name", "phone", "balance_yuan", "credit_yuan", "per_charge_yuan", "stations", "enabled", "blocked",
    "created_at",
)  # fmt: skip
_CARD = ("id", "number", "physical", "offline", "enabled", "blocked")
_MOVEMENT = (
    "id", "kind", "amount_yuan", "balance_yuan", "order_id", "bill_number", "reference", "at", "by", "reason",
)  # fmt: skip
_ACTION = ("action", "at", "by", "reason", "card_id")
_ORDER = ("id", "state", "limit_yuan", "created_at", "card", "vin")


def list_members(session: HubSession, window: Window) -> Page:
    """Accounts, oldest first."""
    return read_page(session, select(Member), Member.id, window, member_line)


def member_line(member: Member) -> dict[str, Any]:
    """An account as a list shows it."""
    return _told(member, _MEMBER)


def member_view(session: HubSession, member: Member) -> dict[str, Any]:
    """An account with its cards, vehicles, charges that are not billed, and what the staff did."""
    actions = session.scalars(
        select(MemberAction).where(MemberAction.member_id == member.id).order_by(MemberAction.id.desc()).limit(20)
    )
    return member_line(member) | {
        "free_yuan": fen(free_yuan(session, member)),
        "cards": [card_line(card) for card in member.cards],
        "vehicles": [{"vin": row.vin, "enabled": row.enabled} for row in member.vehicles],
        "unsettled_orders": [_told(order, _ORDER) for order in unsettled_orders(session, member.id)],
        "actions": [{name: getattr(action, name) for name in _ACTION} for action in actions],
    }


def list_movements(session: HubSession, member: Member, window: Window) -> Page:
    """Every movement of an account's money, newest first."""
    query = select(MemberMovement).where(MemberMovement.member_id == member.id)
    return read_page(session, query, MemberMovement.id, window, movement_line, newest_first=True)


def movement_line(movement: MemberMovement) -> dict[str, Any]:
    """One movement as people read it."""
    return _told(movement, _MOVEMENT)


def list_cards(session: HubSession, window: Window, member: Member | None = None) -> Page:
    """Cards with whom they belong to, oldest first."""
    query = select(MemberCard).options(joinedload(MemberCard.member, innerjoin=True))
    if member is not None:
        query = query.where(MemberCard.member_id == member.id)
    return read_page(session, query, MemberCard.id, window, _card_of_member)


def card_line(card: MemberCard) -> dict[str, Any]:
    """A card; of its PIN only whether there is one."""
    return {name: getattr(card, name) for name in _CARD} | {"has_pin": card.pin_hash is not None, "usable": card.usable}


def card_view(session: HubSession, card: MemberCard) -> dict[str, Any]:
    """A card with its account."""
    return card_line(card) | {"member": member_view(session, card.member)}


def _card_of_member(card: MemberCard) -> dict[str, Any]:
    return card_line(card) | {"member": card.member.code, "balance_yuan": fen(card.member.balance_yuan)}


def _told(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Members of a row; money with two decimals, however it is stored."""
    return {name: _money(name, getattr(row, name)) for name in names}


def _money(name: str, value: Any) -> Any:
    return fen(value) if name.endswith("_yuan") and value is not None else value


def pile_cards(session: HubSession, pile_code: str) -> list[dict[str, Any]]:
    """The card list of a pile: what it should hold and what it said. Raises `NotFound`."""
    require_pile(session, pile_code)
    rows = [row for row in cards_of(session, pile_code) if row.wanted or row.present is not False]
    ids = {row.command_id for row in rows if row.command_id is not None}
    commands = session.scalars(select(PileCommand).where(PileCommand.id.in_(ids)))
    states = {command.id: command.state for command in commands}
    return [_pile_card(row, states.get(row.command_id or "")) for row in rows]


def _pile_card(row: PileCard, command_state: str | None) -> dict[str, Any]:
    names = ("number", "physical", "wanted", "present", "problem", "command_id", "told_at", "changed_at")
    confirmed = row.present is row.wanted and row.told_at is not None  # a query that runs forgets what was told before
    state = "confirmed" if confirmed else "problem" if row.problem else command_state or "waiting"
    return {name: getattr(row, name) for name in names} | {"state": state}
