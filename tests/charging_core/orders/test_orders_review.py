"""What the staff may do to an order: each action needs a reason, leaves a trace, keeps every bill, and tells the difference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.events import DomainEvent
from charging_core.ids import new_id
from charging_core.orders.bills import staff
from charging_core.orders.bills.explain import actions_of
from charging_core.orders.bills.keep import bills_of
from charging_core.orders.bills.model import OrderBill
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OrderState
from charging_core.piles.events import ConnectorStatus
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import RateClass
from tests.charging_core.orders.orders_support import Bench
from tests.support.seed import PERIODS

LI = staff.Staff("li", "电表读数有误 / wrong meter")
Act = Callable[[HubSession], ChargeOrder]


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def settled(bench: Bench, flat: str = "10.0000", **more: object) -> ChargeOrder:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=30))
    bench.tell(bench.record(order, flat, **more))  # type: ignore[arg-type]
    return order


def act(bench: Bench, done: Act) -> None:
    with bench.db.session("green") as session:
        done(session)


def bills(bench: Bench, order: ChargeOrder) -> list[OrderBill]:
    with bench.db.read("green") as session:
        return bills_of(session, order.id)


def traces(bench: Bench, order: ChargeOrder) -> list[tuple[str, str, str, Any, Any]]:
    with bench.db.read("green") as session:
        return [
            (a.action, a.by, a.reason, a.before["total_fee"], a.after["total_fee"])
            for a in actions_of(session, order.id)
        ]


def last_event(bench: Bench) -> DomainEvent:
    with bench.db.read("green") as session:
        return session.scalars(select(DomainEvent).order_by(DomainEvent.id.desc()).limit(1)).one()


def refund(bench: Bench, order: ChargeOrder, amount: str) -> None:
    act(bench, lambda s: staff.refund_order(s, bench.context, order.id, LI, Decimal(amount)))


def resettle(bench: Bench, order: ChargeOrder, **correction: Any) -> None:
    act(bench, lambda s: staff.resettle_order(s, bench.context, order.id, LI, staff.Correction(**correction)))


def test_corrected_energy_is_a_new_version_and_the_difference_is_told(bench: Bench) -> None:
    order = settled(bench, total_amount_yuan=Decimal(20))
    assert bench.order(order).review is not None
    resettle(bench, order, energies={RateClass.FLAT: Decimal("18.5")})
    now = bench.order(order)
    assert (now.total_fee, now.energy_kwh, now.review, now.state) == (
        Decimal("20.35"),
        Decimal("18.5"),
        None,
        "settled",
    )
    first, second = bills(bench, order)
    assert (first.kind, first.total_fee, first.made_by) == ("record", Decimal(11), "platform")
    assert (second.kind, second.total_fee, second.made_by, second.reason) == (
        "resettled",
        Decimal("20.35"),
        "li",
        LI.reason,
    )
    told = last_event(bench)
    assert (told.type, told.snapshot["total_fee"]) == ("order.resettled", Decimal("20.35"))
    assert traces(bench, order) == [("resettle", "li", LI.reason, Decimal(11), Decimal("20.35"))]


def test_another_version_of_the_tariff(bench: Bench) -> None:
    order = settled(bench)
    with bench.db.session("green") as session:
        first = session.scalars(select(TariffVersion)).one()
        rows = [{**row, "elec_price": Decimal("0.5")} for row in PERIODS]
        more = TariffVersion(
            id=new_id(), tariff_id=first.tariff_id, number=2, model_number="0002", valid_from=bench.clock.now(),
            periods=rows, created_at=bench.clock.now(),
        )  # fmt: skip
        session.add(more)
    resettle(bench, order, version=2)
    assert bench.order(order).total_fee == Decimal(9)
    assert [b.tariff_version_id for b in bills(bench, order)] == [bench.seeded.tariff_version_id, more.id]


@pytest.mark.parametrize(
    ("correction", "error"),
    [
        ({}, Conflict),
        ({"version": 7}, InvalidInput),
        ({"energies": {RateClass.DEEP_VALLEY: Decimal(1)}}, InvalidInput),
        ({"energies": {RateClass.FLAT: Decimal(-1)}}, InvalidInput),
        ({"energies": {RateClass.FLAT: Decimal("0.00001")}}, InvalidInput),
    ],
)
def test_a_correction_that_is_none_changes_nothing(
    bench: Bench, correction: dict[str, Any], error: type[Exception]
) -> None:
    order = settled(bench)
    with pytest.raises(error):
        resettle(bench, order, **correction)
    assert bench.order(order).total_fee == Decimal(11)
    assert len(bills(bench, order)) == 1
    assert traces(bench, order) == []


def test_refunds_add_up_never_pass_the_bill_and_outlive_a_new_bill(bench: Bench) -> None:
    order = settled(bench)
    refund(bench, order, "5.00")
    refund(bench, order, "1.50")
    now = bench.order(order)
    assert (now.elec_fee, now.service_fee) == (Decimal("4.50"), Decimal(0))
    assert [b.refund_yuan for b in bills(bench, order)] == [0, Decimal(5), Decimal("6.5")]
    assert sum(d.elec_fee + d.service_fee for d in now.details) == now.total_fee
    assert last_event(bench).type == "order.resettled"
    for amount in ("4.51", "0", "-1", "0.001"):
        with pytest.raises(InvalidInput):
            refund(bench, order, amount)
    resettle(bench, order, energies={RateClass.FLAT: Decimal(20)})
    assert bench.order(order).total_fee == Decimal("15.50")
    resettle(bench, order, energies={RateClass.FLAT: Decimal(1)})
    assert bench.order(order).total_fee == Decimal(0)


def test_a_stuck_charge_is_ended_closed_by_its_samples_and_corrected_by_a_late_record(bench: Bench) -> None:
    order = bench.charging()
    bench.clock.advance(timedelta(minutes=30))
    bench.tell(bench.sample(order, "8"))
    act(bench, lambda s: staff.end_order(s, bench.context, order.id, LI))
    ended = bench.order(order)
    assert (ended.state, ended.review, ended.total_fee) == (OrderState.ABNORMAL, "no trade record", None)
    assert bench.deliver_commands()[-1] == "stop"
    act(bench, lambda s: staff.close_order(s, bench.context, order.id, LI, by_samples=True))
    closed = bench.order(order)
    assert (closed.state, closed.energy_kwh, closed.total_fee, closed.review) == (
        "settled",
        Decimal(8),
        Decimal("8.80"),
        None,
    )
    assert bench.events()[-1] == "order.settled"
    bench.tell(bench.record(order, "9.0000"))
    assert (bench.order(order).total_fee, bench.events()[-1]) == (Decimal("9.90"), "order.resettled")
    assert [b.kind for b in bills(bench, order)] == ["estimate", "record"]
    bench.tell(bench.record(order, "9.5000"))
    assert bench.order(order).total_fee == Decimal("9.90"), "a second record bills nothing"
    assert [trace[0] for trace in traces(bench, order)] == ["end", "close"]


def test_an_open_order_is_closed_for_nothing_in_one_step(bench: Bench) -> None:
    order = bench.charging()
    bench.tell(bench.sample(order, "3"))
    act(bench, lambda s: staff.close_order(s, bench.context, order.id, LI))
    assert (bench.state(order), bench.order(order).total_fee) == ("settled", Decimal(0))
    assert bench.events()[-2:] == ["order.stopped", "order.settled"]
    bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))
    assert bench.start(seq="MA5PARTNR260302080000000002").refusal is None, "the connector is free"


def test_a_start_that_waits_is_withdrawn(bench: Bench) -> None:
    order = bench.started()
    act(bench, lambda s: staff.end_order(s, bench.context, order.id, LI))
    assert (bench.state(order), bench.deliver_commands()) == ("failed", [])
    assert bench.events() == ["order.start_failed"]


def test_what_has_ended_is_not_ended_again(bench: Bench) -> None:
    order = settled(bench)
    for wrong in (staff.end_order, staff.close_order, staff.accept_review):
        with pytest.raises(Conflict):
            act(bench, lambda s, wrong=wrong: wrong(s, bench.context, order.id, LI))  # type: ignore[misc]
    with pytest.raises(NotFound):
        act(bench, lambda s: staff.end_order(s, bench.context, "nothing", LI))
    bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))
    open_order = bench.started(seq="MA5PARTNR260302080000000009")
    with pytest.raises(Conflict):
        refund(bench, open_order, "1")


def test_an_accepted_review_leaves_the_queue_with_who_and_why(bench: Bench) -> None:
    order = settled(bench, total_amount_yuan=Decimal(20))
    act(bench, lambda s: staff.accept_review(s, bench.context, order.id, LI))
    assert bench.order(order).review is None
    assert traces(bench, order) == [("accept", "li", LI.reason, Decimal(11), Decimal(11))]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_needed(reason: str) -> None:
    with pytest.raises(InvalidInput):
        staff.Staff("li", reason)
