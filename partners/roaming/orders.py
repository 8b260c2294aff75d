"""Starting, stopping and following up charges at other operators' piles (`specs/tcec102.md` 12.1, 12.3).

The order is written down before anything is asked, so that its first push finds it. A start without an answer may have started: it is asked
after with the same sequence, then stopped, and stays open for its bill. Nothing is ever started twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.clock import Clock, to_china
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, NotFound
from charging_core.ids import new_id
from partners import metrics
from partners.calling import Clients
from partners.errors import RoamingFailed
from partners.links import Link, LinkBook
from partners.model import PartnerLink
from partners.profiles.schema import Timing
from partners.roaming.asking import ask
from partners.roaming.life import lock_by_seq, move, note, see_stat, see_status
from partners.roaming.mirror import find_connector
from partners.roaming.model import RoamingOrder
from partners.roaming.state import OPEN_STATES, Happened, RoamingState

log = structlog.get_logger()

START_MARGIN_S = 10
"""How long after its deadline a start result may still come before we ask ourselves."""
LONGEST_PAUSE_S = 3600.0
"""Questions about an order that stays silent become rarer, up to once an hour."""
FOLLOWED_FOR = timedelta(days=3)
"""How long a silent order is asked after. Its bill is accepted later all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoamingStart:
    """A wish to charge at another operator's connector. `qr` is the custom part of the scanned code.

    The same `request_id` is the same wish: it starts once on its link, however often it is expressed.
    """

    connector_id: str
    request_id: str | None = None
    phone: str | None = None
    plate: str | None = None
    limit_yuan: Decimal | None = None
    qr: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What the follow-up does about an order now: `query` or `stop`."""

    action: str


class RoamingOrders:
    """Our drivers' charges elsewhere. Calls the other side; never inside a transaction."""

    def __init__(self, db: Database, clock: Clock, book: LinkBook, clients: Clients) -> None:
        self._db = db
        self._clock = clock
        self._book = book
        self._clients = clients

    def authorise(self, link: Link, connector_id: str) -> int:
        """11.5: 0 = usable and plugged in, else the other side's FailReason. Raises `RoamingFailed`."""
        body = {"EquipAuthSeq": self._sequence(link), "ConnectorID": connector_id}
        answer = ask(self._clients, link, "query_equip_auth", body)
        return 0 if answer["SuccStat"] == 0 else int(answer["FailReason"]) or 1

    def policy(self, link: Link, connector_id: str) -> list[dict[str, Any]]:
        """11.6: the price periods, kept on the mirror's connector. Empty when the pile has none. Raises `RoamingFailed`."""
        body = {"EquipBizSeq": self._sequence(link), "ConnectorID": connector_id}
        answer = ask(self._clients, link, "query_equip_business_policy", body)
        periods: list[dict[str, Any]] = answer["PolicyInfos"] if answer["SuccStat"] == 0 else []
        with self._db.session(link.tenant_id) as session:
            row = find_connector(session, link.id, connector_id)
            if row is not None:
                row.policy, row.policy_at = periods, self._clock.now()
        return periods

    def start(self, link: Link, wish: RoamingStart) -> RoamingOrder:
        """Start a charge; look at the order's state for what came of it. Raises `NotFound` for a connector that the mirror has not."""
        order_id, seq, repeated = self._written(link, wish)
        if repeated:
            return self.get(link.tenant_id, order_id)
        body: dict[str, Any] = {"StartChargeSeq": seq, "ConnectorID": wish.connector_id, "QRCode": wish.qr}
        extras = {"PhoneNum": wish.phone, "PlateNum": wish.plate, "Balance": wish.limit_yuan}
        body |= {name: value for name, value in extras.items() if value is not None}
        try:
            answer: Mapping[str, Any] | None = ask(self._clients, link, "query_start_charge", body)
        except RoamingFailed as failed:
            return self._start_failed(link, seq, failed)
        with self._locked(link, seq) as order:
            _start_answered(order, answer or {}, self._clock.now())
        log.info("roaming_start_answered", link=link.slug, order_id=order_id)
        return self.get(link.tenant_id, order_id)

    def stop(self, tenant_id: str, order_id: str) -> RoamingOrder:
        """Ask the other side to stop. Raises `NotFound`, `Conflict` when the charge is over, `RoamingFailed`."""
        order = self.get(tenant_id, order_id)
        if order.state not in OPEN_STATES:
            raise Conflict(f"订单已结束 / the charge is over: {order.state}")
        self._stop(self._link(order), order)
        return self.get(tenant_id, order_id)

    def query(self, tenant_id: str, order_id: str) -> RoamingOrder:
        """Ask the other side how the charge stands. Raises `NotFound`, `RoamingFailed`."""
        order = self.get(tenant_id, order_id)
        self._query(self._link(order), order)
        return self.get(tenant_id, order_id)

    def get(self, tenant_id: str, name: str) -> RoamingOrder:
        """The tenant's order with this id or sequence. Raises `NotFound`."""
        with self._db.read(tenant_id) as session:
            return find_roaming_order(session, name)

    def follow_up(self, link: Link) -> int:
        """Ask after every silent order of a link; returns how many were asked after. A failing question is tried again later."""
        now = self._clock.now()
        with self._db.read(link.tenant_id) as session:
            query = select(RoamingOrder).where(
                RoamingOrder.link_id == link.id,
                RoamingOrder.state.in_(OPEN_STATES),
                RoamingOrder.created_at > now - FOLLOWED_FOR,
            )
            found = [(order, step) for order in session.scalars(query) if (step := next_step(order, link.timing, now))]
        for order, step in found:
            try:
                if step.action == "stop":
                    self._stop(link, order)
                else:
                    self._query(link, order)
            except RoamingFailed as failed:
                log.warning("roaming_follow_up_failed", link=link.slug, order_id=order.id, problem=str(failed))
        metrics.ROAMING_FOLLOWED.inc(len(found))
        return len(found)

    def _written(self, link: Link, wish: RoamingStart) -> tuple[str, str, bool]:
        """Id and sequence of the order, and whether it was there already."""
        seq, now = self._sequence(link), self._clock.now()
        with self._db.session(link.tenant_id) as session:
            earlier = _of_request(session, link, wish.request_id)
            if earlier is not None:
                return earlier.id, earlier.start_charge_seq, True
            connector = find_connector(session, link.id, wish.connector_id)
            if connector is None:
                raise NotFound(f"roaming connector {wish.connector_id}")
            order = RoamingOrder(
                id=new_id(), tenant_id=link.tenant_id, link_id=link.id, start_charge_seq=seq,
                connector_id=wish.connector_id, request_id=wish.request_id, phone=wish.phone, plate=wish.plate,
                state=RoamingState.ASKED, policy=connector.policy, created_at=now, queries=0, history=[],
            )  # fmt: skip
            note(order, "asked", now, state=RoamingState.ASKED)
            session.add(order)
        return order.id, seq, False

    def _start_failed(self, link: Link, seq: str, failed: RoamingFailed) -> RoamingOrder:
        """Refused for certain, or nobody knows: then the follow-up asks."""
        with self._locked(link, seq) as order:
            refused = not failed.sent or failed.unknown
            happened = Happened.START_REFUSED if refused else Happened.NO_WORD
            if move(order, happened, self._clock.now(), failed.message):
                order.failure = failed.message[:200] if refused else None
            order_id = order.id
        return self.get(link.tenant_id, order_id)

    def _stop(self, link: Link, order: RoamingOrder) -> None:
        with self._locked(link, order.start_charge_seq) as row:
            row.stop_asked_at = self._clock.now()
            note(row, "stop_asked", row.stop_asked_at)
        body = {"StartChargeSeq": order.start_charge_seq, "ConnectorID": order.connector_id}
        answer = ask(self._clients, link, "query_stop_charge", body)
        with self._locked(link, order.start_charge_seq) as row:
            now = self._clock.now()
            if answer["SuccStat"] == 0:
                move(row, Happened.STOP_ACCEPTED, now, "stop answered")
                see_stat(row, answer["StartChargeSeqStat"], now, "stop answered")
            else:
                note(row, "stop_refused", now, f"FailReason {answer['FailReason']}")
                # 3 = "has stopped already" (11.11): the charge is over whatever the state says.
                see_stat(row, 4 if answer["FailReason"] == 3 else answer["StartChargeSeqStat"], now, "stop answered")

    def _query(self, link: Link, order: RoamingOrder) -> None:
        with self._locked(link, order.start_charge_seq) as row:
            row.queried_at, row.queries = self._clock.now(), (row.queries or 0) + 1
        body = {"StartChargeSeq": order.start_charge_seq}
        try:
            answer = ask(self._clients, link, "query_equip_charge_status", body)
        except RoamingFailed as failed:
            if not failed.unknown:
                raise
            answer = {"StartChargeSeqStat": 5}
        with self._locked(link, order.start_charge_seq) as row:
            now = self._clock.now()
            if answer["StartChargeSeqStat"] == 5:
                move(row, Happened.NO_WORD, now, "they do not know it")
            else:
                see_status(row, answer, now, "status query")

    def _locked(self, link: Link, seq: str) -> _LockedOrder:
        return _LockedOrder(self._db, link, seq)

    def _link(self, order: RoamingOrder) -> Link:
        link = self._book.get(order.link_id)
        if link is None:
            raise NotFound(f"link {order.link_id}")
        return link

    def _sequence(self, link: Link) -> str:
        """OperatorID, China time to the second, six random digits: 27 characters (9.2)."""
        return f"{link.our_operator_id}{to_china(self._clock.now()):%y%m%d%H%M%S}{secrets.randbelow(10**6):06d}"


