"""The book on the database: one short transaction per question. Tenants come from the pile (DECISIONS 24)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy import Select, select

from charging_core.db import Database, HubSession
from charging_core.errors import NotFound
from charging_core.ids import new_id
from charging_core.money import ZERO
from charging_core.orders.model import ChargeOrder
from charging_core.orders.starts.facts import ShownBy, StartAsked
from charging_core.orders.state import BEFORE_CHARGE, OrderState
from charging_core.piles.events import PileLogin, TradeRecord
from charging_core.piles.protocols.ocpp16.mapping import Start, Stop, believed
from charging_core.piles.protocols.ocpp16.model import OcppAccess, OcppTransaction
from charging_core.piles.protocols.ocpp16.ports import TAG_DIGITS, Begun, Ended, Knock, Running
from charging_core.piles.store.directory import find_pile
from charging_core.piles.store.refused import list_refused
from charging_core.piles.store.starts import TableStartDesk
from charging_core.secretbox import SecretBox, SecretError
from charging_core.stations.model import Pile

log = structlog.get_logger()

PROTOCOL = "ocpp16"
_WANTED = (*BEFORE_CHARGE, OrderState.CHARGING)
_MOST_OPEN = 8
_KWH_PER_WH = Decimal("0.001")


class TableOcppBook:
    """Fills `OcppBook`."""

    def __init__(self, db: Database, box: SecretBox, cards: TableStartDesk | None = None) -> None:
        self._db = db
        self._box = box
        self._cards = cards

    # -- who is there

    def knock(self, identity: str, password: str | None, login: PileLogin) -> Knock:
        """Decide; a refusal is listed under the identity, as far as its column goes."""
        with self._db.system("pile login") as session:
            access = session.scalars(select(OcppAccess).where(OcppAccess.identity == identity)).one_or_none()
            pile = find_pile(session, access.pile_code if access else identity)
            if pile is not None and access is None:
                access = session.get(OcppAccess, pile.code)  # then its name is another one
            reason = self._why_not(pile, access, identity, password)
            if pile is None or reason:
                list_refused(session, login, reason, pile.tenant_id if pile else None)
                return Knock(None, reason)
            return Knock(pile.code)

    def _why_not(self, pile: Pile | None, access: OcppAccess | None, identity: str, password: str | None) -> str:
        """Nothing is told to a caller without the password of a pile that has one."""
        if pile is None or (access is not None and access.identity != identity):
            return "unknown"
        if not self._proves(access, password):
            return "password"
        if pile.protocol != PROTOCOL:
            return "other_protocol"
        return "" if pile.enabled and pile.station.enabled else "disabled"

    def _proves(self, access: OcppAccess | None, password: str | None) -> bool:
        if access is None or access.secret is None:
            return True
        try:
            secret = self._box.open(access.secret, f"ocpp:{access.pile_code}")
        except SecretError:
            log.error("pile.password_unreadable", pile_code=access.pile_code)
            return False
        return hmac.compare_digest(secret.encode(), (password or "").encode())

    # -- transactions

    def running(self, pile_code: str) -> Sequence[Running]:
        """The newest without an end; what is older will not end any more."""
        with self._db.read_system("ocpp transactions") as session:
            rows = session.scalars(_open(pile_code).order_by(OcppTransaction.id.desc()).limit(_MOST_OPEN)).all()
            return [_running(session, row) for row in reversed(rows)]

    def tag_accepted(self, pile_code: str, id_tag: str) -> bool:
        """What we gave out ourselves, or a card of a member that may charge at one of the pile's connectors now."""
        with self._db.read_system("ocpp tag") as session:
            order = _order_of(session, pile_code, id_tag)
            if order is not None:
                return order.current_state in _WANTED
            pile = find_pile(session, pile_code)
            codes = [connector.code for connector in pile.connectors] if pile is not None else []
        return self._cards is not None and any(self._cards.may_charge(_shown(code, id_tag)) for code in codes)

    def begin(self, pile_code: str, start: Start, received_at: datetime) -> Begun:
        """A repeat is known by connector, idTag, time and meter (section 2); it has no id of its own.

        The tag of a member's card makes an order of its own first; a card that is refused makes none, and the tag is told to be invalid.
        """
        trade_number = self._by_card(pile_code, start)
        with self._db.system("ocpp transaction") as session:
            pile = _held(session, pile_code)
            row = session.scalars(_repeat_of(pile_code, start)).first()
            if row is None:
                row = _begun(session, pile, start, believed(start.told_at, received_at), trade_number)
            order = _order_of_trade(session, row.trade_number)
            accepted = order is not None and order.current_state in _WANTED
            return Begun(_running(session, row), accepted, row.stopped_at is not None)

    def _by_card(self, pile_code: str, start: Start) -> str | None:
        """The trade number of a card's new order; none for a tag of ours, a repeat, and a card that may not charge."""
        if self._cards is None:
            return None
        with self._db.read_system("ocpp tag") as session:
            known = session.scalars(_repeat_of(pile_code, start)).first() or _order_of(session, pile_code, start.id_tag)
        if known is not None:
            return None
        asked = _shown(f"{pile_code}{start.connector_no:02d}", start.id_tag)
        return self._cards.decide(asked).trade_number

    def end(self, pile_code: str, stop: Stop, raw: str, counted_wh: Decimal | None, received_at: datetime) -> Ended:
        """Total = meterStop - meterStart, whatever the samples say; only where that is negative the samples decide."""
        with self._db.system("ocpp transaction") as session:
            pile = _held(session, pile_code)
            row = _find(session, pile_code, stop) or _never_begun(session, pile, stop, received_at)
            if row is None:
                return Ended(_stray(pile_code, stop, raw, received_at), None)
            if row.stopped_at is None:
                row.meter_stop_wh, row.told_stop = stop.meter_wh, stop.told_at
                row.stopped_at = max(believed(stop.told_at, received_at), row.started_at)
            running = _running(session, row)
            return Ended(_record(row, running, stop, raw, counted_wh, received_at), running)


