"""The table of `specs/tcec102.md` 12.4, row by row: what a message is known by, and what its repetition brings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.orders.model import ChargeOrder
from charging_core.piles.model import PileCommand
from charging_core.tariffs.periods import RateClass
from partners.roaming.model import RoamingConnector, RoamingOrder, UnclaimedBill
from partners.roaming.state import RoamingState
from tests.partners.business.conftest import World
from tests.partners.business.foreign import CONNECTOR, Abroad, abroad

STRANGER = "MA5TEST01260302080000999999"
S = RoamingState


@pytest.fixture
def away(world: World) -> Iterator[Abroad]:
    with abroad(world) as there:
        yield there


def commands(world: World) -> int:
    with world.db.read(world.tenant) as session:
        return int(session.query(PileCommand).count())


def result_of(away: Abroad, interface: str, **members: Any) -> dict[str, Any]:
    answer = away.fake.call(interface, members)
    assert answer.ret == 0, answer
    return dict(answer.data or {})


# ----------------------------------------------------------------------------------------------- asked of us as operator


def test_row_1_query_start_charge(world: World) -> None:
    """Key StartChargeSeq: the first answer again and no second start; another ConnectorID is SuccStat 1."""
    world.link()
    seq = world.begin()
    first = {"StartChargeSeq": seq, "ConnectorID": world.connector, "QRCode": ""}
    answers = [world.ask("query_start_charge", first) for _ in range(3)]
    assert [(one["SuccStat"], one["FailReason"]) for one in answers] == [(0, 0)] * 3
    assert len({str(one) for one in answers}) == 1
    elsewhere = world.ask("query_start_charge", first | {"ConnectorID": world.seeded.connectors[1]})
    assert elsewhere["SuccStat"] == 1
    with world.db.read(world.tenant) as session:
        assert session.query(ChargeOrder).count() == 1
    assert commands(world) == 1


def test_row_2_query_stop_charge(world: World) -> None:
    """Key StartChargeSeq: SuccStat 0 while stopping; afterwards SuccStat 1, FailReason 3."""
    world.link()
    seq = world.begin()
    world.clock.advance(timedelta(seconds=10))
    world.reading(seq)
    stop = {"StartChargeSeq": seq, "ConnectorID": world.connector}
    while_stopping = [world.ask("query_stop_charge", stop) for _ in range(2)]
    assert [(one["SuccStat"], one["StartChargeSeqStat"]) for one in while_stopping] == [(0, 3)] * 2
    assert commands(world) == 2
    world.clock.advance(timedelta(minutes=1))
    world.record(seq, {RateClass.FLAT: "1.0000"})
    after = world.ask("query_stop_charge", stop)
    assert (after["SuccStat"], after["FailReason"], after["StartChargeSeqStat"]) == (1, 3, 4)


# ---------------------------------------------------------------------------------------- told to us as customer's side


def test_row_3_start_result_stop_result_and_charge_status(away: Abroad) -> None:
    """Key StartChargeSeq, for a status with EndTime: SuccStat 0 without effect; an older sample is SuccStat 0 and ignored."""
    seq = away.start().start_charge_seq
    for _ in range(2):
        assert away.fake.begin(seq).ok
    away.world.clock.advance(timedelta(minutes=5))
    newer = away.fake.status_body(away.fake.charges[seq]) | {"TotalPower": Decimal("5.00")}
    for _ in range(2):
        assert result_of(away, "notification_equip_charge_status", **newer)["SuccStat"] == 0
    before = away.order(seq)
    older = newer | {"EndTime": "2026-03-02 08:01:00", "TotalPower": Decimal("1.00")}
    assert result_of(away, "notification_equip_charge_status", **older)["SuccStat"] == 0
    after = away.order(seq)
    assert (after.sample, after.sampled_at, after.history) == (before.sample, before.sampled_at, before.history)
    for _ in range(2):
        assert away.fake.stopped(seq).ok
    assert away.state(seq) == S.ENDED
    again = result_of(away, "notification_equip_charge_status", **newer)
    assert (again["SuccStat"], away.state(seq)) == (0, S.ENDED)


def test_row_4_notification_charge_order_info(away: Abroad) -> None:
    """Key StartChargeSeq: the same content is ConfirmResult 0 and booked once; changed amounts afterwards are 1."""
    seq = away.start().start_charge_seq
    away.fake.begin(seq)
    away.world.clock.advance(timedelta(minutes=5))
    away.fake.finish(seq, "10.00")
    booked = away.order(seq)
    bill = dict(away.fake.charges[seq].bill or {})
    assert result_of(away, "notification_charge_order_info", **bill)["ConfirmResult"] == 0
    changed = bill | {"TotalMoney": bill["TotalMoney"] + 1, "TotalElecMoney": bill["TotalElecMoney"] + 1}
    assert result_of(away, "notification_charge_order_info", **changed)["ConfirmResult"] == 1
    kept = away.order(seq)
    assert (kept.state, kept.total_fee, kept.billed_at) == (S.BILLED, booked.total_fee, booked.billed_at)


def test_row_5_check_charge_orders(away: Abroad) -> None:
    """Key CheckOrderSeq: computed again and answered again."""
    seq = away.start().start_charge_seq
    away.fake.begin(seq)
    away.world.clock.advance(timedelta(minutes=5))
    now = away.world.clock.now()
    empty = away.fake.state_day(now).data or {}
    away.fake.finish(seq, "10.00")
    assert (away.fake.state_day(now).data or {})["TotalDisputeOrder"] == 0
    wrong = (
        away.fake.state_day(now, ChargeOrders=[_item(away, seq, "1.00")], TotalOrderMoney=Decimal("1.00")).data or {}
    )
    assert (empty["TotalDisputeOrder"], [one["DisputeReason"] for one in wrong["DisputeOrders"]]) == (0, [2])


def test_row_6_notification_station_status(away: Abroad) -> None:
    """Key ConnectorID: the newest wins, whatever code a careless sender had in between."""
    for status in (3, 10**12, 3, 1):
        assert (away.fake.tell_status(CONNECTOR, status).data or {})["Status"] == 0
    with away.world.db.read(away.world.tenant) as session:
        connector = session.query(RoamingConnector).filter(RoamingConnector.connector_id == CONNECTOR).one()
    assert connector.status == 1


@pytest.mark.parametrize(
    "interface",
    ["notification_start_charge_result", "notification_equip_charge_status", "notification_stop_charge_result"],
)
def test_an_unknown_sequence_in_a_result_or_status(away: Abroad, interface: str) -> None:
    """Ret 0, SuccStat 1, FailReason 1 (a status answer has no FailReason)."""
    seq = away.start().start_charge_seq
    known = away.fake.status_body(away.fake.charges[seq]) | {"StartChargeSeq": STRANGER}
    answer = result_of(away, interface, **known | {"SuccStat": 0, "FailReason": 0})
    assert (answer["SuccStat"], answer.get("FailReason", 1)) == (1, 1)
    with away.world.db.read(away.world.tenant) as session:
        assert session.query(RoamingOrder).count() == 1


def test_an_unknown_sequence_in_a_bill(away: Abroad) -> None:
    """ConfirmResult 1, and the message is kept as it came, once."""
    seq = away.start().start_charge_seq
    away.fake.finish(seq, "10.00")
    bill = dict(away.fake.charges[seq].bill or {}) | {"StartChargeSeq": STRANGER}
    answers = [result_of(away, "notification_charge_order_info", **bill)["ConfirmResult"] for _ in range(2)]
    assert answers == [1, 1]
    with away.world.db.read(away.world.tenant) as session:
        (kept,) = session.query(UnclaimedBill).all()
    assert (kept.count, str(kept.body["TotalMoney"])) == (2, str(bill["TotalMoney"]))


def _item(away: Abroad, seq: str, money: str) -> dict[str, Any]:
    bill = away.fake.charges[seq].bill or {}
    return {"StartChargeSeq": seq, "TotalPower": bill["TotalPower"], "TotalMoney": Decimal(money)}