class _LockedOrder:
    """`with locked as order:` — one transaction that holds the order's row."""

    def __init__(self, db: Database, link: Link, seq: str) -> None:
        self._scope = db.session(link.tenant_id)
        self._link_id, self._seq = link.id, seq

    def __enter__(self) -> RoamingOrder:
        order = lock_by_seq(self._scope.__enter__(), self._link_id, self._seq)
        if order is None:
            raise NotFound(f"roaming order {self._seq}")
        return order

    def __exit__(self, *failure: Any) -> None:
        self._scope.__exit__(*failure)


def find_roaming_order(session: HubSession, name: str) -> RoamingOrder:
    """The session's tenant's order with this id or sequence. Raises `NotFound`."""
    wanted = (RoamingOrder.id == name) | (RoamingOrder.start_charge_seq == name)
    found = session.scalars(select(RoamingOrder).where(wanted).order_by(RoamingOrder.id.desc()).limit(1)).one_or_none()
    if found is None:
        raise NotFound(f"roaming order {name}")
    return found


def _of_request(session: HubSession, link: Link, request_id: str | None) -> RoamingOrder | None:
    """The order of an earlier expression of this wish. The link's row is held, so that of two at once one is the first."""
    if request_id is None:
        return None
    session.execute(select(PartnerLink.id).where(PartnerLink.id == link.id).with_for_update())
    query = select(RoamingOrder).where(RoamingOrder.link_id == link.id, RoamingOrder.request_id == request_id)
    return session.scalars(query).one_or_none()


