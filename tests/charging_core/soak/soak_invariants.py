"""What must hold after the soak, counted on both sides: the hub's tables, and the records as bytes on the wire."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from charging_core.db import HubSession
from charging_core.events import DomainEvent
from charging_core.members.model import Member, MemberMovement
from charging_core.orders.bills.model import BillKind, OrderBill
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.piles.model import APPLIED, CONFLICT, PARKED, TradeRecordRow
from tests.charging_core.soak.soak_run import SoakRun
from tests.charging_core.soak.soak_yard import OPENING

_CENT = Decimal("0.01")
_CLASSES = ("sharp", "peak", "flat", "valley")
_BILLED = ("order.settled", "order.resettled")


def check(run: SoakRun) -> dict[str, Any]:
    """Fails on the first invariant that does not hold; returns the counts for people."""
    with run.yard.db.read(run.yard.seeded.tenant_id) as session:
        orders = session.scalars(select(ChargeOrder).options(selectinload(ChargeOrder.details))).all()
        stuck = [
            (o.trade_number, o.state, str(run.stories.get(str(o.trade_number))))
            for o in orders
            if o.state in OPEN_STATES
        ]
        assert not stuck, f"open at the end: {stuck}"
        by_trade = {str(order.trade_number): order for order in orders}
        assert len(by_trade) == len(orders)
        _both_know(run, by_trade)
        _each_record_once(session, run)
        charged = _money(session, run, by_trade)
        debited = _accounts(session, orders)
        states = Counter(order.state for order in orders)
    counts = {
        "orders": len(orders),
        **dict(states),
        **_both_sides(run),
        "starts tried again": run.refused,
        "closed by staff": run.closed_by_staff,
    }
    return {**counts, "charged yuan": charged, "of it to members": debited}


def _both_know(run: SoakRun, by_trade: dict[str, ChargeOrder]) -> None:
    """Every charge has its order; an order that no pile knows of never got further than its start."""
    unknown = [str(story) for trade, story in run.stories.items() if trade not in by_trade]
    kept = {trade for trade in run.stories if trade in by_trade or trade not in run.yard.books.slips}
    assert len(kept) == len(run.stories), f"charges without an order: {unknown}"
    for trade in by_trade.keys() - run.stories.keys():
        order = by_trade[trade]
        assert order.state == OrderState.FAILED or trade in run.yard.books.slips, f"{trade} is {order.state}"


def _each_record_once(session: HubSession, run: SoakRun) -> None:
    slips = run.yard.books.slips
    rows: dict[str, list[TradeRecordRow]] = defaultdict(list)
    for row in session.scalars(select(TradeRecordRow)):
        rows[row.trade_number].append(row)
    assert set(rows) == set(slips), "every record that was sent is kept, and no other"
    for trade, slip in slips.items():
        about = f"{trade} ({run.stories.get(trade)})"
        states = Counter(row.state for row in rows[trade])
        assert states[APPLIED] == 1, f"{about}: applied {states[APPLIED]} times, {rows[trade][0].problem}"
        assert states[PARKED] == 0, f"{about}: parked"
        assert states[CONFLICT] == len({_billing(body) for body in slip.bodies}) - 1, f"{about}: {states}"
        # a record that leaves just before its link breaks is confirmed by its next sending only
        assert 0 < slip.confirmed <= slip.sent, f"{about}: sent {slip.sent}, confirmed {slip.confirmed}"


def _billing(body: bytes) -> bytes:
    """The part of a record that makes it another one: times, energies, amounts."""
    return body[24:38] + body[38:102] + body[112:124]


def _money(session: HubSession, run: SoakRun, by_trade: dict[str, ChargeOrder]) -> Decimal:
    """Each bill from its own record alone; what payers were told is what the bills say."""
    slips = run.yard.books.slips
    bills: dict[str, list[OrderBill]] = defaultdict(list)
    for bill in session.scalars(select(OrderBill).order_by(OrderBill.number)):
        bills[bill.order_id].append(bill)
    told: dict[str, list[Decimal]] = defaultdict(list)
    for event in session.scalars(select(DomainEvent).where(DomainEvent.type.in_(_BILLED)).order_by(DomainEvent.id)):
        told[event.subject_id].append(Decimal(event.snapshot["total_fee"]))
    total = Decimal(0)
    for trade, order in by_trade.items():
        about = f"{trade} ({run.stories.get(trade)}) is {order.state}"
        slip = slips.get(trade)
        kinds = [bill.kind for bill in bills[order.id]]
        assert len(told[order.id]) == len(kinds), about
        if not kinds:
            assert slip is None or slip.total == 0, f"{about}: recorded and not billed"
            assert order.state in (OrderState.FAILED, OrderState.ABNORMAL), about
            continue
        # by the staff only where no record had come; a record that comes after all makes the last version (P4)
        assert kinds in ([BillKind.RECORD], [BillKind.ESTIMATE], [BillKind.ESTIMATE, BillKind.RECORD]), (
            f"{about}: {kinds}"
        )
        assert (kinds[-1] == BillKind.RECORD) == (slip is not None), f"{about}: {kinds}"
        assert order.state == OrderState.SETTLED, about
        _lines(order, about)
        if slip is not None:
            _classes(order, slip.energies, about)
        fee = order.total_fee
        assert fee is not None
        assert bills[order.id][-1].total_fee == told[order.id][-1] == fee, about
        total += fee
    assert total == sum((one[-1] for one in told.values() if one), Decimal(0)), "charged to payers = bills"
    assert total == sum((one[-1].total_fee for one in bills.values() if one), Decimal(0))
    return total


def _lines(order: ChargeOrder, about: str) -> None:
    """Each line priced and rounded by itself, the total their sum (DECISIONS 12)."""
    for detail in order.details:
        assert detail.elec_fee == _fen(detail.energy_kwh * detail.elec_price), about
        assert detail.service_fee == _fen(detail.energy_kwh * detail.service_price), about
    assert order.total_fee == sum((d.elec_fee + d.service_fee for d in order.details), Decimal(0)), about
    assert order.energy_kwh == sum((d.energy_kwh for d in order.details), Decimal(0)), about


def _classes(order: ChargeOrder, energies: tuple[Decimal, ...], about: str) -> None:
    """Energy of each class as the record says."""
    found = tuple(sum((d.energy_kwh for d in order.details if d.rate_class == name), Decimal(0)) for name in _CLASSES)
    assert found == energies, f"{about}: billed {found}, recorded {energies}"


def _accounts(session: HubSession, orders: Sequence[ChargeOrder]) -> Decimal:
    """What members' orders cost has left their accounts, each order once; nothing else has."""
    taken: dict[str, list[Decimal]] = defaultdict(list)
    for movement in session.scalars(select(MemberMovement).where(MemberMovement.order_id.is_not(None))):
        taken[str(movement.order_id)].append(-movement.amount_yuan)
    for order in orders:
        fee = order.total_fee or Decimal(0)
        expected = fee if order.member_id is not None else 0
        assert sum(taken[order.id]) == expected, f"{order.trade_number} costs {fee}, taken {taken[order.id]}"
    members = session.scalars(select(Member)).all()
    debited = sum((sum(amounts, Decimal(0)) for amounts in taken.values()), Decimal(0))
    assert sum((OPENING - member.balance_yuan for member in members), Decimal(0)) == debited, "accounts = debits"
    return debited


def _both_sides(run: SoakRun) -> dict[str, int]:
    books, counted = run.yard.books, Counter[str]()
    for pile in run.yard.piles:
        counted.update(pile.counters)
    return {
        "records": len(books.slips),
        "records sent": sum(slip.sent for slip in books.slips.values()),
        "records dropped by piles": counted["records_dropped"],
        "logins": counted["logins"],
        "frames up": books.frames["up"],
        "frames down": books.frames["down"],
        "simulated steps of 10 s": run.yard.steps,
    }


def _fen(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