def _shown(connector_code: str, id_tag: str) -> StartAsked:
    """A card by its printed number: OCPP knows no other one, and no PIN."""
    return StartAsked(connector_code, ShownBy.CARD_NUMBER, id_tag)


def _held(session: HubSession, pile_code: str) -> Pile:
    """The pile, its row held: two connections of one pile go one after the other."""
    pile = find_pile(session, pile_code, lock=True)
    if pile is None:
        raise NotFound(f"pile {pile_code}")
    return pile


def _open(pile_code: str) -> Select[OcppTransaction]:
    of_pile = select(OcppTransaction).where(OcppTransaction.pile_code == pile_code)
    return of_pile.where(OcppTransaction.stopped_at.is_(None))


def _repeat_of(pile_code: str, start: Start) -> Select[OcppTransaction]:
    return select(OcppTransaction).where(
        OcppTransaction.pile_code == pile_code,
        OcppTransaction.connector_no == start.connector_no,
        OcppTransaction.id_tag == start.id_tag,
        OcppTransaction.told_start == start.told_at,
        OcppTransaction.meter_start_wh == start.meter_wh,
    )


def _begun(
    session: HubSession, pile: Pile, start: Start, started_at: datetime, trade_number: str | None = None
) -> OcppTransaction:
    row = OcppTransaction(
        tenant_id=pile.tenant_id,
        pile_code=pile.code,
        connector_no=start.connector_no,
        id_tag=start.id_tag,
        trade_number=trade_number or _trade_number(session, pile.code, start),
        meter_start_wh=start.meter_wh,
        told_start=start.told_at,
        started_at=started_at,
    )
    session.add(row)
    session.flush()
    return row


def _trade_number(session: HubSession, pile_code: str, start: Start) -> str:
    """The order's, when the tag is its one-time tag, unused so far and at its connector; else one that no order has."""
    connector_code = f"{pile_code}{start.connector_no:02d}"
    order = _order_of(session, pile_code, start.id_tag)
    if order is not None and order.trade_number and order.connector.code == connector_code:
        used = select(OcppTransaction.id).where(OcppTransaction.trade_number == order.trade_number)
        if session.scalars(used).first() is None:
            return order.trade_number
    return f"{connector_code}-{new_id()}"


def _order_of(session: HubSession, pile_code: str, id_tag: str) -> ChargeOrder | None:
    """The order of a one-time tag; none for a card's."""
    if len(id_tag) != TAG_DIGITS or not (id_tag.isascii() and id_tag.isdecimal()):
        return None
    return _order_of_trade(session, pile_code + id_tag)


