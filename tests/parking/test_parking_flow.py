"""From settled order and passages to grant and open barrier, on a real database (`specs/parking.md` 7.3, 7.5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from charging_core.clock import ManualClock
from charging_core.db import Database
from parking.grants import bind_plate, find_grant, idempotency_key
from parking.model import ExitPolicy, GateCommandRow, GateLane, ParkConnection
from parking.port import GateAction
from parking.reading import parking_of_order
from parking.service import PushResult, Swept
from tests.parking.park_rig import PLATE, TENANT, Rig, park_rig
from tests.parking.scripted_http import Reply
from worker.api import Destination
from worker.destinations import release
from worker.model import DeliveryRow


@pytest.fixture
def rig(db: Database, manual_clock: ManualClock) -> Iterator[Rig]:
    with park_rig(db, manual_clock) as made:
        yield made


def test_the_whole_story(rig: Rig) -> None:
    assert rig.see("entry") is PushResult.RECORDED
    rig.pass_time(50)
    order_id = rig.settle()
    rig.work()
    [coupon] = rig.platform.coupons
    assert (coupon["couponCode"], coupon["plateNo"], coupon["deductContent"]) == (idempotency_key(order_id), PLATE, 120)
    rig.pass_time(10)
    rig.see("exit")
    command = rig.finished_command()
    assert (command.state, command.method, command.asked_by) == (
        "accepted_unconfirmed",
        "parking_channel",
        "exit_rule",
    )
    assert rig.camera.commands == ["/ISAPI/Parking/channels/1/barrierGate"]
    [stay] = rig.stays()
    assert (stay.state, stay.closed_by) == ("exited", "gate")
    [entered], [exited] = rig.events("stay.entered"), rig.events("stay.exited")
    assert (entered.subject_id, exited.subject_id) == (stay.id, stay.id)
    assert (entered.version, exited.version) == (1, 2)
    assert exited.snapshot["plate"] == PLATE
    with rig.db.read(TENANT) as session:
        [page] = parking_of_order(session, order_id)
    assert (page["grant"]["state"], page["stay"]["id"], page["park"]["code"]) == ("granted", stay.id, "east")
    assert [one["kind"] for one in page["passages"]] == ["entered", "exit_seen"]
    assert page["gate_commands"][0]["attempts"][0]["http_status"] == 200


def test_one_grant_per_order_however_often_it_is_reported(rig: Rig) -> None:
    rig.see("entry")
    order_id = rig.settle(times=3)
    rig.work()
    assert len(rig.platform.coupons) == 1
    assert rig.grant(order_id).state == "granted"


@pytest.mark.parametrize(("kwh", "reason"), [("9.9999", "TOO_SHORT"), ("10", None)])
def test_the_rule_decides(rig: Rig, kwh: str, reason: str | None) -> None:
    rig.see("entry")
    order_id = rig.settle(kwh)
    rig.work()
    assert rig.grant(order_id).reason == reason
    assert len(rig.platform.coupons) == (reason is None)


def test_a_grant_waits_for_its_stay_and_is_sent_when_the_late_entry_event_arrives(rig: Rig) -> None:
    came_at = rig.clock.now()
    rig.pass_time(60)
    order_id = rig.settle()
    rig.work()
    assert (rig.grant(order_id).state, rig.grant(order_id).reason) == ("waiting", "NOT_INSIDE")
    assert rig.platform.coupons == []
    assert rig.see("entry", at=came_at, replay=True) is PushResult.RECORDED
    rig.work()
    grant = rig.grant(order_id)
    assert (grant.state, grant.reason, grant.stay_id) == ("granted", None, rig.stays()[0].id)


def test_a_car_that_comes_in_after_the_charge_is_another_visit(rig: Rig) -> None:
    order_id = rig.settle()
    rig.work()
    rig.pass_time(5)
    rig.see("entry")
    rig.work()
    assert (rig.grant(order_id).state, rig.grant(order_id).reason) == ("rejected", "ALREADY_LEFT")
    assert rig.platform.coupons == []


def test_a_grant_without_plate_waits_until_somebody_names_it(rig: Rig) -> None:
    rig.see("entry")
    rig.pass_time(50)
    order_id = rig.settle(plate=None)
    rig.work()
    assert (rig.grant(order_id).state, rig.grant(order_id).reason) == ("waiting", "NO_PLATE")
    with rig.db.session(TENANT) as session:
        grant = find_grant(session, order_id)
        assert grant is not None
        assert not bind_plate(session, grant, "无车牌", rig.clock.now())
        assert bind_plate(session, grant, " 浙A·D12345", rig.clock.now())
    rig.work()
    assert rig.grant(order_id).state == "granted"
    assert rig.platform.coupons[0]["plateNo"] == PLATE


def test_waiting_ends_at_the_end_of_the_validity(rig: Rig) -> None:
    order_id = rig.settle()
    rig.work()
    rig.pass_time(12 * 60 - 1)
    assert rig.service.sweep() == Swept(0, 0)
    rig.pass_time(1)
    assert rig.service.sweep() == Swept(1, 0)
    assert (rig.grant(order_id).state, rig.grant(order_id).reason) == ("expired", "NOT_INSIDE")


def test_two_orders_in_one_stay_are_one_grant(rig: Rig) -> None:
    rig.see("entry")
    first = rig.settle()
    rig.work()
    rig.pass_time(30)
    second = rig.settle()
    rig.work()
    assert [rig.grant(order).state for order in (first, second)] == ["granted", "rejected"]
    assert rig.grant(second).reason == "DUPLICATE_STAY"
    assert len(rig.platform.coupons) == 1


def test_a_car_that_left_before_the_order_was_final(db: Database, manual_clock: ManualClock) -> None:
    with park_rig(db, manual_clock, exit_settings={"plate_read_means": "passed"}) as rig:
        rig.see("entry")
        rig.pass_time(30)
        rig.see("exit")
        rig.pass_time(2)
        rig.see("entry")
        rig.pass_time(2)
        late = rig.settle(minutes=30, ended_minutes_ago=8)
        rig.work()
        assert (rig.grant(late).state, rig.grant(late).reason) == ("rejected", "ALREADY_LEFT")
        assert rig.platform.coupons == []
        assert [stay.state for stay in rig.stays()] == ["exited", "inside"]


def test_a_station_outside_any_park_grants_nothing(rig: Rig) -> None:
    rig.station_id = "elsewhere"
    rig.settle()
    rig.work()
    assert rig.rows(DeliveryRow) == []


@pytest.mark.parametrize(
    ("codes", "state", "reason", "sent"),
    [
        (["0x02e33400"], "rejected", "VENDOR_REFUSED", 1),
        (["0x02401036", "0x02401033", "0"], "granted", None, 3),
        (["silence", "0"], "granted", None, 2),
        (["0x02401036"], "rejected", "PARK_OFFLINE", 7),
        (["0x02401033"], "unknown", "UNKNOWN_RESULT", 7),
        (["0x00072001"], "rejected", "VENDOR_REFUSED", 1),
    ],
)
def test_what_the_park_answers(rig: Rig, codes: list[str], state: str, reason: str | None, sent: int) -> None:
    rig.platform.codes = codes
    rig.see("entry")
    order_id = rig.settle()
    for _ in range(90):
        rig.work()
        rig.pass_time(1)
    assert (rig.grant(order_id).state, rig.grant(order_id).reason) == (state, reason)
    assert len(rig.platform.coupons) == sent
    assert len({coupon["couponCode"] for coupon in rig.platform.coupons}) == 1


def test_a_wrong_key_holds_the_park_and_loses_nothing(rig: Rig) -> None:
    rig.platform.codes = ["0x02401003"]
    rig.see("entry")
    order_id = rig.settle()
    rig.work()
    assert rig.grant(order_id).state == "queued"
    assert len(rig.platform.coupons) == 1
    rig.platform.codes = ["0"]
    rig.pass_time(30)
    with rig.db.session(TENANT) as session:
        release(session, Destination("park", rig.grant(order_id).park_id), rig.clock.now())
    rig.work()
    assert rig.grant(order_id).state == "granted"


def test_a_grant_that_could_not_be_sent_while_it_was_valid_expires(rig: Rig) -> None:
    rig.platform.codes = ["0x02401003"]
    rig.see("entry")
    order_id = rig.settle()
    rig.work()
    rig.pass_time(13 * 60)
    with rig.db.session(TENANT) as session:
        release(session, Destination("park", rig.grant(order_id).park_id), rig.clock.now())
    rig.work()
    assert rig.grant(order_id).state == "expired"
    assert len(rig.platform.coupons) == 1


# exits ---------------------------------------------------------------------------------------------------------------


def test_no_grant_no_gate(rig: Rig) -> None:
    rig.see("entry")
    rig.pass_time(5)
    rig.see("exit")
    rig.service.close()
    assert rig.gate_commands() == []
    assert rig.stays()[0].state == "inside"


def test_a_stay_longer_than_its_benefit_is_left_to_the_park(rig: Rig) -> None:
    rig.see("entry")
    rig.settle()
    rig.work()
    rig.pass_time(121)
    rig.see("exit")
    rig.service.close()
    assert rig.gate_commands() == []


@pytest.mark.parametrize(("due", "opens"), [("0", True), ("0.00", True), ("0.01", False)])
def test_where_the_bill_decides(db: Database, manual_clock: ManualClock, due: str, opens: bool) -> None:
    with park_rig(db, manual_clock, exit_policy=ExitPolicy.BILL) as rig:
        rig.platform.due = due
        rig.see("entry")
        rig.settle()
        rig.work()
        rig.pass_time(600)
        rig.see("exit")
        rig.service.close()
        assert len(rig.gate_commands()) == opens


def test_a_buffered_exit_event_never_opens(rig: Rig) -> None:
    rig.see("entry")
    rig.settle()
    rig.work()
    rig.pass_time(5)
    rig.see("exit", replay=True)
    rig.service.close()
    assert rig.gate_commands() == []
    assert rig.camera.commands == []


def test_the_same_exit_event_opens_once(rig: Rig) -> None:
    rig.see("entry")
    rig.settle()
    rig.work()
    rig.pass_time(5)
    assert [rig.see("exit") for _ in range(3)] == [PushResult.RECORDED, PushResult.REPEATED, PushResult.REPEATED]
    rig.service.close()
    assert len(rig.gate_commands()) == 1
    assert len(rig.camera.commands) == 1


def test_a_gate_that_refuses_leaves_the_car_inside_and_the_next_sight_tries_again(rig: Rig) -> None:
    rig.see("entry")
    rig.settle()
    rig.work()
    rig.camera.answer = Reply(200, b"<ResponseStatus><statusCode>6</statusCode></ResponseStatus>")
    rig.pass_time(5)
    rig.see("exit")
    assert rig.finished_command().state == "refused"
    assert rig.stays()[0].state == "inside"
    rig.camera.answer = Reply(200, b"<ResponseStatus><statusCode>1</statusCode></ResponseStatus>")
    rig.pass_time(1)
    rig.see("exit")
    assert rig.finished_command(2).state == "accepted_unconfirmed"
    assert rig.stays()[0].state == "exited"


def test_a_refused_login_is_remembered_until_the_connection_is_tested(rig: Rig) -> None:
    lane = next(one.id for one in rig.rows(GateLane) if one.code == "exit-1")
    rig.camera.refuses_login = True
    for _ in range(2):
        result = rig.service.operate_gate(TENANT, lane, GateAction.OPEN, "operator")
        assert result.code == "AUTH_FAILED"
    connection = next(one for one in rig.rows(ParkConnection) if one.code == "exit")
    assert connection.auth_failed_at is not None
    rig.camera.refuses_login = False
    assert rig.service.test_connection(TENANT, connection.id).outcome == "ok"
    assert rig.service.operate_gate(TENANT, lane, GateAction.OPEN, "operator").state == "accepted_unconfirmed"
    assert [row.asked_by for row in rig.gate_commands()] == ["operator"] * 3


def test_a_command_cut_off_by_a_crash_is_shown_and_never_sent_again(rig: Rig) -> None:
    rig.service.operate_gate(
        TENANT, next(one.id for one in rig.rows(GateLane) if one.connection_id), GateAction.OPEN, "a"
    )
    with rig.db.session(TENANT) as session:
        row = session.get_one(GateCommandRow, rig.gate_commands()[0].id)
        row.state, row.outcome, row.finished_at = "sending", None, None
    rig.pass_time(2)
    assert rig.service.sweep() == Swept(0, 0, 0)
    rig.pass_time(1)
    assert rig.service.sweep() == Swept(0, 0, 1)
    [command] = rig.gate_commands()
    assert (command.state, command.code) == ("unconfirmed", "INTERRUPTED")
    assert len(rig.camera.commands) == 1
