"""Our daily statement to a partner (T/CEC 102.3 check_charge_orders; `specs/tcec102.md` 11.14, 13): once per link and day, a delivery.

Which orders: those that the partner started and that are settled, whose end (or start, by profile) lies in the day, and late ones that no
statement has had yet: a pile that was offline uploads its bills days afterwards. Figures are those of the bills as the partner saw them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.clock import CHINA, Clock, to_china
from charging_core.db import Database, HubSession
from charging_core.errors import InvalidInput
from charging_core.ids import new_id
from charging_core.money import ZERO, quantize
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OrderState
from partners import metrics
from partners.links import Link, LinkBook
from partners.model import PartnerLink
from partners.profiles.profile import resolve_type
from partners.profiles.schema import DailyStatement
from partners.reconcile.disputes import KIND
from partners.reconcile.model import PartnerStatement, StatementLine, StatementState
from worker.api import Destination, PlannedDelivery
from worker.planning import enqueue

log = structlog.get_logger()

INTERFACE = "check_charge_orders"
OUT = "out"
SWEEP_S = 60.0
"""How exactly the hour of the statement is kept; partners agree on an hour, not on a second."""
CATCH_UP_DAYS = 7
"""Days that are made up for after a standstill; whoever was away longer asks with `hub reconcile send`."""
LATE_DAYS = 31
"""How late a bill may come and still find its way into a statement by itself."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of account in China time: 00:00:00 to 23:59:59."""

    day: date

    @property
    def starts_at(self) -> datetime:
        """Its first second."""
        return datetime.combine(self.day, time(), CHINA)

    @property
    def ends_at(self) -> datetime:
        """Its last second, as the statement shows it."""
        return self.next_at - timedelta(seconds=1)

    @property
    def next_at(self) -> datetime:
        """The first instant after it."""
        return self.starts_at + timedelta(days=1)

    def check_seq(self, operator_id: str) -> str:
        """OperatorID, ten zeros, the date: 27 characters, the same whenever the day is stated (9.2)."""
        return f"{operator_id}{'0' * 10}{self.day:%Y%m%d}"


class StatementSweep:
    """Makes the statements that are due on all links. Safe to run twice: a day is stated once per link."""

    def __init__(self, db: Database, clock: Clock, book: LinkBook) -> None:
        self._db = db
        self._clock = clock
        self._book = book

    def run(self, tick: datetime) -> int:
        """Make what is due now; returns how many statements were planned. `tick` only says when to look."""
        del tick
        with self._db.read_system("partner statements") as session:
            wanted = list(self._due(session))
        return sum(self._make(link, day) for link, day in wanted)

    def _due(self, session: HubSession) -> Iterator[tuple[Link, Day]]:
        now = self._clock.now()
        links = {link.id: link for link in self._book.enabled() if states_daily(link)}
        query = select(PartnerStatement.link_id, PartnerStatement.check_seq).where(
            PartnerStatement.direction == OUT,
            PartnerStatement.link_id.in_(links),
            PartnerStatement.starts_at >= now - timedelta(days=CATCH_UP_DAYS + 2),
        )
        made = {(row.link_id, row.check_seq) for row in session.execute(query)}
        for link in links.values():
            for day in due_days(habit(link), link.created_at or now, now):
                if (link.id, day.check_seq(link.our_operator_id)) not in made:
                    yield link, day

    def _make(self, link: Link, day: Day) -> int:
        try:
            with self._db.session(link.tenant_id) as session:
                return 0 if state_day(session, self._clock, link, day) is None else 1
        except Exception:  # the edge of the loop: one link's statement must not keep back the others
            metrics.STATEMENT_FAILURES.inc()
            log.exception("partner_statement_not_made", link=link.slug, day=str(day.day))
            return 0


def states_daily(link: Link) -> bool:
    """Whether this link gets our statement every day."""
    known = INTERFACE in link.profile.names and link.profile.interface(INTERFACE).spec.direction == "push"
    return link.role.sells and link.outbound is not None and known and habit(link).direction == "we_send"


def habit(link: Link) -> DailyStatement:
    """How the profile wants it."""
    return link.profile.spec.reconcile.check_charge_orders


def due_days(wanted: DailyStatement, linked_at: datetime, now: datetime) -> list[Day]:
    """The days whose statement may be sent by now, oldest first: whole days since the link exists, a week at most (pure)."""
    opening = time.fromisoformat(wanted.at)
    today, first = to_china(now), to_china(linked_at).date()
    last = today.date() - timedelta(days=1 if today.time() >= opening else 2)
    days = [last - timedelta(days=back) for back in range(CATCH_UP_DAYS)]
    return [Day(day) for day in reversed(days) if day >= first]


