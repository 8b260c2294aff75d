"""Charges that begin at the pile: who is let in, what he may spend, and that he pays exactly once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.members.catalog import CardSpec, MemberSpec, save_member
from charging_core.members.model import MemberCard
from charging_core.members.service import block_card, require_card
from charging_core.orders.bills import staff
from charging_core.orders.bills.staff import Correction, Staff
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.service import Wish, reserve
from charging_core.orders.starts.facts import Parallel, ShownBy, StartDecision, StartRefusal
from charging_core.orders.starts.funds import top_up
from charging_core.orders.starts.groups import ParallelRequest, start_parallel, sweep_groups
from charging_core.piles.events import TradeRecord
from charging_core.piles.model import TradeRecordRow
from charging_core.piles.ports import CommandKind
from charging_core.piles.store.late_cards import sweep_late_cards
from charging_core.stations.model import Connector, ConnectorState, Station
from charging_core.tariffs.periods import RateClass
from tests.charging_core.members.members_support import (
    NUMBER,
    PHYSICAL,
    PIN,
    SECOND,
    SECOND_PHYSICAL,
    VIN,
    account,
    change,
    enrol,
    note,
)
from tests.charging_core.orders.orders_support import Bench
from tests.charging_core.orders.stand_support import Stand

R = StartRefusal


@pytest.fixture
def stand(db: Database, manual_clock: ManualClock) -> Stand:
    return Stand(Bench(db, manual_clock))


# -- a whole charge


def test_a_card_charges_and_its_account_is_debited_once(stand: Stand) -> None:
    decision = stand.show()
    assert (decision.accepted, decision.card, decision.balance_yuan) == (True, NUMBER, Decimal(100))
    order = stand.order(decision)
    assert (order.state, order.origin, order.limit_yuan, order.member_id) == (
        "starting",
        Origin.CARD,
        Decimal(100),
        stand.member,
    )
    assert stand.commands(CommandKind.START) == []
    stand.bench.tell(stand.bench.sample(order))
    record = stand.bench.record(order)
    for _ in range(2):
        stand.bench.tell(record)
    billed = stand.bench.order(order)
    assert (billed.state, billed.total_fee) == ("settled", Decimal("11.00"))
    assert account(stand.db, stand.tenant) == (
        Decimal(89),
        [("opening", Decimal(100)), ("debit", Decimal(-11))],
    )


def test_a_vehicle_charges_by_its_vin(stand: Stand) -> None:
    order = stand.charging(by=ShownBy.VIN, shown=VIN)
    assert (order.origin, order.vin, order.card) == (Origin.VIN, VIN, None)
    stand.bench.tell(stand.bench.record(order))
    assert account(stand.db, stand.tenant)[0] == 89


def test_a_new_bill_and_a_refund_move_the_difference(stand: Stand) -> None:
    order = stand.charging()
    stand.bench.tell(stand.bench.record(order))
    context, who = stand.bench.context, Staff("token:desk", "电表有误")
    stand.write(
        lambda s: staff.resettle_order(s, context, order.id, who, Correction(energies={RateClass.FLAT: Decimal(8)}))
    )
    assert account(stand.db, stand.tenant)[0] == Decimal("91.20")
    stand.write(lambda s: staff.refund_order(s, context, order.id, who, Decimal("1.20")))
    assert account(stand.db, stand.tenant) == (
        Decimal("92.40"),
        [
            ("opening", Decimal(100)),
            ("debit", Decimal(-11)),
            ("correction", Decimal("2.20")),
            ("refund", Decimal("1.20")),
        ],
    )


def test_an_order_closed_by_hand_is_debited_and_its_late_record_corrects_it(stand: Stand) -> None:
    order = stand.charging()
    who, context = Staff("token:desk", "桩坏了"), stand.bench.context
    stand.write(lambda s: staff.close_order(s, context, order.id, who))
    assert account(stand.db, stand.tenant)[0] == 100
    stand.bench.tell(stand.bench.record(order))
    assert account(stand.db, stand.tenant)[0] == 89


def test_a_charge_that_the_pile_never_begins_fails_and_costs_nothing(stand: Stand) -> None:
    order = stand.order(stand.show())
    stand.bench.pass_time(91)
    assert stand.bench.state(order) == "failed"
    assert account(stand.db, stand.tenant)[0] == 100


def test_a_pile_that_asks_again_gets_the_same_answer(stand: Stand) -> None:
    first = stand.show()
    assert stand.show() == first
    assert stand.orders() == 1
    stand.bench.tell(stand.bench.sample(stand.order(first)))
    assert stand.show().refusal is R.CARD_UNSETTLED


def test_a_pile_that_was_off_line_a_moment_ago_may_ask(stand: Stand) -> None:
    set_connector(stand, state=ConnectorState.OFFLINE)
    assert stand.show().accepted


# -- refusals


def set_connector(stand: Stand, **members: Any) -> None:
    def work(session: Any) -> None:
        row = session.scalars(select(Connector).where(Connector.code == stand.first)).one()
        for name, value in members.items():
            setattr(row, name, value)

    stand.write(work)


def set_capacity(stand: Stand, kilowatts: int) -> None:
    def work(session: Any) -> None:
        session.scalars(select(Station)).one().extra = {"capacity_kw": kilowatts}

    stand.write(work)


def block(stand: Stand) -> None:
    stand.write(lambda session: block_card(session, require_card(session, NUMBER), note("挂失"), blocked=True))


def set_pin(stand: Stand) -> None:
    def work(session: Any) -> None:
        other = session.scalars(select(MemberCard.pin_hash).where(MemberCard.number == SECOND)).one()
        session.scalars(select(MemberCard).where(MemberCard.number == NUMBER)).one().pin_hash = other

    stand.write(work)


FAULTS: dict[StartRefusal, Callable[[Stand], object]] = {
    R.FROZEN: block,
    R.NO_MONEY: lambda stand: change(stand.db, stand.tenant, credit_yuan=Decimal("-99.50")),
    R.CARD_UNSETTLED: lambda stand: stand.charging(connector_code=stand.second),
    R.PILE_DISABLED: lambda stand: set_connector(stand, enabled=False),
    R.NOT_ALLOWED_HERE: lambda stand: change(stand.db, stand.tenant, stations=["S0009"]),
    R.WRONG_PIN: set_pin,
    R.NO_CAPACITY: lambda stand: set_capacity(stand, 119),
    R.PILE_UNSETTLED: lambda stand: stand.bench.started(),
}


@pytest.mark.parametrize("reason", FAULTS, ids=str)
def test_each_reason_refuses_and_makes_no_order(stand: Stand, reason: StartRefusal) -> None:
    FAULTS[reason](stand)
    before = stand.orders()
    decision = stand.show()
    assert (decision.refusal, decision.trade_number) == (reason, None)
    assert stand.orders() == before
    assert account(stand.db, stand.tenant)[0] == 100


def test_strangers_are_refused(stand: Stand) -> None:
    cases: list[tuple[dict[str, Any], StartRefusal]] = [
        ({"shown": "00000000000000FF"}, R.UNKNOWN_ACCOUNT),
        ({"shown": "0000000000000000"}, R.UNKNOWN_ACCOUNT),
        ({"by": ShownBy.OTHER}, R.UNKNOWN_ACCOUNT),
        ({"by": ShownBy.VIN, "shown": "LTEST000000000018"}, R.UNKNOWN_VIN),
        ({"by": ShownBy.VIN, "shown": ""}, R.UNKNOWN_VIN),
        ({"takes_cards": False}, R.NO_CARDS),
        ({"connector_code": "3201060001000199"}, R.PILE_DISABLED),
        ({"connector_code": "9901060001000101"}, R.PILE_DISABLED),
    ]
    for asked, reason in cases:
        assert stand.show(**asked).refusal is reason, asked
    assert stand.orders() == 0


def test_of_several_reasons_the_first_of_the_specification_counts(stand: Stand) -> None:
    """All of them at once; as each is put right, the next one shows."""
    other = stand.charging(connector_code=stand.second, card=PHYSICAL)
    stand.bench.started()
    set_pin(stand)
    set_connector(stand, enabled=False)
    set_capacity(stand, 1)
    change(stand.db, stand.tenant, stations=[], blocked=True, credit_yuan=Decimal(-100))
    seen = [stand.show(takes_cards=False).refusal]
    heal: list[Callable[[], object]] = [
        lambda: change(stand.db, stand.tenant, blocked=False),
        lambda: change(stand.db, stand.tenant, credit_yuan=Decimal(1000)),
        lambda: stand.bench.tell(stand.bench.record(other, connector_no=2)),
        lambda: set_connector(stand, enabled=True),
        lambda: change(stand.db, stand.tenant, stations=None),
        lambda: stand.write(
            lambda s: setattr(s.scalars(select(MemberCard).where(MemberCard.number == NUMBER)).one(), "pin_hash", None)
        ),
        lambda: set_capacity(stand, 1000),
        lambda: stand.bench.pass_time(91),
    ]
    for step in heal:
        step()
        seen.append(stand.show(takes_cards=False).refusal)
    assert seen == [
        R.FROZEN, R.NO_MONEY, R.CARD_UNSETTLED, R.PILE_DISABLED, R.NOT_ALLOWED_HERE, R.WRONG_PIN, R.NO_CAPACITY,
        R.PILE_UNSETTLED, R.NO_CARDS,
    ]  # fmt: skip


def test_a_card_with_a_pin_needs_it(stand: Stand) -> None:
    right = hashlib.md5(PIN.encode())
    for typed in (None, b"", hashlib.md5(b"1").digest(), PIN.encode().ljust(16, b"\0")):
        assert stand.show(SECOND_PHYSICAL, pin=typed).refusal is R.WRONG_PIN
    for typed in (right.hexdigest()[8:24].encode(), right.digest()):  # the second is the first one's repeat
        assert stand.show(SECOND_PHYSICAL, pin=typed).accepted


def test_a_card_without_a_pin_is_not_asked_for_one(stand: Stand) -> None:
    assert stand.show(pin=b"x" * 16).accepted


# -- money


def test_two_cards_of_one_account_cannot_spend_the_same_money(stand: Stand) -> None:
    change(stand.db, stand.tenant, per_charge_yuan=Decimal(70))
    typed = hashlib.md5(PIN.encode()).digest()
    assert stand.show().balance_yuan == 70
    second = stand.show(SECOND_PHYSICAL, connector_code=stand.second, pin=typed)
    assert (second.accepted, second.balance_yuan) == (True, Decimal(30))
    assert stand.show(by=ShownBy.VIN, shown=VIN).refusal is R.NO_MONEY


def test_two_piles_at_the_same_instant_cannot_spend_the_same_money(stand: Stand) -> None:
    ready = threading.Barrier(2)

    def show(by: ShownBy, shown: str, connector: str) -> StartDecision:
        ready.wait()
        return stand.show(by=by, shown=shown, connector_code=connector)

    with ThreadPoolExecutor(2) as threads:
        card = threads.submit(show, ShownBy.CARD, PHYSICAL, stand.first)
        vehicle = threads.submit(show, ShownBy.VIN, VIN, stand.second)
    answers = sorted((str(one.result().refusal), one.result().balance_yuan) for one in (card, vehicle))
    assert answers == [("None", Decimal(100)), ("no_money", Decimal(0))]


def test_a_record_and_a_top_up_at_the_same_instant_both_count(stand: Stand) -> None:
    order = stand.charging()
    ready = threading.Barrier(2)

    def bill() -> None:
        ready.wait()
        stand.bench.tell(stand.bench.record(order))

    def pay() -> None:
        ready.wait()
        stand.write(lambda s: top_up(s, stand.bench.context, stand.member, Decimal(50), note()))

    with ThreadPoolExecutor(2) as threads:
        for work in [threads.submit(bill), threads.submit(pay)]:
            work.result()
    assert account(stand.db, stand.tenant)[0] == 139


def test_credit_lets_a_fleet_charge_below_zero(stand: Stand) -> None:
    change(stand.db, stand.tenant, credit_yuan=Decimal(50))
    assert stand.show().balance_yuan == 150


def test_a_top_up_during_the_charge_raises_its_limit_and_the_pile_is_told(stand: Stand) -> None:
    order = stand.charging()
    for _ in range(2):
        stand.write(lambda s: top_up(s, stand.bench.context, stand.member, Decimal(50), note(reference="pos-1")))
    assert stand.bench.order(order).limit_yuan == 150
    told = stand.commands(CommandKind.BALANCE)
    assert [(c.balance_yuan, c.order_id, c.parameters) for c in told] == [
        (Decimal(150), order.id, {"physical_card": PHYSICAL})
    ]
    stand.bench.tell(stand.bench.record(order))
    assert stand.bench.deliver_commands() == []  # the charge is over: nobody is told any more


def test_a_top_up_without_a_charge_tells_nobody(stand: Stand) -> None:
    stand.write(lambda s: top_up(s, stand.bench.context, stand.member, Decimal(50), note()))
    assert stand.commands(CommandKind.BALANCE) == []
    assert stand.show().balance_yuan == 150


def test_a_charge_ends_before_the_account_is_overdrawn(stand: Stand) -> None:
    order = stand.charging()
    stand.bench.clock.advance(timedelta(hours=1))
    stand.bench.tell(stand.bench.sample(order, "90.7"))  # 0.23 yuan are left
    assert stand.bench.state(order) == "stopping"
    assert stand.bench.deliver_commands() == ["stop"]


def test_a_reserved_connector_is_its_payers_only(stand: Stand) -> None:
    payer = Holder(member_id=stand.member)
    wish = Wish(connector_code=stand.first, desk="app:green", request_id="r-1", minutes=15, payer=payer, asked_by="app")
    stand.write(lambda session: reserve(session, stand.bench.context, wish))
    stand.write(
        lambda s: save_member(
            s, stand.bench.clock, MemberSpec("other", "别人", opening_balance=Decimal(9), vins=("LTEST000000000099",))
        )
    )
    assert stand.show(by=ShownBy.VIN, shown="LTEST000000000099").refusal is R.NOT_ALLOWED_HERE
    assert stand.show().accepted


# -- parallel charging


NUMBER_OF_PILE = "260302080000"


def together(
    stand: Stand, connector: str, *, main: bool = False, number: str = NUMBER_OF_PILE, **more: Any
) -> StartDecision:
    return stand.show(connector_code=connector, parallel=Parallel(number, main), **more)


def test_both_connectors_are_one_charge_of_one_payer(stand: Stand) -> None:
    first, second = together(stand, stand.first, main=True), together(stand, stand.second)
    assert (first.accepted, second.accepted) == (True, True)
    assert (first.balance_yuan, second.balance_yuan) == (Decimal(50), Decimal(50))
    assert together(stand, stand.second) == second
    one, two = stand.order(first), stand.order(second)
    assert one.group_id is not None
    assert (one.group_id, one.group_number) == (two.group_id, two.group_number)
    assert sweep_groups(stand.db, stand.bench.context) == 0


def test_a_refused_second_connector_calls_the_first_off(stand: Stand) -> None:
    first = stand.order(together(stand, stand.first, main=True))
    stranger = together(stand, stand.second, by=ShownBy.VIN, shown=VIN)
    assert stranger.refusal is not None
    assert stand.bench.state(first) == "failed"


def test_another_number_is_another_charge(stand: Stand) -> None:
    together(stand, stand.first, main=True)
    assert together(stand, stand.second, number="260302080001").refusal is R.CARD_UNSETTLED


def test_when_one_fails_the_other_is_stopped(stand: Stand) -> None:
    first, second = stand.order(together(stand, stand.first, main=True)), stand.order(together(stand, stand.second))
    stand.bench.tell(stand.bench.sample(first))
    stand.bench.pass_time(91)
    assert stand.bench.state(second) == "failed"
    assert sweep_groups(stand.db, stand.bench.context) == 1
    assert stand.bench.state(first) == "stopping"
    assert sweep_groups(stand.db, stand.bench.context) == 0


def parallel(stand: Stand, *connectors: str, request: str = "p-1", limit: str | None = "80") -> Any:
    wish = ParallelRequest(
        connectors=connectors or (stand.first, stand.second),
        origin=Origin.APP,
        link_id="app:green",
        request_id=request,
        limit_yuan=None if limit is None else Decimal(limit),
    )
    with stand.db.session(stand.tenant) as session:
        outcome = start_parallel(session, stand.bench.context, wish)
        return outcome.refusal, [order.id for order in outcome.orders], outcome.repeated


def test_a_remote_parallel_start_is_one_command_for_each_connector(stand: Stand) -> None:
    refusal, orders, _ = parallel(stand)
    assert refusal is None
    starts = stand.commands(CommandKind.START)
    assert [(c.connector_no, c.balance_yuan) for c in starts] == [(1, Decimal(40)), (2, Decimal(40))]
    numbers = {c.parameters["parallel_number"] for c in starts}
    assert numbers == {"260302080000"}
    assert parallel(stand) == (None, orders, True)
    assert parallel(stand, stand.second, stand.first)[1] == orders
    assert len(stand.commands(CommandKind.START)) == 2


def test_of_a_remote_parallel_start_all_begin_or_none(stand: Stand) -> None:
    set_connector(stand, state=ConnectorState.FAULT)
    assert parallel(stand, stand.second, stand.first) == ("fault", [], False)
    assert stand.commands(CommandKind.START) == []
    assert stand.orders() == 0


def test_parallel_is_two_connectors_of_one_pile(stand: Stand) -> None:
    for codes in ((stand.first,), (stand.first, stand.first), (stand.first, "3201060001000201")):
        with pytest.raises(Exception, match="connectors"):
            parallel(stand, *codes)


# -- off-line cards


def offline_record(stand: Stand, **more: Any) -> TradeRecord:
    order = ChargeOrder(trade_number=f"{stand.first}{'0' * 15}1")
    record = stand.bench.record(order)
    past = record.received_at - timedelta(hours=3)
    times = {"started_at": past, "ended_at": past + timedelta(hours=1)}
    members: dict[str, Any] = {"trade_flag": 4, "card": PHYSICAL, **times, **more}
    return replace(record, **members)


def parked(stand: Stand) -> list[str]:
    with stand.db.read(stand.tenant) as session:
        return [row.state for row in session.scalars(select(TradeRecordRow))]


def test_an_off_line_charge_of_a_known_card_is_billed_after_the_fact(stand: Stand) -> None:
    running = stand.bench.charging()  # somebody else charges at that connector meanwhile
    block(stand)  # too late: the charge has happened
    record = offline_record(stand)
    for _ in range(2):
        stand.bench.tell(record)
    with stand.db.read(stand.tenant) as session:
        order = session.scalars(select(ChargeOrder).where(ChargeOrder.card == NUMBER)).one()
        # 05:00 to 06:00 in China, as the pile said: nobody else saw it
        assert (order.state, order.started_at, order.ended_at) == ("settled", record.started_at, record.ended_at)
    assert stand.bench.state(running) == "charging"
    balance, moved = account(stand.db, stand.tenant)
    assert [kind for kind, _ in moved] == ["opening", "debit"]
    assert balance == 100 - (order.total_fee or 0)


def test_an_off_line_charge_that_was_seen_running_gets_its_payer_by_its_record(stand: Stand) -> None:
    record = offline_record(stand)
    stand.bench.tell(stand.bench.sample(ChargeOrder(trade_number=record.trade_number), "1"))
    with stand.db.read(stand.tenant) as session:
        seen = session.scalars(select(ChargeOrder)).one()
    assert (seen.state, seen.member_id) == ("charging", None)
    stand.bench.tell(record)
    billed = stand.bench.order(seen)
    assert (billed.state, billed.member_id, billed.card) == ("settled", stand.member, NUMBER)
    assert account(stand.db, stand.tenant)[0] == 100 - (billed.total_fee or 0)


def test_an_off_line_record_of_nobody_is_parked(stand: Stand) -> None:
    strange: list[dict[str, Any]] = [{"card": "00000000000000FF"}, {"card": None}, {"complete": False}]
    for place, more in enumerate(strange):
        stand.bench.tell(offline_record(stand, trade_number=f"{stand.first}{place:016d}", **more))
    assert parked(stand) == ["parked"] * 3
    assert stand.orders() == 0


def test_a_parked_record_is_billed_when_its_card_is_known_by_then(stand: Stand) -> None:
    record = offline_record(stand, card="E14C0A5600000000")
    stand.bench.tell(record)
    assert parked(stand) == ["parked"]
    stand.write(
        lambda s: setattr(
            s.scalars(select(MemberCard).where(MemberCard.number == NUMBER)).one(), "physical", "E14C0A5600000000"
        )
    )
    stand.bench.tell(record)
    assert parked(stand) == ["applied"]
    assert account(stand.db, stand.tenant)[0] < 100


def test_a_card_that_is_declared_later_pays_for_what_was_parked(stand: Stand) -> None:
    stand.bench.tell(offline_record(stand, card="E14C0A5600000000"))
    assert sweep_late_cards(stand.db, stand.bench.context) == 0
    enrol(stand.db, stand.bench.clock, stand.tenant, cards=(CardSpec(NUMBER, "E14C0A5600000000"),))
    assert [sweep_late_cards(stand.db, stand.bench.context) for _ in range(2)] == [1, 0]
    assert parked(stand) == ["applied"]
    assert [kind for kind, _ in account(stand.db, stand.tenant)[1]] == ["opening", "debit"]


def test_a_wrong_clock_does_not_move_an_off_line_charge_into_another_year(stand: Stand) -> None:
    lost = stand.bench.clock.now() - timedelta(days=4000)
    stand.bench.tell(offline_record(stand, started_at=lost, ended_at=lost))
    with stand.db.read(stand.tenant) as session:
        order = session.scalars(select(ChargeOrder)).one()
    assert (order.state, order.started_at) == ("settled", stand.bench.clock.now())
