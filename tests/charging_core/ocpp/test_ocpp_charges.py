"""Charges of an OCPP pile through the server to the bill: the same orders, tariffs and records as every other pile's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import CHINA
from charging_core.orders.bills.keep import bills_of
from charging_core.orders.bills.model import OrderBill
from charging_core.orders.model import ChargeOrder
from charging_core.piles.events import PileEvent, TradeRecord
from charging_core.piles.model import TradeRecordRow
from charging_core.simulator.ocpp_pile import OcppPile
from tests.charging_core.ocpp.ocpp_support import VEHICLE, Yard

BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=CHINA)


def test_a_charge_is_billed_by_the_tariff_of_its_time(yard: Yard) -> None:
    pile = yard.pile()
    yard.clock.set(datetime(2026, 3, 2, 9, 50, 10, tzinfo=CHINA))
    order_id = yard.charge()
    yard.pass_time(pile, minutes=20)
    yard.stop(order_id)
    order = yard.settled(order_id)
    # 60 kW: 9 min 50 s flat (0.70 + 0.40), 10 min 10 s peak (1.00 + 0.40); 10:00 is no sample's time (every minute at :10).
    assert [order.energy_kwh, order.meter_start, order.meter_end] == [20, 1000, 1020]
    assert order.energy_by_class == {"flat": Decimal("9.8333"), "peak": Decimal("10.1667")}
    assert (order.elec_fee, order.service_fee) == (Decimal("17.05"), Decimal("8.00"))
    assert order.review is None
    assert order.stop_reason == "partner"
    assert yard.connector_state() in ("charging", "finished")
    yard.until("the connector shows the end", lambda: yard.connector_state() == "finished")


def test_what_was_queued_off_line_is_billed_by_the_time_it_happened(yard: Yard) -> None:
    pile = yard.pile()
    yard.clock.set(datetime(2026, 3, 2, 9, 50, tzinfo=CHINA))
    order_id = yard.charge()
    yard.loop.wait(pile.go_offline())
    yard.until("the hub noticed", lambda: not yard.stored_pile().online)
    yard.clock.advance(timedelta(minutes=20))
    yard.loop.do(lambda: pile.press_stop(1))
    yard.clock.advance(timedelta(hours=3))
    yard.loop.do(lambda: pile.unplug(1))
    yard.loop.do(pile.go_online)
    order = yard.settled(order_id)
    assert order.energy_by_class == {"flat": 10, "peak": 10}
    assert order.ended_at == datetime(2026, 3, 2, 10, 10, tzinfo=CHINA)
    assert {line.basis for line in order.details} == {"record"}
    assert order.review is None
    # The readings came hours late: they belong to the charge, and say nothing about the connector now.
    yard.until("the connector is free", lambda: yard.connector_state() == "idle")
    assert max(sample.at for sample in yard.samples(order_id)) == order.ended_at


def test_a_start_that_is_told_after_the_end_still_finds_its_order(yard: Yard) -> None:
    pile = yard.pile(real_answer_s=0.2)
    order_id = yard.start()
    yard.until("the pile charges", lambda: pile.connectors[0].charge is not None)
    yard.loop.wait(pile.go_offline())
    yard.clock.advance(timedelta(minutes=30))
    with yard.db.session(yard.seeded.tenant_id) as session:  # the order's timer gave it up meanwhile
        order = session.get_one(ChargeOrder, order_id)
        order.state = "failed" if order.state in ("created", "starting", "accepted") else order.state
    yard.loop.do(lambda: pile.press_stop(1))
    yard.loop.do(pile.go_online)
    order = yard.settled(order_id)
    assert order.energy_kwh == 30
    assert order.started_at == BEGIN


def test_a_repeated_stop_is_answered_every_time_and_billed_once(yard: Yard) -> None:
    pile = yard.pile()
    pile.faults.copies_of_stop = 2
    order_id = yard.charge()
    yard.pass_time(pile, minutes=5)
    yard.stop(order_id)
    yard.settled(order_id)
    yard.until("all are answered", lambda: pile.queued == 0)
    assert calls(pile, "StopTransaction") == 3
    assert [row.seen for row in records(yard)] == [3]
    assert [row.number for row in bills(yard, order_id)] == [1]


def test_a_repeated_start_gets_the_same_number(yard: Yard) -> None:
    pile = yard.pile()
    order_id = yard.charge()
    started = next(items[3] for way, items in pile.log if way == "out" and items[2] == "StartTransaction")
    again = yard.loop.wait(pile.link.call("StartTransaction", started))
    assert again["transactionId"] == pile.connectors[0].charge.id  # type: ignore[union-attr]
    other = yard.loop.wait(pile.link.call("StartTransaction", {**started, "meterStart": 7}))
    assert other["transactionId"] != again["transactionId"]
    assert other["idTagInfo"] == {"status": "Invalid"}, "a one-time tag is good for one transaction"
    yard.stop(order_id)
    yard.settled(order_id)


@pytest.mark.parametrize("unit", ["Wh", "kWh"])
def test_a_pile_that_never_learnt_its_transaction_id_is_understood(yard: Yard, unit: str) -> None:
    pile = yard.pile(energy_unit=unit, authorizes=True)
    pile.faults.forget_transaction_id = True
    order_id = yard.charge()
    yard.pass_time(pile, minutes=12)
    yard.until("the readings came", lambda: yard.order(order_id).sample["energy_kwh"] == 12)  # type: ignore[index]
    yard.loop.do(lambda: pile.press_stop(1))
    assert yard.settled(order_id).energy_kwh == 12
    assert any(items[3]["transactionId"] == -1 for _, items in pile.log if items[2] == "StopTransaction")


def test_a_stop_whose_start_never_came_is_billed_by_what_it_holds(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    order_id = yard.start()
    yard.until("the order waits", lambda: yard.order(order_id).state == "wait_plug")
    trade_number = yard.order(order_id).trade_number or ""
    begin = {"timestamp": "2026-03-02T00:00:00Z", "sampledValue": [{"value": "500", "context": "Transaction.Begin"}]}
    stop = {"transactionId": 0, "idTag": trade_number[14:], "meterStop": 2500, "timestamp": "2026-03-02T00:02:00Z"}
    for _ in range(2):
        assert yard.loop.wait(pile.link.call("StopTransaction", {**stop, "transactionData": [begin]})) == {}
    order = yard.order(order_id)
    assert (order.state, str(order.energy_kwh), order.started_at) == ("settled", "2.0000", BEGIN)
    assert [row.seen for row in records(yard)] == [2]


def test_a_meter_that_was_reset_goes_on_counting_and_is_looked_at(yard: Yard) -> None:
    pile = yard.pile()
    order_id = yard.charge()
    yard.pass_time(pile, minutes=10)
    pile.faults.meter_reset = True
    yard.pass_time(pile, minutes=10)
    yard.stop(order_id)
    order = yard.settled(order_id)
    assert order.energy_kwh == 19, "what ran between the last reading before and the first one after is lost"
    assert order.review is not None
    assert "meter" in order.review


def test_a_driver_gets_time_to_plug_in(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    order_id = yard.start()
    yard.until("the order waits", lambda: yard.order(order_id).state == "wait_plug")
    yard.loop.do(lambda: pile.plug(1, VEHICLE))
    yard.until("the charge runs", lambda: yard.order(order_id).state == "charging")


def test_a_card_is_told_to_be_unknown_and_its_record_is_kept_for_people(yard: Yard) -> None:
    pile = yard.pile()
    assert yard.loop.wait(pile.link.call("Authorize", {"idTag": "04A2B3C4"})) == {"idTagInfo": {"status": "Invalid"}}
    yard.loop.do(lambda: pile.present_card(1, "04A2B3C4"))
    yard.until("the pile gave up", lambda: pile.connectors[0].status == "Finishing" and pile.queued == 0)
    row = records(yard)[0]
    assert (row.state, row.problem, row.order_id) == ("parked", "no order has this trade number", None)
    strange = {"transactionId": 4711, "meterStop": 1, "timestamp": "2026-03-02T00:00:00Z"}
    assert yard.loop.wait(pile.link.call("StopTransaction", strange)) == {}, "else some piles repeat it for ever"


def test_a_stop_is_answered_only_when_its_record_is_on_disk(yard: Yard) -> None:
    pile = yard.pile(real_answer_s=0.3)
    order_id = yard.charge()
    yard.pass_time(pile, minutes=1)
    inner, refusals = yard.sink.handle, [1]

    def failing(batch: Sequence[PileEvent]) -> None:
        if refusals[0] and any(isinstance(event, TradeRecord) for event in batch):
            refusals[0] -= 1
            raise ConnectionError("the database is away")
        inner(batch)

    yard.sink.handle = failing  # type: ignore[method-assign]
    yard.stop(order_id)
    yard.settled(order_id)
    yard.until("the pile has its answer", lambda: pile.queued == 0)
    assert calls(pile, "StopTransaction") >= 2, "the first one got no answer"
    assert [row.state for row in records(yard)] == ["applied"]
    same = [2, "same-id", *next(items[2:] for _, items in pile.log if items[2] == "StopTransaction")]
    refusals[0] = 1

    def answered() -> bool:
        yard.loop.wait(pile.link.raw(same))
        return any(way == "in" and items[1] == "same-id" for way, items in pile.log)

    yard.until("a repeat under the same id is answered", answered)
    assert refusals[0] == 0


def test_a_new_connection_knows_the_transaction_of_the_one_before(yard: Yard) -> None:
    pile = yard.pile()
    order_id = yard.charge()
    yard.pass_time(pile, minutes=4)
    first = yard.stored_pile().connection_id
    yard.loop.wait(pile.link.drop())
    yard.until("it is back", lambda: yard.stored_pile().online and yard.stored_pile().connection_id != first)
    yard.pass_time(pile, minutes=4)
    yard.stop(order_id)
    assert yard.settled(order_id).energy_kwh == 8


def calls(pile: OcppPile, action: str) -> int:
    """How often the pile said it."""
    return sum(1 for way, items in pile.log if way == "out" and items[0] == 2 and items[2] == action)


def records(yard: Yard) -> list[TradeRecordRow]:
    """Every trade record that is kept."""
    with yard.db.read(yard.seeded.tenant_id) as session:
        return list(session.scalars(select(TradeRecordRow).order_by(TradeRecordRow.id)))


def bills(yard: Yard, order_id: str) -> list[OrderBill]:
    """Every version of an order's bill."""
    with yard.db.read(yard.seeded.tenant_id) as session:
        return bills_of(session, order_id)


def test_an_idle_connector_is_asked_for_its_state_and_stays_free(yard: Yard) -> None:
    """Asked for its meter it would answer with readings without a transaction, which the one that is not closed yet would get."""
    pile = yard.pile()
    order_id = yard.charge()
    yard.loop.wait(pile.go_offline())
    yard.until("the hub noticed", lambda: not yard.stored_pile().online)
    yard.loop.do(lambda: pile.press_stop(1))
    yard.loop.do(lambda: pile.unplug(1))
    yard.loop.do(pile.go_online)
    yard.settled(order_id)
    yard.until("the connector is free", lambda: yard.connector_state() == "idle")
    asked = [
        items[3]["requestedMessage"] for way, items in pile.link.log if way == "in" and items[2] == "TriggerMessage"
    ]
    assert "MeterValues" not in asked
