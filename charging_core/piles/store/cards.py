"""The card list that each pile keeps for times without a link: which cards belong on it, and bringing the pile there (0x44, 0x46, 0x48).

A frame holds few cards and its answer does not say which command it answers, so one command at a time is on its way: the next part
follows when the pile has told of the one before. What is wanted and what the pile said stand in `pile_card`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import Conflict, NotFound
from charging_core.ids import new_id
from charging_core.members.model import MemberCard
from charging_core.piles.events import CardsTold
from charging_core.piles.model import PileCard, PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import CommandWaker
from charging_core.piles.store.device import Asked, Request, ask
from charging_core.stations.model import Pile

SYNC_MOST, OTHERS_MOST = 11, 23
"""Cards per frame that stay within its 200 bytes (`specs/ykc.md` 5)."""
_KINDS = (CommandKind.CLEAR_CARDS, CommandKind.SYNC_CARDS, CommandKind.QUERY_CARDS)
_MOST = {
    CommandKind.SYNC_CARDS: SYNC_MOST,
    CommandKind.CLEAR_CARDS: OTHERS_MOST,
    CommandKind.QUERY_CARDS: OTHERS_MOST,
}


@dataclass(frozen=True, slots=True)
class CardDesk:
    """Where commands about card lists are asked for."""

    clock: Clock
    waker: CommandWaker

    def sync(self, session: HubSession, pile_code: str, asked: Asked, *, whole: bool = False) -> list[PileCommand]:
        """Bring the pile's list to what it should be now; the first command, none when nothing is to do.

        `whole` sends all of it again, also what the pile has confirmed. Raises `NotFound`, `Conflict` for a pile that keeps no list
        or that has not answered the last request yet.
        """
        pile = self._pile(session, pile_code)
        want_cards(session, pile, self.clock.now(), whole=whole)
        return self._first(session, pile, asked)

    def query(self, session: HubSession, pile_code: str, asked: Asked) -> list[PileCommand]:
        """Ask the pile which of the cards that it should have, or had, are on its list. Raises as `sync`."""
        pile = self._pile(session, pile_code)
        want_cards(session, pile, self.clock.now())
        for row in cards_of(session, pile.code):
            row.command_id, row.told_at = None, None
        session.flush()
        todo = _unasked(session, pile.code)
        return [self._ask(session, pile.code, CommandKind.QUERY_CARDS, todo, asked)] if todo else []

    def next(self, session: HubSession, before: PileCommand) -> PileCommand | None:
        """The part that follows a command that has been answered, in the same request; none when all is said."""
        asked = Asked(before.asked_by or "hub", before.reason, before.batch_id)
        if before.kind == CommandKind.QUERY_CARDS:
            todo = _unasked(session, before.pile_code)
            return self._ask(session, before.pile_code, CommandKind.QUERY_CARDS, todo, asked) if todo else None
        return self._ask_first(session, before.pile_code, asked)

    def _first(self, session: HubSession, pile: Pile, asked: Asked) -> list[PileCommand]:
        asked = Asked(asked.by, asked.reason, asked.batch_id or new_id())
        made = self._ask_first(session, pile.code, asked)
        return [] if made is None else [made]

    def _ask_first(self, session: HubSession, pile_code: str, asked: Asked) -> PileCommand | None:
        """Removals come first: a full list takes no more."""
        open_rows = [row for row in cards_of(session, pile_code) if row.present is not row.wanted and not row.problem]
        for wanted, kind in ((False, CommandKind.CLEAR_CARDS), (True, CommandKind.SYNC_CARDS)):
            rows = [row for row in open_rows if row.wanted is wanted]
            if rows:
                return self._ask(session, pile_code, kind, rows, asked)
        return None

    def _ask(
        self, session: HubSession, pile_code: str, kind: CommandKind, rows: Sequence[PileCard], asked: Asked
    ) -> PileCommand:
        part = rows[: _MOST[kind]]
        request = Request(kind, pile_code, {"cards": [[row.number, row.physical] for row in part]})
        command = ask(session, self.clock, self.waker, request, asked)
        for row in part:
            row.command_id, row.changed_at = command.id, self.clock.now()
        session.flush()
        return command

    def _pile(self, session: HubSession, pile_code: str) -> Pile:
        query = select(Pile).where(Pile.code == pile_code).with_for_update(of=Pile, key_share=True)
        pile = session.scalars(query).one_or_none()
        if pile is None:
            raise NotFound(f"pile {pile_code}")
        if _waiting(session, pile_code) is not None:
            raise Conflict(
                f"{pile_code}: 上一次名单下发尚未结束 / the last request about its cards is not answered yet"
            )
        return pile


def want_cards(session: HubSession, pile: Pile, now: datetime, *, whole: bool = False) -> None:
    """Write down which cards the pile should have: usable ones marked for off-line use whose accounts may charge at its station."""
    rows = {row.physical: row for row in cards_of(session, pile.code)}
    wanted = {card.physical: card for card in _allowed(session, pile)}
    for physical, card in wanted.items():
        if physical not in rows:
            rows[physical] = PileCard(id=new_id(), tenant_id=pile.tenant_id, pile_code=pile.code, physical=physical)
            session.add(rows[physical])
        rows[physical].number = card.number
    for physical, row in rows.items():
        row.wanted, row.problem = physical in wanted, None
        row.changed_at = now
        if whole and row.wanted:
            row.present = None
    session.flush()


def _allowed(session: HubSession, pile: Pile) -> list[MemberCard]:
    query = select(MemberCard).where(MemberCard.tenant_id == pile.tenant_id, MemberCard.offline, MemberCard.enabled)
    code = pile.station.code
    return [
        card
        for card in session.scalars(query.order_by(MemberCard.number))
        if card.usable and (card.member.stations is None or code in card.member.stations)
    ]


def cards_of(session: HubSession, pile_code: str) -> Sequence[PileCard]:
    """The list of a pile, by number."""
    query = select(PileCard).where(PileCard.pile_code == pile_code)
    return session.scalars(query.order_by(PileCard.number, PileCard.id)).all()


def keep_cards(session: HubSession, told: CardsTold, *, clock: Clock) -> None:
    """What a pile told of its cards; the next part of the same request follows. A card that it was asked about and kept silent of has a
    problem: it is not asked again by itself."""
    rows = {row.physical: row for row in cards_of(session, told.pile_code)}
    said = {card.physical: card for card in told.cards if card.physical in rows}
    asked = [rows[physical].command_id for physical in said]
    for physical, card in said.items():
        row = rows[physical]
        row.present = row.present if card.present is None else card.present
        row.problem, row.told_at = card.problem[:100] or None, told.received_at
    for row in rows.values():
        if row.command_id is not None and row.command_id in asked and row.physical not in said:
            row.problem = "the pile did not tell of it"
    session.flush()
    before = _last_of(session, asked)
    if before is not None and _waiting(session, told.pile_code) in (None, before.id):
        CardDesk(clock, _Unheard()).next(session, before)


def _last_of(session: HubSession, ids: Sequence[str | None]) -> PileCommand | None:
    commands = select(PileCommand).where(PileCommand.id.in_([one for one in ids if one is not None]))
    return session.scalars(commands.order_by(PileCommand.id.desc()).limit(1)).one_or_none()


class _Unheard:
    """Nobody is woken from the pile server's own writers: it looks by itself within a second."""

    def wake(self, pile_code: str) -> None:
        """Nothing."""


def _waiting(session: HubSession, pile_code: str) -> str | None:
    query = select(PileCommand.id).where(
        PileCommand.pile_code == pile_code,
        PileCommand.kind.in_(_KINDS),
        PileCommand.state.in_((CommandState.PENDING, CommandState.SENT)),
    )
    return session.scalars(query.order_by(PileCommand.id.desc())).first()


def _unasked(session: HubSession, pile_code: str) -> list[PileCard]:
    return [row for row in cards_of(session, pile_code) if row.command_id is None]