def _order_of_trade(session: HubSession, trade_number: str) -> ChargeOrder | None:
    return session.scalars(select(ChargeOrder).where(ChargeOrder.trade_number == trade_number)).one_or_none()


def _running(session: HubSession, row: OcppTransaction) -> Running:
    order = _order_of_trade(session, row.trade_number)
    sample = (order.sample if order is not None else None) or {}
    energy_wh = Decimal(sample.get("energy_kwh", ZERO)) / _KWH_PER_WH
    return Running(
        row.id, row.connector_no, row.trade_number, row.started_at, row.meter_start_wh, energy_wh, sample.get("at")
    )


def _find(session: HubSession, pile_code: str, stop: Stop) -> OcppTransaction | None:
    """By its number; a pile that never got one (0, -1) means its only open transaction, or the one it has just ended."""
    of_pile = select(OcppTransaction).where(OcppTransaction.pile_code == pile_code)
    if stop.transaction_id > 0:
        return session.scalars(of_pile.where(OcppTransaction.id == stop.transaction_id)).one_or_none()
    again = of_pile.where(OcppTransaction.told_stop == stop.told_at, OcppTransaction.meter_stop_wh == stop.meter_wh)
    repeated = session.scalars(again).first() if stop.told_at is not None else None
    if repeated is not None:
        return repeated
    rows = session.scalars(_open(pile_code)).all()
    fitting = [row for row in rows if stop.id_tag in (None, row.id_tag) and row.meter_start_wh <= stop.meter_wh]
    return fitting[0] if len(fitting) == 1 else None


def _never_begun(session: HubSession, pile: Pile, stop: Stop, received_at: datetime) -> OcppTransaction | None:
    """A stop whose StartTransaction never came: its tag names the order, its data may hold the meter at the start."""
    first = next((values for values in stop.values if values.begins and values.register_wh is not None), None)
    order = None if stop.id_tag is None else _order_of(session, pile.code, stop.id_tag)
    if stop.transaction_id > 0 or first is None or first.register_wh is None or order is None or stop.id_tag is None:
        return None
    start = Start(order.connector.number, stop.id_tag, int(first.register_wh), first.at)
    return _begun(session, pile, start, believed(first.at, received_at))


def _record(
    row: OcppTransaction, running: Running, stop: Stop, raw: str, counted_wh: Decimal | None, received_at: datetime
) -> TradeRecord:
    total = Decimal(stop.meter_wh - row.meter_start_wh)
    if (
        total < 0
    ):  # the register was reset on the way; settlement marks the order for review, since meter and total differ
        total = running.energy_wh if counted_wh is None else counted_wh
    return TradeRecord(
        trade_number=row.trade_number,
        pile_code=row.pile_code,
        connector_no=row.connector_no,
        started_at=row.started_at,
        ended_at=row.stopped_at,
        rates=(),
        meter_start_kwh=row.meter_start_wh * _KWH_PER_WH,
        meter_end_kwh=stop.meter_wh * _KWH_PER_WH,
        total_energy_kwh=total * _KWH_PER_WH,
        total_energy_with_loss_kwh=None,
        total_amount_yuan=None,
        vin=None,
        trade_flag=None,
        stop_code=None,
        stop_category=stop.category,
        card=None,
        trade_time=None,
        complete=True,
        raw=raw,
        received_at=received_at,
    )


def _stray(pile_code: str, stop: Stop, raw: str, received_at: datetime) -> TradeRecord:
    """A stop of a transaction that nobody knows: kept for people, billed by nobody. A repeat has the same number."""
    stamp = 0 if stop.told_at is None else int(stop.told_at.timestamp())
    return TradeRecord(
        trade_number=f"{pile_code}?{stop.transaction_id}-{stamp}-{stop.meter_wh}"[:64],
        pile_code=pile_code,
        connector_no=0,
        started_at=None,
        ended_at=stop.told_at,
        rates=(),
        meter_start_kwh=None,
        meter_end_kwh=stop.meter_wh * _KWH_PER_WH,
        total_energy_kwh=None,
        total_energy_with_loss_kwh=None,
        total_amount_yuan=None,
        vin=None,
        trade_flag=None,
        stop_code=None,
        stop_category=stop.category,
        card=None,
        trade_time=None,
        complete=False,
        raw=raw,
        received_at=received_at,
    )
