"""Accounts compared: our daily statement and what partners say to it, contested orders until they are closed, and statements sent to us."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import CHINA
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.events import record_event
from charging_core.orders.snapshot import order_snapshot
from charging_core.tariffs.periods import RateClass
from partners.fake.faults import Fault
from partners.fake.platform import Judgement
from partners.profiles.schema import DailyStatement
from partners.reconcile import disputes
from partners.reconcile.judging import answer_problems
from partners.reconcile.model import DisputeState, PartnerDispute, PartnerStatement, StatementLine
from partners.reconcile.statements import Day, StatementSweep, due_days, lines_of, state_day
from tests.partners.business.conftest import World
from tests.partners.business.foreign import Abroad, abroad
from worker import repair
from worker.api import State

STATEMENT = "check_charge_orders"
BILL = "notification_charge_order_info"


def sweep(world: World) -> int:
    return StatementSweep(world.db, world.clock, world.room.book).run(world.clock.now())


def next_morning(world: World) -> None:
    """02:00 China time of the next day."""
    world.clock.set(datetime.combine(world.clock.now().astimezone(CHINA).date() + timedelta(days=1), datetime.min.time(), CHINA)
                    + timedelta(hours=2))  # fmt: skip


def fault(world: World, kind: str, interface: str, value: Any = None, times: int | None = 1) -> None:
    world.fake.faults.replace([Fault(kind=kind, interface=interface, times=times, value=value)])


def the_dispute(world: World) -> PartnerDispute:
    with world.db.read(world.tenant) as session:
        return session.query(PartnerDispute).one()


def the_statement(world: World) -> tuple[PartnerStatement, list[StatementLine]]:
    with world.db.read(world.tenant) as session:
        found = session.query(PartnerStatement).one()
        return found, lines_of(session, found.id)


# ------------------------------------------------------------------------------------------------------------ which days


@pytest.mark.parametrize(
    ("now", "linked", "expected"),
    [
        ("2026-03-10T01:29:00+08:00", "2026-03-08T12:00:00+08:00", [8]),
        ("2026-03-10T01:30:00+08:00", "2026-03-08T12:00:00+08:00", [8, 9]),
        ("2026-03-10T01:30:00+08:00", "2026-03-10T00:10:00+08:00", []),
        ("2026-03-20T12:00:00+08:00", "2026-01-01T00:00:00+08:00", [13, 14, 15, 16, 17, 18, 19]),
    ],
)
def test_days_that_are_due(now: str, linked: str, expected: list[int]) -> None:
    days = due_days(DailyStatement(), datetime.fromisoformat(linked), datetime.fromisoformat(now))
    assert [one.day.day for one in days] == expected


def test_a_day_is_a_day_in_china() -> None:
    day = Day(date(2026, 3, 2))
    assert day.starts_at.astimezone(UTC) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert day.check_seq("MA5TEST01") == "MA5TEST01000000000020260302"


# ------------------------------------------------------------------------------------------------------------ our statement


def test_the_statement_of_a_day_agrees_with_the_bills(world: World) -> None:
    world.link()
    seq = world.play()
    world.deliver()
    next_morning(world)
    assert (sweep(world), sweep(world)) == (1, 0)
    world.deliver()
    (sent,) = world.received(STATEMENT)
    assert sent == {
        "CheckOrderSeq": "MA5TEST01000000000020260302",
        "StartTime": "2026-03-02 00:00:00",
        "EndTime": "2026-03-02 23:59:59",
        "OrderCount": 1,
        "TotalOrderPower": Decimal("30.5000"),
        "TotalOrderMoney": Decimal("33.55"),
        "ChargeOrders": [{"StartChargeSeq": seq, "TotalPower": Decimal("30.50"), "TotalMoney": Decimal("33.55")}],
    }
    statement, lines = the_statement(world)
    assert (statement.state, statement.dispute_count, [line.finding for line in lines]) == ("answered", 0, ["ok"])
    assert world.fake.summary()["violations"] == []


def test_an_empty_day_is_stated_unless_the_profile_says_no(world: World, tmp_path: Any) -> None:
    path = tmp_path / "quiet.yaml"
    head = "{id: quiet, version: '1', display_name: {zh: 静, en: quiet}, status: partial, extends: textbook, "
    path.write_text(head + "reconcile: {check_charge_orders: {send_empty: false}}}", "utf-8")
    world.link(profile=str(path))
    next_morning(world)
    assert sweep(world) == 0
    world.link()
    assert sweep(world) == 1
    world.deliver()
    assert [body["OrderCount"] for body in world.received(STATEMENT)] == [0]


def test_a_bill_that_comes_late_goes_into_the_next_statement_once(world: World) -> None:
    world.link()
    seq = world.begin()
    world.clock.advance(timedelta(seconds=10))
    world.reading(seq)
    next_morning(world)
    sweep(world)
    world.record(seq, {RateClass.FLAT: "5.0000"})  # the pile was offline: settled after its day was stated
    next_morning(world)
    sweep(world)
    next_morning(world)
    sweep(world)
    world.deliver()
    stated = [[item["StartChargeSeq"] for item in body["ChargeOrders"]] for body in world.received(STATEMENT)]
    assert stated == [[], [seq], []]


def test_days_are_made_up_for_after_a_standstill(world: World) -> None:
    world.link()
    world.play()
    world.clock.advance(timedelta(days=3))
    assert sweep(world) == 3
    world.deliver()
    assert [body["OrderCount"] for body in world.received(STATEMENT)] == [1, 0, 0]


def test_only_links_on_which_we_sell_get_one(world: World) -> None:
    with abroad(world):
        next_morning(world)
        assert sweep(world) == 0


def test_a_statement_that_cannot_be_delivered_is_marked(world: World) -> None:
    world.link()
    next_morning(world)
    sweep(world)
    fault(world, "ret", STATEMENT, 4004)
    world.deliver()
    statement, _ = the_statement(world)
    assert statement.state == "failed"


def test_a_lost_answer_is_asked_again_with_the_same_sequence(world: World) -> None:
    world.link()
    world.play()
    world.deliver()
    next_morning(world)
    sweep(world)
    fault(world, "close_after", STATEMENT)
    world.deliver()
    world.clock.advance(timedelta(minutes=2))
    world.deliver()
    first, second = world.received(STATEMENT)
    assert first == second
    assert the_statement(world)[0].state == "answered"


# ------------------------------------------------------------------------------------------------------------ what they dispute


def disputed_statement(world: World, **changes: str) -> str:
    """A settled order that the partner books otherwise, and its statement; returns the sequence."""
    world.link()
    seq = world.play()
    world.deliver()
    with world.fake.books_lock:
        page = world.fake.books.pages[seq]
        page.order = (
            None if changes.get("gone") else {**(page.order or {}), **{k: Decimal(v) for k, v in changes.items()}}
        )
    next_morning(world)
    sweep(world)
    world.deliver()
    return seq


@pytest.mark.parametrize(
    ("changes", "code", "finding", "judgement"),
    [
        ({"TotalMoney": "30.00"}, 2, "money", "confirmed_before"),
        ({"TotalPower": "30.00"}, 3, "energy", "confirmed_before"),
        ({"TotalMoney": "33.54"}, 2, "money", "rounding"),
        ({"gone": "yes"}, 1, "unknown", "confirmed_before"),
    ],
)
def test_their_differences_become_judged_cases(
    world: World, changes: dict[str, str], code: int, finding: str, judgement: str
) -> None:
    seq = disputed_statement(world, **changes)
    case = the_dispute(world)
    assert (case.start_charge_seq, case.reason_code, case.judgement, case.state) == (seq, code, judgement, "open")
    statement, (line,) = the_statement(world)
    assert (statement.dispute_count, line.finding) == (1, finding)
    assert statement.answer["problems"] == []


def test_an_order_whose_bill_was_never_accepted_is_judged_so(world: World) -> None:
    world.link()
    seq = world.play()
    fault(world, "ret", BILL, 4004)
    world.deliver()
    next_morning(world)
    sweep(world)
    world.deliver()
    assert the_dispute(world).judgement == "bill_not_accepted"
    with world.db.session(world.tenant) as session:
        disputes.repush(session, world.clock, the_dispute(world).id, "tester")
    world.deliver()
    assert [body["StartChargeSeq"] for body in world.received(BILL)][-1] == seq
    case = the_dispute(world)
    assert (case.state, [entry["what"] for entry in case.history]) == (
        "accepted",
        ["contested_in_statement", "repushed", "accepted"],
    )


def test_an_answer_that_contradicts_itself_is_noted() -> None:
    item = {"StartChargeSeq": "x", "TotalPower": Decimal("1.00"), "TotalMoney": Decimal("2.00"), "DisputeReason": 2}
    answer = {"TotalDisputeOrder": 2, "TotalDisputePower": Decimal("1.0000"), "TotalDisputeMoney": Decimal("2.00")}
    assert [problem.split()[0] for problem in answer_problems(answer | {"DisputeOrders": [item]})] == [
        "TotalDisputeOrder"
    ]


# ------------------------------------------------------------------------------------------------------------ the workflow


def contested_bill(world: World) -> str:
    world.link()
    seq = world.play()
    fault(world, "confirm_result", BILL, 1)
    world.deliver()
    return seq


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ({"TotalPower": Decimal("30.123456")}, ("30.1235", 2)),
        ({"TotalPower": Decimal("1E+15")}, ("100000000.0000", 2)),
        ({"DisputeReason": 10**12}, ("30.5000", None)),
    ],
)
def test_a_difference_in_absurd_figures_is_a_case_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, item: dict[str, Any], kept: tuple[str, int | None]
) -> None:
    world.link()
    seq = world.play()
    world.deliver()
    right = world.fake.books.reconcile
    contested = {"StartChargeSeq": seq, "TotalPower": Decimal("30.5"), "TotalMoney": Decimal(1), "DisputeReason": 2}
    sums = {"TotalDisputeOrder": 1, "TotalDisputePower": Decimal(0), "TotalDisputeMoney": Decimal(0)}

    def lying(body: dict[str, Any]) -> Judgement:
        return Judgement((right(body).data or {}) | sums | {"DisputeOrders": [contested | item]})

    monkeypatch.setattr(world.fake.books, "reconcile", lying)
    world.clock.advance(timedelta(days=1))
    assert StatementSweep(world.db, world.clock, world.room.book).run(world.clock.now()) == 1
    world.deliver()
    with world.db.read(world.tenant) as session:
        (case,) = session.query(PartnerDispute).all()
        (statement,) = session.query(PartnerStatement).all()
    assert (case.their_kwh, case.reason_code) == kept
    assert (statement.state, len(statement.answer["problems"])) == ("answered", 2)


def test_explained_then_pushed_again_and_accepted(world: World) -> None:
    seq = contested_bill(world)
    case = the_dispute(world)
    assert (case.source, case.state) == ("bill", "open")
    with world.db.session(world.tenant) as session:
        disputes.explain(session, world.clock, case.id, "电量以电表为准", "li")
        disputes.repush(session, world.clock, case.id, "li")
        with pytest.raises(Conflict):
            disputes.repush(session, world.clock, case.id, "li")  # under way
    assert the_dispute(world).state == "explained"
    world.deliver()
    case = the_dispute(world)
    assert (case.state, case.closed_at, case.explanation) == ("accepted", world.clock.now(), "电量以电表为准")
    assert len([body for body in world.received(BILL) if body["StartChargeSeq"] == seq]) == 2


def test_a_corrected_bill_that_is_confirmed_closes_the_case_as_corrected(world: World) -> None:
    seq = contested_bill(world)
    order_id = world.order(seq).id
    with world.db.session(world.tenant) as session:
        order = session.get_one(type(world.order(seq)), order_id)
        order.version += 1
        snapshot = order_snapshot(session, order)
        record_event(session, "order.resettled", order.id, order.version, snapshot, world.clock.now())
    world.deliver()
    assert the_dispute(world).state == "corrected"


def test_contested_again_the_case_goes_on_with_its_history(world: World) -> None:
    contested_bill(world)
    for _ in range(2):
        fault(world, "confirm_result", BILL, 1)
        with world.db.session(world.tenant) as session:
            disputes.repush(session, world.clock, the_dispute(world).id, "li")
        world.deliver()
    case = the_dispute(world)
    assert case.state == "open"
    assert [entry["what"] for entry in case.history].count("contested_in_bill") == 3


def test_a_case_is_closed_by_hand_once(world: World) -> None:
    contested_bill(world)
    case = the_dispute(world)
    with world.db.session(world.tenant) as session:
        with pytest.raises(InvalidInput):
            disputes.close(session, world.clock, case.id, DisputeState.OPEN, "", "li")
        with pytest.raises(InvalidInput):
            disputes.explain(session, world.clock, case.id, " ", "li")
        disputes.close(session, world.clock, case.id, DisputeState.ACCEPTED, "按对方金额结算", "li")
        with pytest.raises(Conflict):
            disputes.explain(session, world.clock, case.id, "late", "li")
        with pytest.raises(NotFound):
            disputes.close(session, world.clock, "NOBODYS", DisputeState.ACCEPTED, "", "li")
    assert the_dispute(world).history[-1]["who"] == "li"


def test_cases_of_other_tenants_are_out_of_reach(world: World) -> None:
    contested_bill(world)
    case = the_dispute(world)
    with world.db.session("other") as session, pytest.raises(NotFound):
        disputes.find_dispute(session, case.id)


def test_a_statement_stated_again_closes_what_is_no_longer_contested(world: World) -> None:
    seq = disputed_statement(world, TotalMoney="30.00")
    with world.fake.books_lock:
        page = world.fake.books.pages[seq]
        page.order = {**(page.order or {}), "TotalMoney": Decimal("33.55")}
    (row,) = world.deliveries(STATEMENT)
    with world.db.session(world.tenant) as session:
        repair.replay(session, row.id, world.clock)
    world.deliver()
    assert the_dispute(world).state == "accepted"
    assert the_statement(world)[0].dispute_count == 0


def test_a_day_is_stated_by_hand_once(world: World) -> None:
    link = world.link()
    world.play()
    day = Day(date(2026, 3, 2))
    with world.db.session(world.tenant) as session, pytest.raises(InvalidInput, match="尚未结束"):
        state_day(session, world.clock, link, day)
    world.clock.advance(timedelta(days=1))
    with world.db.session(world.tenant) as session:
        assert state_day(session, world.clock, link, day) is not None
    with world.db.session(world.tenant) as session:
        assert state_day(session, world.clock, link, day) is None
    assert [row.state for row in world.deliveries(STATEMENT)] == [State.WAITING]


# ------------------------------------------------------------------------------------------------------------ statements sent to us


@pytest.fixture
def away(world: World) -> Iterator[Abroad]:
    with abroad(world) as there:
        yield there


def test_a_statement_that_agrees_with_ours(world: World, away: Abroad) -> None:
    seq = away.start().start_charge_seq
    away.fake.finish(seq, "10.00")
    answer = away.fake.state_day(world.clock.now())
    assert answer.data == {
        "CheckOrderSeq": "MA5OPER01000000000020260302",
        "StartTime": "2026-03-02 00:00:00",
        "EndTime": "2026-03-02 23:59:59",
        "TotalDisputeOrder": 0,
        "TotalDisputePower": Decimal("0.0000"),
        "TotalDisputeMoney": Decimal("0.00"),
        "DisputeOrders": [],
    }


def test_differences_are_answered_with_our_figures_and_kept(world: World, away: Abroad) -> None:
    money, energy, stranger, silent, ours = (away.start().start_charge_seq for _ in range(5))
    for seq in (money, energy, ours):
        away.fake.finish(seq, "10.00")
    items = [
        {"StartChargeSeq": money, "TotalPower": Decimal("11.00"), "TotalMoney": Decimal("15.00")},
        {"StartChargeSeq": energy, "TotalPower": Decimal("11.00"), "TotalMoney": Decimal("14.00")},
        {"StartChargeSeq": "X" * 27, "TotalPower": Decimal("1.00"), "TotalMoney": Decimal("1.00")},
        {"StartChargeSeq": silent, "TotalPower": Decimal("1.00"), "TotalMoney": Decimal("1.00")},
    ]
    del stranger
    sums = {"TotalOrderPower": Decimal("24.00"), "TotalOrderMoney": Decimal("31.00")}
    for _ in range(2):  # the same again is computed again
        answer = away.fake.state_day(world.clock.now(), ChargeOrders=items, OrderCount=4, **sums)
        found = {one["StartChargeSeq"]: one for one in (answer.data or {})["DisputeOrders"]}
        assert {seq: one["DisputeReason"] for seq, one in found.items()} == {
            money: 2,
            energy: 3,
            "X" * 27: 1,
            silent: 1,
        }
        assert found[money]["TotalMoney"] == Decimal("14.00")
        assert (answer.data or {})["TotalDisputeMoney"] == Decimal("28.00")
    statement, lines = the_statement(world)
    assert (statement.dispute_count, statement.answer) == (4, {"problems": [], "missing": 1})
    assert {line.start_charge_seq for line in lines if line.finding == "missing"} == {ours}


def test_a_wrong_count_is_refused_and_wrong_sums_are_noted(world: World, away: Abroad) -> None:
    answer = away.fake.state_day(world.clock.now(), OrderCount=1)
    assert (answer.ret, "OrderCount" in answer.msg) == (4004, True)
    assert away.fake.state_day(world.clock.now(), TotalOrderMoney=Decimal("5.00")).ok
    statement, _ = the_statement(world)
    assert [problem.split()[0] for problem in statement.answer["problems"]] == ["TotalOrderMoney"]


def test_absurd_figures_are_refused_as_business_members(world: World, away: Abroad) -> None:
    item = {"StartChargeSeq": "X" * 27, "TotalPower": Decimal("1e19"), "TotalMoney": Decimal("1.00")}
    answer = away.fake.state_day(world.clock.now(), ChargeOrders=[item], OrderCount=1)
    assert (answer.ret, "TotalPower" in answer.msg) == (4004, True)
