"""Our drivers at other operators' stations: the mirror, a charge from start to bill, and everything that goes wrong on its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_core.errors import Conflict, NotFound
from partners.errors import RoamingFailed
from partners.fake.faults import Fault
from partners.fake.operator import ForeignCharge
from partners.roaming import mirror
from partners.roaming.model import RoamingConnector, RoamingStation, RoamingSync, UnclaimedBill
from partners.roaming.orders import RoamingStart, next_step
from partners.roaming.state import FINAL_STATES, TABLE, Happened, RoamingState, advance
from tests.partners.business.conftest import World
from tests.partners.business.foreign import CONNECTOR, Abroad, abroad

S, H = RoamingState, Happened


@pytest.fixture
def away(world: World) -> Iterator[Abroad]:
    with abroad(world) as there:
        yield there


def fault(away: Abroad, kind: str, interface: str, times: int | None = 1, value: Any = None) -> None:
    away.fake.faults.replace([Fault(kind=kind, interface=interface, times=times, value=value)])


# ------------------------------------------------------------------------------------------------------------ states


@given(st.lists(st.sampled_from(list(Happened)), max_size=30))
def test_no_history_leads_back_from_the_end(events: list[Happened]) -> None:
    state, ended = S.ASKED, False
    for happened in events:
        after = advance(state, happened)
        if after is None:
            continue
        assert not (ended and after in (S.ASKED, S.UNSURE, S.STARTING, S.CHARGING, S.STOPPING)), (state, happened)
        state = after
        ended = ended or state in (S.ENDED, S.FAILED, S.DISPUTED, S.BILLED)


def test_a_bill_is_taken_in_every_state_but_the_last() -> None:
    for state in RoamingState:
        taken = advance(state, H.BILL_GOOD)
        assert taken is (None if state in FINAL_STATES else S.BILLED), state
    assert set(TABLE) == set(RoamingState)


# ------------------------------------------------------------------------------------------------------------ mirror


def test_stations_are_read_page_by_page_and_status_in_chunks(world: World) -> None:
    with abroad(world, stations=120, page_size_max=50) as away:
        assert away.calls("query_stations_info") == 3
        assert world.room.mirror.sync_status(away.link) == 240
        assert away.calls("query_station_status") == 3
        with world.db.read(world.tenant) as session:
            assert session.query(RoamingStation).count() == 120
            statuses = {row.status for row in session.query(RoamingConnector)}
    assert statuses == {2}


def test_a_station_that_a_full_listing_no_longer_has_is_gone_and_comes_back(world: World, away: Abroad) -> None:
    away.fake.closed.add("770002")
    world.clock.advance(timedelta(hours=1))
    assert world.room.mirror.sync(away.link).gone == 1
    with world.db.read(world.tenant) as session:
        gone = {row.station_id for row in session.query(RoamingStation) if row.gone_at}
        lost = {row.connector_id for row in session.query(RoamingConnector) if row.gone_at}
    assert (gone, lost) == ({"770002"}, {"77000201", "77000202"})
    with pytest.raises(NotFound):
        away.start("77000201")
    away.fake.closed.clear()
    assert world.room.mirror.sync(away.link).gone == 0
    assert away.start("77000201").state == S.STARTING


def test_staff_and_scheduler_may_read_the_same_new_stations_at_once(world: World, away: Abroad) -> None:
    with world.db.session(world.tenant) as session:
        for table in (RoamingConnector, RoamingStation, RoamingSync):
            for row in session.query(table):
                session.delete(row)
            session.flush()
    together = threading.Barrier(4)

    def read(_number: int) -> int:
        together.wait(30)
        return world.room.mirror.sync(away.link).stations

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, range(4)))
    with world.db.read(world.tenant) as session:
        kept = session.query(RoamingStation).count()
    assert found == [kept] * 4
    assert kept > 0


def test_between_full_listings_only_changes_are_asked_for(world: World, away: Abroad) -> None:
    world.room.keeper.look_after(away.link)
    world.clock.advance(timedelta(hours=2))
    world.room.keeper.look_after(away.link)
    asked = [entry["body"]["LastQueryTime"] for entry in away.fake.received("query_stations_info")]
    assert asked == ["", "2026-03-02 07:55:00"]
    world.clock.advance(timedelta(hours=25))
    world.room.keeper.run(world.clock.now())
    world.room.keeper.wait()
    assert away.fake.received("query_stations_info")[-1]["body"]["LastQueryTime"] == ""


def test_status_pushes_the_newest_wins_unknown_codes_are_kept(world: World, away: Abroad) -> None:
    assert away.fake.tell_status(CONNECTOR, 3).data == {"Status": 0}
    assert away.fake.tell_status(CONNECTOR, 100).data == {"Status": 0}
    assert away.fake.tell_status("nobody", 1).data == {"Status": 1}
    with world.db.read(world.tenant) as session:
        row = session.query(RoamingConnector).filter(RoamingConnector.connector_id == CONNECTOR).one()
    assert (row.status, row.park_status) == (100, 50)


def test_statistics_of_their_station(world: World, away: Abroad) -> None:
    assert world.room.mirror.stats(away.link, "770001", "2026-03-01", "2026-03-02")["StationElectricity"] == 0
    with pytest.raises(RoamingFailed, match="4004"):
        world.room.mirror.stats(away.link, "nowhere", "2026-03-01", "2026-03-02")


# ------------------------------------------------------------------------------------------------------------ a charge


def test_a_charge_from_look_to_bill(world: World, away: Abroad) -> None:
    roaming = world.room.roaming
    assert roaming.authorise(away.link, CONNECTOR) == 0
    assert [period["StartTime"] for period in roaming.policy(away.link, CONNECTOR)] == ["000000", "080000"]
    order = away.start(phone="13800000000", plate="浙A12345", limit_yuan=Decimal("50.00"))
    seq = order.start_charge_seq
    assert (order.state, len(seq), seq[:9]) == (S.STARTING, 27, "MA5TEST01")
    assert away.fake.charges[seq].extras["Balance"] == Decimal("50.00")
    assert away.fake.begin(seq).data == {"StartChargeSeq": seq, "SuccStat": 0, "FailReason": 0}
    assert away.state(seq) == S.CHARGING
    world.clock.advance(timedelta(seconds=50))
    assert away.fake.sample(seq, "1.50").data == {"StartChargeSeq": seq, "SuccStat": 0}
    sample = away.order(seq).sample
    assert sample is not None
    assert sample["energy_kwh"] == Decimal("1.50")
    assert roaming.stop(world.tenant, order.id).state == S.STOPPING
    assert away.fake.stopped(seq).ok
    assert away.state(seq) == S.ENDED
    answer = away.fake.finish(seq, "10.00")
    assert answer.data == {"StartChargeSeq": seq, "ConnectorID": CONNECTOR, "ConfirmResult": 0}
    billed = away.order(seq)
    assert (billed.state, billed.total_fee, billed.confirm_result) == (S.BILLED, Decimal("14.0000"), 0)


def test_the_same_bill_again_is_confirmed_again_a_changed_one_is_contested(away: Abroad) -> None:
    seq = away.start().start_charge_seq
    for _ in range(2):
        assert (away.fake.finish(seq, "10.00").data or {})["ConfirmResult"] == 0
    assert (away.fake.finish(seq, "11.00").data or {})["ConfirmResult"] == 1
    order = away.order(seq)
    assert (order.state, order.energy_kwh) == (S.BILLED, Decimal("10.0000"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"TotalMoney": Decimal("99.00")},
        {"TotalPower": Decimal("9.99")},
        {"TotalElecMoney": Decimal("9.00"), "TotalMoney": Decimal("13.00")},
        {"EndTime": "2026-03-01 00:00:00"},
        {"ConnectorID": "77000102"},
    ],
)
def test_a_bill_that_does_not_add_up_is_contested_and_its_correction_taken(away: Abroad, wrong: dict[str, Any]) -> None:
    seq = away.start().start_charge_seq
    assert (away.fake.finish(seq, "10.00", **wrong).data or {})["ConfirmResult"] == 1
    assert away.state(seq) == S.DISPUTED
    assert (away.fake.finish(seq, "10.00").data or {})["ConfirmResult"] == 0
    assert away.state(seq) == S.BILLED


def test_a_price_that_was_never_shown_is_contested(world: World, away: Abroad) -> None:
    world.room.roaming.policy(away.link, CONNECTOR)
    seq = away.start().start_charge_seq
    details = [{
        "DetailStartTime": "2026-03-02 08:00:00", "DetailEndTime": "2026-03-02 08:00:00", "ElecPrice": Decimal("2.0000"),
        "SevicePrice": Decimal("0.4000"), "DetailPower": Decimal("10.00"),
    }]  # fmt: skip
    assert (away.fake.finish(seq, "10.00", ChargeDetails=details).data or {})["ConfirmResult"] == 1


def test_messages_overtake_each_other(away: Abroad) -> None:
    seq = away.start().start_charge_seq
    away.fake.stopped(seq)
    assert away.fake.begin(seq).ok  # the start result comes last
    assert away.state(seq) == S.ENDED
    away.fake.finish(seq, "10.00")
    assert away.fake.sample(seq, "9.00").ok
    assert away.state(seq) == S.BILLED


def test_an_older_sample_changes_nothing(world: World, away: Abroad) -> None:
    seq = away.start().start_charge_seq
    away.fake.begin(seq)
    world.clock.advance(timedelta(minutes=5))
    away.fake.sample(seq, "5.00")
    charge = away.fake.charges[seq]
    old = away.fake.status_body(charge) | {"EndTime": "2026-03-02 08:01:00", "TotalPower": Decimal("1.00")}
    assert away.fake.call("notification_equip_charge_status", old).ok
    sample = away.order(seq).sample
    assert sample is not None
    assert sample["energy_kwh"] == Decimal("5.00")


def test_a_bill_that_comes_days_later_is_taken(world: World, away: Abroad) -> None:
    seq = away.start().start_charge_seq
    world.clock.advance(timedelta(days=6))
    assert (away.fake.finish(seq, "10.00").data or {})["ConfirmResult"] == 0


def test_pushes_about_orders_that_we_never_started(world: World, away: Abroad) -> None:
    stranger = "MA5OPER01240302080000000001"
    away.fake.charges[stranger] = ForeignCharge(stranger, CONNECTOR, world.clock.now())
    assert away.fake.begin(stranger).data == {"StartChargeSeq": stranger, "SuccStat": 1, "FailReason": 1}
    assert away.fake.sample(stranger, "1.00").data == {"StartChargeSeq": stranger, "SuccStat": 1}
    for _ in range(2):
        assert (away.fake.finish(stranger, "10.00").data or {})["ConfirmResult"] == 1
    with world.db.read(world.tenant) as session:
        kept = session.query(UnclaimedBill).one()
    assert (kept.count, kept.body["TotalMoney"]) == (2, Decimal("14.00"))


# ------------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_refused_start_is_told_and_never_asked_after(world: World, away: Abroad) -> None:
    away.fake.closed.add("770001")
    order = away.start()
    assert (order.state, order.failure) == (S.REFUSED, "FailReason 1")
    world.clock.advance(timedelta(hours=1))
    assert world.room.roaming.follow_up(away.link) == 0


def test_a_start_without_an_answer_is_asked_after_before_it_is_stopped(world: World, away: Abroad) -> None:
    fault(away, "close", "query_start_charge")  # nothing was processed over there
    order = away.start()
    assert order.state == S.UNSURE
    roaming = world.room.roaming
    assert roaming.follow_up(away.link) == 0  # the start result has its time
    world.clock.advance(timedelta(seconds=61))
    assert roaming.follow_up(away.link) == 1
    assert (away.calls("query_stop_charge"), away.state(order.id)) == (0, S.UNSURE)
    assert roaming.follow_up(away.link) == 1
    assert away.calls("query_stop_charge") == 1
    assert roaming.follow_up(away.link) == 0
    assert away.calls("query_start_charge") == 0  # never started again


def test_a_start_whose_answer_was_lost_is_found_charging(world: World, away: Abroad) -> None:
    fault(away, "close_after", "query_start_charge")
    order = away.start()
    assert order.state == S.UNSURE
    away.fake.charges[order.start_charge_seq].stat = 2
    world.clock.advance(timedelta(seconds=61))
    world.room.roaming.follow_up(away.link)
    assert away.state(order.id) == S.CHARGING
    assert away.calls("query_start_charge") == 1


def test_a_start_that_never_left_the_house_is_refused_at_once(world: World, away: Abroad) -> None:
    away.fake.stop()
    order = away.start()
    assert order.state == S.REFUSED
    away.fake.start()


def test_a_start_that_is_refused_at_the_door_was_not_processed(away: Abroad) -> None:
    fault(away, "ret", "query_start_charge", value=4001)
    assert away.start().state == S.REFUSED
    fault(away, "ret", "query_start_charge", value=-1)
    assert away.start().state == S.UNSURE


def test_the_start_result_says_that_the_pile_did_not_begin(away: Abroad) -> None:
    seq = away.start().start_charge_seq
    away.fake.begin(seq, stat=4)
    order = away.order(seq)
    assert order.state == S.FAILED
    assert order.failure


def test_questions_keep_their_distance_and_become_rarer(world: World, away: Abroad) -> None:
    seq = away.start().start_charge_seq
    away.fake.begin(seq)
    asked = 0
    for _ in range(120):
        world.clock.advance(timedelta(seconds=10))
        away.fake.charges[seq].stat = 1  # silent, and says nothing new
        asked += world.room.roaming.follow_up(away.link)
    assert asked == away.calls("query_equip_charge_status")
    assert 4 <= asked <= 20 * 60 // 120


def test_a_charge_that_is_over_is_not_stopped(world: World, away: Abroad) -> None:
    order = away.start()
    away.fake.finish(order.start_charge_seq, "1.00")
    with pytest.raises(Conflict):
        world.room.roaming.stop(world.tenant, order.id)
    with pytest.raises(NotFound):
        world.room.roaming.stop(world.tenant, "NOBODYS")


def test_a_stop_after_the_end_closes_the_order(world: World, away: Abroad) -> None:
    order = away.start()
    away.fake.begin(order.start_charge_seq)
    away.fake.charges[order.start_charge_seq].stat = 4
    assert world.room.roaming.stop(world.tenant, order.id).state == S.ENDED


def test_next_step_of_an_order_without_news(world: World, away: Abroad) -> None:
    order = away.start()
    timing = away.link.timing
    assert next_step(order, timing, world.clock.now()) is None
    assert next_step(order, timing, world.clock.now() + timedelta(seconds=60)) is not None


# ------------------------------------------------------------------------------------------------------------ roles


def test_an_operator_may_not_query_us_and_a_seller_may_not_push(world: World, away: Abroad) -> None:
    assert away.fake.call("query_stations_info", {"PageNo": 1}).ret == 4004
    world.link()
    assert world.fake.call("check_charge_orders", {}).ret == 4004
    assert world.fake.call("query_stations_info", {"PageNo": 1}).ret == 0


def test_a_roaming_link_is_told_nothing_of_our_stations(world: World, away: Abroad) -> None:
    world.deliver()
    assert [e for e in away.fake.received() if str(e["interface"]).startswith("notification_")] == []


def test_orders_of_another_link_are_out_of_reach(world: World, away: Abroad) -> None:
    world.link(role="both")
    seq = away.start().start_charge_seq
    body = {"StartChargeSeq": seq, "StartChargeSeqStat": 4, "ConnectorID": CONNECTOR, "SuccStat": 0, "FailReason": 0}
    assert (world.fake.call("notification_stop_charge_result", body).data or {})["SuccStat"] == 1
    assert away.state(seq) == S.STARTING


def test_a_wish_needs_a_connector_of_the_mirror(world: World, away: Abroad) -> None:
    with pytest.raises(NotFound):
        world.room.roaming.start(away.link, RoamingStart(connector_id="unknown"))


def test_the_same_wish_twice_starts_one_charge(away: Abroad) -> None:
    first, again = away.start(request_id="desk-1"), away.start(request_id="desk-1")
    assert (again.id, again.start_charge_seq) == (first.id, first.start_charge_seq)
    assert away.start(request_id="desk-2").id != first.id
    assert away.calls("query_start_charge") == 2


def test_dialects_of_pushed_stations_and_prices_are_taken(away: Abroad) -> None:
    """11.15: one station with its equipment, and its prices; prices of a station that we do not know are ignored."""
    page = away.fake.station_info("770001")
    changed = page | {"StationName": "新站名"}
    assert (away.fake.call("notification_stationInfo", {"StationInfo": changed}).data or {})["Status"] == 0
    period = {"StartTime": "00:00", "EndTime": "24:00", "ElectricityFee": Decimal("0.8000")}
    fees = {
        "OperatorID": page["OperatorID"],
        "ChargeFeeDetail": [period | {"ServiceFee": Decimal(0), "EquipmentType": 3}],
    }
    told = [
        (away.fake.call("notification_stationFee", {"StationFee": fees | {"StationID": station}}).data or {})["Status"]
        for station in ("770001", "nowhere")
    ]
    assert told == [0, 1]
    with away.world.db.read(away.world.tenant) as session:
        kept = session.query(RoamingStation).filter(RoamingStation.station_id == "770001").one()
        assert (kept.name, (kept.fees or {})["ChargeFeeDetail"][0]["EndTime"]) == ("新站名", "24:00")


def test_a_server_that_announces_pages_for_ever_is_left_at_the_cap(
    away: Abroad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MOST_PAGES", 4)
    one = away.fake.station_info("770001")
    monkeypatch.setattr(
        away.fake,
        "_stations_info",
        lambda body: {"PageNo": body["PageNo"], "PageCount": 10**6, "ItemSize": 10**6, "StationInfos": [one]},
    )
    before = away.calls("query_stations_info")
    assert away.world.room.mirror.sync(away.link).stations == 1
    assert away.calls("query_stations_info") - before == 4