def state_day(session: HubSession, clock: Clock, link: Link, day: Day) -> PartnerStatement | None:
    """Make and enqueue the statement of one day; None when it exists, or is empty and the profile sends no empty ones.

    Raises `InvalidInput` for a day that is not over: what ends later in it would only be in the next day's statement.
    """
    if clock.now() < day.next_at:
        raise InvalidInput("day", "这一天尚未结束 / this day is not over")
    # The link's row is held, so that two who make the same day wait for each other.
    session.execute(select(PartnerLink.id).where(PartnerLink.id == link.id).with_for_update())
    seq = day.check_seq(link.our_operator_id)
    if find_statement(session, link.id, OUT, seq) is not None:
        return None
    orders = orders_to_state(session, link, day)
    if not orders and not habit(link).send_empty:
        return None
    lines = [_line(link, order) for order in orders]
    now = clock.now()
    statement = PartnerStatement(
        id=new_id(),
        tenant_id=link.tenant_id,
        link_id=link.id,
        direction=OUT,
        check_seq=seq,
        starts_at=day.starts_at,
        ends_at=day.ends_at,
        order_count=len(lines),
        energy_kwh=sum((line.energy_kwh for line in lines), ZERO),
        total_yuan=sum((line.total_yuan for line in lines), ZERO),
        state=StatementState.PLANNED,
        answer={},
        created_at=now,
    )
    session.add(statement)
    session.flush()
    for line in lines:
        line.statement_id = statement.id
    session.add_all(lines)
    enqueue(session, [plan_statement(link, statement, lines)], clock, link.tenant_id)
    return statement


def orders_to_state(session: HubSession, link: Link, day: Day) -> list[ChargeOrder]:
    """The link's settled orders of the day, and older ones that are in no statement yet, oldest first."""
    when = ChargeOrder.ended_at if habit(link).by == "end" else ChargeOrder.started_at
    stated = select(StatementLine.start_charge_seq).where(
        StatementLine.link_id == link.id,
        StatementLine.direction == OUT,
        StatementLine.start_charge_seq == ChargeOrder.start_charge_seq,
    )
    query = select(ChargeOrder).where(
        ChargeOrder.link_id == link.id,
        ChargeOrder.start_charge_seq.is_not(None),
        ChargeOrder.state == OrderState.SETTLED,
        ChargeOrder.created_at >= day.starts_at - timedelta(days=LATE_DAYS),
        when < day.next_at,
        ~stated.exists(),
    )
    return list(session.scalars(query.order_by(when, ChargeOrder.id)))


def plan_statement(link: Link, statement: PartnerStatement, lines: Sequence[StatementLine]) -> PlannedDelivery:
    """The delivery of a statement."""
    items = [
        {"start_charge_seq": line.start_charge_seq, "energy_kwh": line.energy_kwh, "total_fee": line.total_yuan}
        for line in lines
    ]
    facts: dict[str, Any] = {name: getattr(statement, name) for name in ("check_seq", "starts_at", "ends_at")}
    facts |= {"energy_kwh": statement.energy_kwh, "total_fee": statement.total_yuan, "orders": items}
    return PlannedDelivery(
        destination=Destination(KIND, link.id),
        interface=INTERFACE,
        object_key=statement.id,
        object_version=1,
        policy=link.policy(INTERFACE),
        snapshot={"statement": facts},
    )


def find_statement(session: HubSession, link_id: str, direction: str, check_seq: str) -> PartnerStatement | None:
    """The statement with this sequence."""
    query = select(PartnerStatement).where(
        PartnerStatement.link_id == link_id,
        PartnerStatement.direction == direction,
        PartnerStatement.check_seq == check_seq,
    )
    return session.scalars(query).one_or_none()


def lines_of(session: HubSession, statement_id: str) -> list[StatementLine]:
    """The lines of a statement by sequence."""
    query = select(StatementLine).where(StatementLine.statement_id == statement_id)
    return list(session.scalars(query.order_by(StatementLine.start_charge_seq)))


def _line(link: Link, order: ChargeOrder) -> StatementLine:
    """Energy with the decimals that the partner's bill had: the sum must be the sum of what is shown."""
    _, places = resolve_type("energy", link.profile.spec.numbers)
    return StatementLine(
        tenant_id=link.tenant_id,
        start_charge_seq=order.start_charge_seq,
        link_id=link.id,
        direction=OUT,
        order_id=order.id,
        energy_kwh=quantize(order.energy_kwh or ZERO, places),
        total_yuan=order.total_fee or Decimal(0),
        finding="ok",
    )