def next_step(order: RoamingOrder, timing: Timing, now: datetime) -> NextStep | None:
    """What a silent order needs now (pure): a question, a stop after a question that found nothing, or patience."""
    if order.state == RoamingState.UNSURE and order.queries and order.stop_asked_at is None:
        return NextStep("stop")
    return NextStep("query") if now >= _silent_until(order, timing) else None


def _silent_until(order: RoamingOrder, timing: Timing) -> datetime:
    """Until when silence is normal. Questions come at the agreed distance, and rarer the longer an order says nothing."""
    if order.state in (RoamingState.CHARGING, RoamingState.STOPPING):
        heard, pause = order.sampled_at or order.started_at or order.created_at, 2 * timing.charge_status_s
    else:
        heard, pause = order.created_at, timing.start_result_s + START_MARGIN_S
    due = heard + timedelta(seconds=pause)
    if order.queried_at is None or order.queried_at < heard:
        return due
    apart = min(timing.status_query_s * 2 ** min(max(order.queries - 1, 0), 10), LONGEST_PAUSE_S)
    return max(due, order.queried_at + timedelta(seconds=apart))


def _start_answered(order: RoamingOrder, answer: Mapping[str, Any], now: datetime) -> None:
    """11.7: SuccStat 0 = taken, its state in StartChargeSeqStat; else refused with FailReason."""
    if answer["SuccStat"] != 0:
        if move(order, Happened.START_REFUSED, now, f"FailReason {answer['FailReason']}"):
            order.failure = f"FailReason {answer['FailReason']}"
        return
    move(order, Happened.START_ACCEPTED, now, "start answered")
    see_stat(order, answer["StartChargeSeqStat"], now, "start answered")
