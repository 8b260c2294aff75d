"""Records under a number of nobody: matched to the order that waits for one, parked for people, attached by hand."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict, NotFound
from charging_core.events import DomainEvent
from charging_core.orders.bills.explain import actions_of
from charging_core.orders.bills.keep import bills_of
from charging_core.orders.bills.staff import Staff
from charging_core.orders.model import ChargeOrder
from charging_core.orders.starts.facts import ShownBy, StartAsked
from charging_core.orders.state import OrderState
from charging_core.piles.events import ConnectorStatus, TradeRecord
from charging_core.piles.model import TradeRecordRow
from charging_core.piles.store.late_cards import sweep_late_cards
from charging_core.piles.store.parked import attach_record, dismiss_record, sweep_parked
from charging_core.piles.store.records import SECOND
from charging_core.piles.store.starts import TableStartDesk
from tests.charging_core.members.members_support import PHYSICAL, enrol
from tests.charging_core.orders.orders_support import Bench

UNKNOWN = "32010600010001012603020900000007"
EVA = Staff("cli:eva", "the driver has a photo")


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def ended(bench: Bench, **more: object) -> ChargeOrder:
    """A charge of twenty minutes that ended and waits for its record."""
    order = bench.charging(**more)
    bench.clock.advance(timedelta(minutes=20))
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    return order


def foreign(bench: Bench, order: ChargeOrder, **more: object) -> TradeRecord:
    return bench.record(order, trade_number=UNKNOWN, **more)  # type: ignore[arg-type]


def rows(bench: Bench) -> list[TradeRecordRow]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return list(session.scalars(select(TradeRecordRow).order_by(TradeRecordRow.id)))


def attach(bench: Bench, row: TradeRecordRow, order: ChargeOrder) -> None:
    with bench.db.session(bench.seeded.tenant_id) as session:
        attach_record(session, bench.context, row.id, order.id, EVA)


def test_a_record_of_the_same_time_bills_the_only_order_that_waits_and_is_looked_at(bench: Bench) -> None:
    order = ended(bench)
    bench.tell(foreign(bench, order))
    done = bench.order(order)
    assert (done.state, done.review) == ("settled", "its record came under another number: time fits")
    assert [(row.state, row.matched_by, row.order_id) for row in rows(bench)] == [("applied", "time", order.id)]
    bench.tell(foreign(bench, order))
    assert [row.seen for row in rows(bench)] == [2]


def test_the_vin_tells_more_than_a_clock_that_is_off(bench: Bench) -> None:
    order = ended(bench, vin="LTEST000000000017")
    wrong = bench.clock.now() - timedelta(hours=9)
    bench.tell(foreign(bench, order, started_at=wrong, ended_at=wrong + timedelta(minutes=20)))
    assert (bench.state(order), rows(bench)[0].matched_by) == ("settled", "vin")


def test_the_card_tells_whose_record_it_is(bench: Bench) -> None:
    enrol(bench.db, bench.clock, bench.seeded.tenant_id)
    desk = TableStartDesk(bench.db, bench.context)
    number = desk.decide(StartAsked(bench.connector, ShownBy.CARD, PHYSICAL)).trade_number
    with bench.db.read(bench.seeded.tenant_id) as session:
        order = session.scalars(select(ChargeOrder).where(ChargeOrder.trade_number == number)).one()
    bench.tell(bench.sample(order))
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    wrong = bench.clock.now() - timedelta(hours=9)
    bench.tell(foreign(bench, order, card=PHYSICAL, started_at=wrong, ended_at=wrong + timedelta(minutes=20)))
    assert (bench.state(order), rows(bench)[0].matched_by) == ("settled", "card")


def test_another_vehicle_or_another_time_is_another_charge(bench: Bench) -> None:
    order = ended(bench, vin="LOTHER00000000017")
    bench.tell(foreign(bench, order))
    assert (rows(bench)[0].state, bench.state(order)) == ("parked", OrderState.ENDED_NO_RECORD)


def test_a_record_that_fits_two_orders_is_left_to_people(bench: Bench) -> None:
    first = ended(bench)
    bench.pass_time(31)
    with bench.db.session(bench.seeded.tenant_id) as session:
        twin = session.get_one(ChargeOrder, first.id)
        columns = {c.key: getattr(twin, c.key) for c in ChargeOrder.__table__.columns}
        session.add(ChargeOrder(**columns | {"id": "0" * 26, "start_charge_seq": "TWIN", "trade_number": "TWIN"}))
    bench.tell(foreign(bench, first))
    assert (rows(bench)[0].state, bench.state(first)) == ("parked", OrderState.ABNORMAL)


def test_an_empty_record_of_nobody_ends_nothing(bench: Bench) -> None:
    order = ended(bench)
    bench.tell(foreign(bench, order, flat="0"))
    assert (rows(bench)[0].state, bench.state(order)) == ("parked", OrderState.ENDED_NO_RECORD)


def test_a_record_that_came_while_its_order_still_charged_is_found_when_that_has_ended(bench: Bench) -> None:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=20))
    record = foreign(bench, order)
    bench.tell(record)
    assert (rows(bench)[0].state, sweep_parked(bench.db, bench.context)) == ("parked", 0)
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    assert sweep_parked(bench.db, bench.context) == 1
    assert (bench.state(order), rows(bench)[0].state, rows(bench)[0].problem) == ("settled", "applied", None)
    bench.tell(record)
    assert [(row.state, row.seen) for row in rows(bench)] == [("applied", 2)]
    assert sweep_parked(bench.db, bench.context) == 0


def test_a_dismissed_record_bills_nobody_however_often_it_comes(bench: Bench) -> None:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=20))
    record = foreign(bench, order)
    bench.tell(record)
    with bench.db.session(bench.seeded.tenant_id) as session:
        dismiss_record(session, bench.context, rows(bench)[0].id, EVA)
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    assert sweep_parked(bench.db, bench.context) == 0
    bench.tell(record)
    assert [(row.state, row.seen, row.problem) for row in rows(bench)] == [
        ("dismissed", 2, "cli:eva: the driver has a photo")
    ]
    assert bench.state(order) == OrderState.ENDED_NO_RECORD
    with bench.db.read(bench.seeded.tenant_id) as session:
        (told,) = session.scalars(select(DomainEvent).where(DomainEvent.type == "trade_record.dismissed")).all()
    assert (told.snapshot["by"], told.snapshot["trade_number"]) == ("cli:eva", UNKNOWN)


def test_a_better_record_takes_the_place_of_a_dismissed_one_and_a_dismissed_one_can_be_attached(bench: Bench) -> None:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=20))
    bench.tell(foreign(bench, order, flat="0"))
    with bench.db.session(bench.seeded.tenant_id) as session:
        dismiss_record(session, bench.context, rows(bench)[0].id, EVA)
    bench.tell(foreign(bench, order))
    first, better = rows(bench)
    assert (first.state, better.state) == ("conflict", "parked")
    with bench.db.session(bench.seeded.tenant_id) as session:
        dismiss_record(session, bench.context, better.id, EVA)
    bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
    attach(bench, better, order)
    assert (bench.state(order), rows(bench)[1].state) == ("settled", "applied")


def test_only_what_is_parked_can_be_dismissed(bench: Bench) -> None:
    order = ended(bench)
    bench.tell(bench.record(order))
    with bench.db.session(bench.seeded.tenant_id) as session:
        with pytest.raises(Conflict, match="applied, not parked"):
            dismiss_record(session, bench.context, rows(bench)[0].id, EVA)
        with pytest.raises(NotFound):
            dismiss_record(session, bench.context, "nothing", EVA)


def test_a_repeat_of_an_attached_off_line_record_makes_no_second_order(bench: Bench) -> None:
    order = ended(bench, vin="LOTHER00000000017")
    record = foreign(bench, order, trade_flag=4, card=PHYSICAL)
    bench.tell(record)
    attach(bench, rows(bench)[0], order)
    enrol(bench.db, bench.clock, bench.seeded.tenant_id)  # by now its card is somebody's
    bench.tell(record)
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert session.scalars(select(ChargeOrder.id)).all() == [order.id]
    assert [(row.state, row.seen) for row in rows(bench)] == [("applied", 2)]


def test_when_the_true_record_comes_after_a_matched_one_people_decide(bench: Bench) -> None:
    order = ended(bench)
    bench.tell(foreign(bench, order))
    bench.tell(bench.record(order, "12.0000"))
    assert [(row.state, row.order_id) for row in rows(bench)] == [("applied", order.id), ("parked", order.id)]
    assert rows(bench)[1].problem == SECOND
    done = bench.order(order)
    assert (done.energy_kwh, done.review) == (Decimal(10), "its record came under another number: time fits")


def test_a_person_attaches_a_record_and_the_order_remembers_who_and_why(bench: Bench) -> None:
    order = ended(bench, vin="LOTHER00000000017")
    bench.tell(foreign(bench, order))
    attach(bench, rows(bench)[0], order)
    assert (bench.state(order), bench.events()[-1]) == ("settled", "order.settled")
    row = rows(bench)[0]
    assert (row.state, row.matched_by, row.order_id) == ("applied", "staff", order.id)
    with bench.db.read(bench.seeded.tenant_id) as session:
        bill, action = bills_of(session, order.id)[0], actions_of(session, order.id)[0]
    assert (bill.kind, bill.made_by, bill.reason) == ("record", EVA.by, EVA.reason)
    assert (action.action, action.by, action.before["state"], action.after["state"]) == (
        "attach", EVA.by, "ended_no_record", "settled",
    )  # fmt: skip


def test_a_record_is_attached_once_and_to_an_order_that_has_none(bench: Bench) -> None:
    order = ended(bench)
    bench.tell(bench.record(order))
    bench.tell(foreign(bench, order))
    applied, parked = rows(bench)
    for row, words in ((applied, "not parked"), (parked, "has a record")):
        with pytest.raises(Conflict, match=words):
            attach(bench, row, order)
    with pytest.raises(NotFound):
        attach(bench, TradeRecordRow(id="0" * 26), order)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"complete": False, "rates": (), "total_energy_kwh": None}, "shorter than published"),
        ({"flat": "0"}, "holds no energy"),
    ],
)
def test_a_record_that_tells_nothing_bills_nobody_whoever_wants_it(
    bench: Bench, more: dict[str, object], words: str
) -> None:
    order = ended(bench)
    bench.tell(foreign(bench, order, **more))
    with pytest.raises(Conflict, match=words):
        attach(bench, rows(bench)[0], order)


def test_a_record_that_a_person_attaches_while_a_sweep_looks_at_it_is_billed_once(bench: Bench) -> None:
    """Its card has just been declared, so the sweep wants an order of its own for it; one of the two comes too late."""
    order = ended(bench, vin="LOTHER00000000017")
    bench.tell(foreign(bench, order, card=PHYSICAL, trade_flag=4))
    (row,) = rows(bench)
    assert row.state == "parked"
    enrol(bench.db, bench.clock, bench.seeded.tenant_id)
    ready = threading.Barrier(2)

    def by_hand() -> int:
        ready.wait()
        try:
            attach(bench, row, order)
        except Conflict:
            return 0
        return 1

    def by_sweep() -> int:
        ready.wait()
        return sweep_late_cards(bench.db, bench.context)

    with ThreadPoolExecutor(2) as threads:
        done = [future.result() for future in (threads.submit(by_hand), threads.submit(by_sweep))]
    assert sum(done) == 1
    with bench.db.read(bench.seeded.tenant_id) as session:
        assert len(session.scalars(select(ChargeOrder.id).where(ChargeOrder.state == OrderState.SETTLED)).all()) == 1
