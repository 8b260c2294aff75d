"""What we tell partners: the right pushes to the right links, delivered until confirmed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import StartRequest, start_order
from charging_core.orders.sweep import sweep_orders
from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.status import observe
from charging_core.tariffs.periods import RateClass
from partners.fake.faults import Fault
from partners.reconcile.model import PartnerDispute
from partners.specs import save_link
from partners.sweep import ChargeStatusSweep
from tests.partners.business.conftest import OUR_KEYS, THEIR_KEYS, World, link_spec
from tests.support.seed import seed_operator
from worker.api import State
from worker.model import DeliveryAttempt, DestinationState

STATUS = "notification_stationStatus"
STARTED = "notification_start_charge_result"
RUNNING = "notification_equip_charge_status"
STOPPED = "notification_stop_charge_result"
ORDER = "notification_charge_order_info"


def fault(world: World, kind: str, interface: str = "*", times: int | None = 1, value: Any = None) -> None:
    world.fake.faults.replace([Fault(kind=kind, interface=interface, times=times, value=value)])


def change_state(world: World, state: ConnectorState, plugged: bool = True) -> None:
    with world.db.session(world.tenant) as session:
        connector = session.query(Connector).filter(Connector.code == world.connector).one()
        observe(session, connector, state, plugged, world.clock.now())


def states(world: World, interface: str) -> list[str]:
    return [row.state for row in world.deliveries(interface)]


def test_a_charge_is_told_from_start_to_bill(world: World) -> None:
    world.link()
    seq = world.play("浙AD12345")
    world.deliver()
    (started,) = world.received(STARTED)
    assert (started["StartChargeSeq"], started["StartChargeSeqStat"]) == (seq, 2)
    (bill,) = world.received(ORDER)
    assert bill["TotalPower"] == Decimal("30.50")
    assert bill["TotalElecMoney"] == Decimal("21.35")
    assert bill["TotalSeviceMoney"] == Decimal("12.20")
    assert bill["TotalMoney"] == Decimal("33.55")
    assert world.received(STOPPED) == []  # nobody asked for the stop
    summary = world.fake.summary()
    assert summary["violations"] == []
    assert states(world, ORDER) == states(world, STARTED) == [State.DELIVERED]


def test_the_stop_result_follows_a_stop_by_the_partner(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    world.fake.stop_charge(seq)
    world.record(seq, {RateClass.FLAT: "1.0000"})
    world.deliver()
    (told,) = world.received(STOPPED)
    assert (told["StartChargeSeq"], told["StartChargeSeqStat"], told["SuccStat"]) == (seq, 4, 0)
    assert world.received(ORDER)[0]["StopReason"] == 1
    assert world.fake.summary()["violations"] == []


def test_a_start_that_fails_is_told_with_stat_4(world: World) -> None:
    world.link()
    seq = world.begin()
    world.clock.advance(timedelta(seconds=46))
    sweep_orders(world.db, world.context)
    world.deliver()
    (told,) = world.received(STARTED)
    assert (told["StartChargeSeq"], told["StartChargeSeqStat"]) == (seq, 4)
    (row,) = world.deliveries(STARTED)
    assert row.deadline_at == row.occurred_at + timedelta(seconds=50)
    assert row.finished_at is not None
    assert row.finished_at < row.deadline_at  # the deadline counts from the start request


def test_orders_are_told_only_to_the_link_that_started_them(world: World) -> None:
    world.link()
    world.link(id="second", their_operator_id="MA5PARTN2")
    world.play()
    change_state(world, ConnectorState.IDLE, plugged=False)
    world.deliver()
    first = world.room.book.by_slug(world.tenant, "demo-partner").id
    assert {row.destination_id for row in world.deliveries(ORDER)} == {first}
    assert len({row.destination_id for row in world.deliveries(STATUS)}) == 2


def test_an_own_order_is_told_to_nobody(world: World) -> None:
    world.link()
    with world.db.session(world.tenant) as session:
        request = StartRequest(connector_code=world.connector, origin=Origin.APP)
        order = start_order(session, world.context, request).order
        assert order is not None
        order_id = order.id
    world.reading(order_id)
    world.record(order_id, {RateClass.FLAT: "1.0000"})
    world.deliver()
    assert world.deliveries(ORDER) == world.deliveries(STARTED) == []


def test_status_goes_to_authorised_links_only(world: World) -> None:
    world.link(stations=["S9999"])
    change_state(world, ConnectorState.FAULT)
    world.deliver()
    assert world.deliveries(STATUS) == []


def test_only_the_newest_status_of_a_connector_is_worth_sending(world: World) -> None:
    world.link()
    for state in (ConnectorState.CHARGING, ConnectorState.FINISHED, ConnectorState.IDLE):
        change_state(world, state)
    world.deliver()
    assert [body["ConnectorStatusInfo"]["Status"] for body in world.received(STATUS)] == [1]
    assert states(world, STATUS) == [State.SUPERSEDED, State.SUPERSEDED, State.DELIVERED]


def test_status_1_means_ignored_and_is_final(world: World) -> None:
    world.link()
    fault(world, "status", STATUS)
    change_state(world, ConnectorState.FAULT)
    world.deliver()
    (row,) = world.deliveries(STATUS)
    assert (row.state, row.outcome, row.attempt_count) == (State.DELIVERED, "ignored", 1)


def test_a_disputed_order_is_a_case_and_never_retried(world: World) -> None:
    link = world.link()
    seq = world.play()
    fault(world, "confirm_result", ORDER)
    world.deliver()
    (row,) = world.deliveries(ORDER)
    assert (row.state, row.dispute, row.attempt_count) == (State.REJECTED, True, 1)
    with world.db.read(world.tenant) as session:
        dispute = session.query(PartnerDispute).one()
    assert (dispute.link_id, dispute.start_charge_seq, dispute.state) == (link.id, seq, "open")
    assert Decimal(dispute.total_yuan or 0) == Decimal("33.55")
    world.clock.advance(timedelta(days=2))
    assert world.deliver() == 0


@pytest.mark.parametrize(
    ("kind", "value", "outcome"),
    [
        ("http_500", None, "retryable"),
        ("ret", -1, "retryable"),
        ("ret", 500, "retryable"),
        ("close", None, "retryable"),
        ("garbage", None, "retryable"),
        ("wrong_sig", None, "retryable"),
        ("confirm_result", 7, "retryable"),
    ],
)
def test_an_order_is_sent_again_until_it_is_confirmed(world: World, kind: str, value: Any, outcome: str) -> None:
    world.link()
    world.play()
    world.fake.call("query_token", {})
    fault(world, kind, ORDER, value=value)
    world.deliver()
    (row,) = world.deliveries(ORDER)
    assert (row.state, row.outcome) == (State.WAITING, outcome)
    world.clock.advance(timedelta(seconds=6))
    world.deliver()
    (row,) = world.deliveries(ORDER)
    assert (row.state, row.attempt_count) == (State.DELIVERED, 2)


def test_a_retry_carries_the_same_body(world: World) -> None:
    world.link()
    world.play()
    fault(world, "close_after", ORDER)
    world.deliver()
    world.clock.advance(timedelta(seconds=6))
    world.deliver()
    first, second = world.received(ORDER)
    assert first == second
    assert len(world.fake.summary()["orders"]) == 1


def test_the_ladder_has_no_end_for_orders_but_for_results(world: World) -> None:
    link = world.link()
    assert link.policy(ORDER).retry.wait_after(500) == 3600
    assert link.policy(STARTED).retry.wait_after(30) is None
    assert link.policy(RUNNING).retry.wait_after(3) is None


def test_a_refused_body_is_not_repeated(world: World) -> None:
    world.link()
    world.play()
    fault(world, "ret", ORDER, value=4004)
    world.deliver()
    (row,) = world.deliveries(ORDER)
    assert (row.state, row.code, row.attempt_count) == (State.DEAD, "4004", 1)


def test_a_wrong_signature_key_holds_the_whole_link_and_loses_nothing(world: World) -> None:
    world.link()
    world.play()
    fault(world, "ret", ORDER, value=4001)
    world.deliver()
    with world.db.read(world.tenant) as session:
        assert session.query(DestinationState).one().held
    assert states(world, ORDER) == [State.WAITING]


def test_a_wrong_secret_holds_the_link_too(world: World) -> None:

    wrong = {name: SecretStr(text) for name, text in (THEIR_KEYS | {"operator_secret": "not-the-secret"}).items()}
    ours = {name: SecretStr(text) for name, text in OUR_KEYS.items()}
    world.link(keys={"inbound": ours, "outbound": wrong})
    change_state(world, ConnectorState.FAULT)
    world.deliver()
    (row,) = world.deliveries(STATUS)
    assert (row.state, row.outcome) == (State.WAITING, "configuration")


def test_a_token_error_is_renewed_once_inside_one_attempt(world: World) -> None:
    world.link()
    change_state(world, ConnectorState.FAULT)
    world.deliver()
    fault(world, "4002_once", STATUS)
    change_state(world, ConnectorState.IDLE)
    world.deliver()
    assert [(row.state, row.attempt_count) for row in world.deliveries(STATUS)] == [(State.DELIVERED, 1)] * 2


def test_a_disabled_link_keeps_what_was_planned_for_it(world: World) -> None:
    world.link()
    seq = world.play()
    world.worker.relay.run_batch()
    world.link(enabled=False)
    world.deliver()
    assert world.received(ORDER) == []
    assert states(world, ORDER) == [State.WAITING]
    world.link()
    world.clock.advance(timedelta(minutes=5))
    world.deliver()
    assert [body["StartChargeSeq"] for body in world.received(ORDER)] == [seq]


def test_a_body_that_cannot_be_right_never_leaves_the_house(world: World, tmp_path: Any) -> None:
    path = tmp_path / "short.yaml"
    head = "{id: short, version: '1', display_name: {zh: 短, en: short}, status: partial, extends: textbook, "
    path.write_text(f"{head}patches: {{{ORDER}: {{set: {{StartChargeSeq: {{max_len: 5}}}}}}}}}}", "utf-8")
    world.link(profile=str(path))
    world.play()
    world.deliver()
    (row,) = world.deliveries(ORDER)
    assert (row.state, row.code, row.attempt_count) == (State.DEAD, "too_long", 0)
    assert world.received(ORDER) == []


def test_attempts_show_masked_messages(world: World) -> None:
    world.link()
    world.play()
    world.deliver()
    (row,) = world.deliveries(ORDER)
    with world.db.read(world.tenant) as session:
        attempt = session.query(DeliveryAttempt).filter(DeliveryAttempt.delivery_id == row.id).one()
    assert '"TotalMoney":33.55' in str(attempt.request_text)
    assert '"ConfirmResult":0' in str(attempt.answer_text)
    assert attempt.http_status == 200


# -------------------------------------------------------------------------------------------- the periodic charge status


def sweep_of(world: World) -> ChargeStatusSweep:
    return ChargeStatusSweep(world.db, world.clock, world.room.book)


def test_charge_status_every_50_seconds_from_the_start(world: World) -> None:
    world.link()
    sweep = sweep_of(world)
    seq = world.begin()
    world.reading(seq)
    planned = []
    for _ in range(33):
        planned.append(sweep.run(world.clock.now()))
        world.clock.advance(timedelta(seconds=5))
        world.reading(seq, "1.5")
        world.deliver()
    assert sum(planned) == 3
    assert [row.object_version for row in world.deliveries(RUNNING)] == [50, 100, 150]
    assert {body["StartChargeSeqStat"] for body in world.received(RUNNING)} == {2}
    assert world.fake.summary()["violations"] == []


def test_missed_ticks_are_not_replayed_and_two_sweeps_plan_once(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    world.clock.advance(timedelta(seconds=512))
    assert (sweep_of(world).run(world.clock.now()), sweep_of(world).run(world.clock.now())) == (1, 0)
    assert [row.object_version for row in world.deliveries(RUNNING)] == [500]


def test_a_newer_sample_supersedes_one_that_is_still_waiting(world: World) -> None:
    world.link()
    sweep = sweep_of(world)
    seq = world.begin()
    world.reading(seq)
    for _ in range(2):
        world.clock.advance(timedelta(seconds=50))
        sweep.run(world.clock.now())
    world.deliver()
    assert states(world, RUNNING) == [State.SUPERSEDED, State.DELIVERED]


def test_the_sweep_stops_with_the_charge_and_knows_links_own_periods(world: World) -> None:
    world.link(timing={"charge_status_s": 20})
    sweep = sweep_of(world)
    seq = world.begin()
    world.clock.advance(timedelta(seconds=30))
    assert sweep.run(world.clock.now()) == 0  # not charging yet
    world.reading(seq)
    world.clock.advance(timedelta(seconds=20))
    assert sweep.run(world.clock.now()) == 1
    world.record(seq, {RateClass.FLAT: "1.0000"})
    world.clock.advance(timedelta(seconds=60))
    assert sweep.run(world.clock.now()) == 0


def test_one_tenant_that_cannot_be_planned_does_not_silence_the_others(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    second = seed_operator(world.db, world.clock.now(), tenant_id="blue", number=2)
    with world.db.session(second.tenant_id) as session:
        save_link(session, world.clock, world.box, link_spec(world.fake.base_url, our_operator_id=second.operator_id))
    world.room.book.refresh()
    blue = world.room.book.by_slug(second.tenant_id, "demo-partner")
    with world.db.session(second.tenant_id) as session:
        request = StartRequest(
            connector_code=second.connectors[0], origin=Origin.PARTNER, link_id=blue.id, start_charge_seq=f"B{seq[1:]}"
        )
        order = start_order(session, world.context, request).order
        assert order is not None
        order.state, order.started_at = "charging", world.clock.now()
        order.operator_id = "GONE"  # its snapshot cannot be made
    sweep = sweep_of(world)
    world.clock.advance(timedelta(seconds=50))
    assert sweep.run(world.clock.now()) == 1
    with world.db.session(second.tenant_id) as session:
        session.query(ChargeOrder).one().operator_id = second.operator_id
    assert sweep.run(world.clock.now()) == 1  # it was not forgotten
    assert sweep.run(world.clock.now()) == 0


@pytest.mark.parametrize(("before", "after"), [(20, 50), (50, 20), (7, 50)])
def test_a_link_may_change_its_period_while_charges_run(world: World, before: int, after: int) -> None:
    """Ticks were counted, so that a longer period fell silent until it had caught up with the old count."""
    world.link(timing={"charge_status_s": before})
    sweep = sweep_of(world)
    seq = world.begin()
    world.reading(seq)
    world.clock.advance(timedelta(seconds=400))
    assert sweep.run(world.clock.now()) == 1
    world.link(timing={"charge_status_s": after})
    world.clock.advance(timedelta(seconds=after + 10))
    assert sweep.run(world.clock.now()) == 1
    assert sweep_of(world).run(world.clock.now()) == 0
